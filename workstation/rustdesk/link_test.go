package rustdesk

import (
	"errors"
	"strings"
	"testing"
)

func TestParseLink(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Link{
		"rustdesk://123456789":                            {"123456789", Desktop, false},
		"rustdesk://123456789/":                           {"123456789", Desktop, false},
		"rustdesk://123456789/r":                          {"123456789", Desktop, true},
		"rustdesk://connect/my-mac_01":                    {"my-mac_01", Desktop, false},
		"rustdesk://file-transfer/123456789?relay=true":   {"123456789", FileTransfer, true},
		"rustdesk://terminal/123456789?switch_uuid=other": {"123456789", Terminal, false},
	} {
		if got, err := ParseLink(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "123456789", "http://123456789", "rustdesk://", "rustdesk://connect/", "rustdesk://123", "rustdesk://launch/123456789",
		"rustdesk://123456789?password=hunter2", "rustdesk://123456789?key=hunter2", "rustdesk://hunter2@host/", "rustdesk://123456789?%zz",
	} {
		if link, err := ParseLink(text); !errors.Is(err, ErrLink) {
			t.Errorf("%s: %+v, %v, want ErrLink", text, link, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("rustdesk://connect/123456789?relay=true")
	f.Add("rustdesk://my-mac_01/r")
	f.Fuzz(func(t *testing.T, text string) {
		link, err := ParseLink(text)
		if err != nil {
			return
		}
		if again, err := ParseLink(link.String()); err != nil || again != link {
			t.Errorf("%+v became %+v, %v", link, again, err)
		}
	})
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]ID{"123456789\n": "123456789", " 1 234 567 890": "1234567890", "my-mac_01": "my-mac_01"} {
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "12345", "1my-mac", "-my-mac", "mein-mäc", "12345678901234567", "Installation and administrative privileges required!"} {
		if id, err := ParseID(text); !errors.Is(err, ErrID) {
			t.Errorf("%q: %q, %v, want ErrID", text, id, err)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("1.4.9")
	f.Add("1.2.3-2")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVersion(text)
		if err != nil {
			if !errors.Is(err, ErrVersion) {
				t.Error(err)
			}
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%v became %v, %v", v, again, err)
		}
	})
}

func FuzzParseReport(f *testing.F) {
	f.Add("noise\nrustdesk: version 1.4.9\nrustdesk: changed package\nrustdesk: id 123456789\nrustdesk: done\n")
	f.Add("rustdesk: log E: no space\nrustdesk: error package apt-get failed\n")
	f.Fuzz(func(t *testing.T, text string) {
		report, err := ParseReport(text)
		if err == nil && (report.ID == "" || !strings.Contains(text, "rustdesk: done")) {
			t.Errorf("%+v passed for a success", report)
		}
		if err != nil && !errors.Is(err, ErrSetup) {
			t.Error(err)
		}
	})
}
