package rustdesk

import (
	"errors"
	"strings"
	"testing"
)

func TestParseLink(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Link{
		"rustdesk://123456789":                            {ID: "123456789"},
		"rustdesk://123456789/":                           {ID: "123456789"},
		"rustdesk://123456789/r":                          {ID: "123456789", Relay: true},
		"rustdesk://123456789/r@rd.example":               {ID: "123456789", Relay: true, Server: "rd.example"},
		"rustdesk://123456789@rd.example:21116":           {ID: "123456789", Server: "rd.example:21116"},
		"rustdesk://connection/new/123456789":             {ID: "123456789"},
		"rustdesk://connect/my-mac_01":                    {ID: "my-mac_01"},
		"rustdesk://connect/mein-m\u00e4c":                {ID: "mein-m\u00e4c"},
		"rustdesk://connect/42":                           {ID: "42"},
		"rustdesk://connect/10.0.0.4":                     {Address: "10.0.0.4"},
		"rustdesk://connect/10.0.0.4:21118":               {Address: "10.0.0.4:21118"},
		"rustdesk://connect/[fd00::4]:21118":              {Address: "[fd00::4]:21118"},
		"rustdesk://connect/gaming.home.example:21118":    {Address: "gaming.home.example:21118"},
		"rustdesk://connect/123456789@public":             {ID: "123456789", Server: "public"},
		"rustdesk://connect/123456789/r@rd.example":       {ID: "123456789", Server: "rd.example", Relay: true},
		"rustdesk://file-transfer/123456789?relay=true":   {ID: "123456789", Action: OpenFileTransfer, Relay: true},
		"rustdesk://file-transfer/123456789?RELAY=":       {ID: "123456789", Action: OpenFileTransfer, Relay: true},
		"rustdesk://terminal/123456789?switch_uuid=other": {ID: "123456789", Action: OpenTerminal},
		"rustdesk://terminal-admin/123456789":             {ID: "123456789", Action: OpenAdminTerminal},
	} {
		got, err := ParseLink(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := ParseLink(got.String()); err != nil || again != got {
			t.Errorf("%s: became %s, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "123456789", "http://123456789", "rustdesk://", "rustdesk://connect/", "rustdesk://launch/123456789", "rustdesk://connection/123456789",
		"rustdesk://123456789?password=hunter2", "rustdesk://123456789?key=hunter2", "rustdesk://123456789?Key=hunter2", "rustdesk://hunter2:hunter2@host",
		"rustdesk://123456789?%zz", "rustdesk://connect/123456789@rd.example:0", "rustdesk://connect/123456789@", "rustdesk://connect/10.0.0.4:99999",
		"rustdesk://connect/123456789@rd.example?key=hunter2", "rustdesk://12345678901234567", "rustdesk://config/hunter2",
	} {
		if link, err := ParseLink(text); !errors.Is(err, ErrLink) || link != (Link{}) {
			t.Errorf("%s: %+v, %v, want ErrLink", text, link, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("rustdesk://connect/123456789?relay=true")
	f.Add("rustdesk://my-mac_01/r")
	f.Add("rustdesk://123456789/r@rd.example")
	f.Add("rustdesk://connect/10.0.0.4:21118")
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
	for text, want := range map[string]ID{
		"123456789\n": "123456789", " 1 234 567 890": "1234567890", "my-mac_01": "my-mac_01",
		"7": "7", "4711": "4711", // short IDs, as from a network card whose address has zeros
		"mein-m\u00e4c": "mein-m\u00e4c", "a\u65e5\u672c\u8a9e\u540d\u524d": "a\u65e5\u672c\u8a9e\u540d\u524d",
	} {
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", " ", "1my-mac", "-my-mac", "\u00e4mein-mac", "my-ma", "my mac 01", "my-mac-012345678901", "my-mac.01", "12345678901234567",
		"Installation and administrative privileges required!",
	} {
		if id, err := ParseID(text); !errors.Is(err, ErrID) {
			t.Errorf("%q: %q, %v, want ErrID", text, id, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("123 456 789")
	f.Add("mein-m\u00e4c")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		if again, err := ParseID(string(id)); err != nil || again != id {
			t.Errorf("%q became %q, %v", id, again, err)
		}
	})
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
	f.Add("rustdesk: version 1.4.9\nrustdesk: system linux\nrustdesk: session x11 user ada -\nrustdesk: output 0-DP-1 connected enabled 256\nrustdesk: monitors 1\nrustdesk: id 7\nrustdesk: done\n")
	f.Add("rustdesk: log E: no space\nrustdesk: error package apt-get failed\n")
	f.Fuzz(func(t *testing.T, text string) {
		report, err := ParseReport(text)
		if picture := report.Picture(); picture.Sees == "" {
			t.Errorf("%+v: nothing is said", report)
		}
		if err == nil && (report.ID == "" || !strings.Contains(text, "rustdesk: done")) {
			t.Errorf("%+v passed for a success", report)
		}
		if err != nil && !errors.Is(err, ErrSetup) {
			t.Error(err)
		}
	})
}
