package rustdesk

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestFileIsReadBack(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"nothing set": {},
		"everything":  wanted(),
		"unattended":  Unattended(Server{ID: "id.example"}, proxstation.Secret{}),
		"default port": {Access: Access{DirectPort: DefaultDirectPort, RemoteConfig: true, AutoUpdate: true,
			Approve: ApproveClick, Verify: VerifyTemporary}},
	} {
		text, err := config.File()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseFile(text.Reveal())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		config.Password = proxstation.Secret{}
		if changes := Diff(got, config); len(changes) > 0 {
			t.Errorf("%s: %v", name, changes)
		}
		if strings.Contains(text.Reveal(), testPassword) {
			t.Errorf("%s: the file holds the password", name)
		}
	}
}

func TestParseFile(t *testing.T) {
	t.Parallel()
	config, err := ParseFile("# mine\r\nnat_type = 1\r\ntrusted_devices = '[x = 1]'\r\n[options]\r\n" +
		"direct-server = \"Y\"\r\n'direct-access-port' = 'many'\r\nwhitelist = '10.1.0.0/16,192.168.0.7'\r\nav1-test = N\r\n" +
		"approve-mode = 'password-click'\r\n[socks]\r\nproxy = 'http://x'\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if config.Access.DirectPort != DefaultDirectPort || config.Access.Approve != ApproveBoth || config.Other["av1-test"] != "N" {
		t.Errorf("%+v", config)
	}
	if len(config.Access.From) != 2 || config.Access.From[1] != netip.MustParsePrefix("192.168.0.7/32") {
		t.Errorf("from %v", config.Access.From)
	}
	if config, err := ParseFile("[options]\nwhitelist = '10.0.0.1,0.0.0.0'\n"); err != nil || config.Access.From != nil {
		t.Errorf("0.0.0.0 lets everyone in: %v, %v", config.Access.From, err)
	}
	stopped, err := ParseFile("[options]\nstop-service = 'Y'\n")
	if changes := Diff(stopped, Config{}); err != nil || len(changes) != 1 || changes[0] != (OptionChange{stopService, "Y", ""}) {
		t.Errorf("a service that stops itself: %v, %v", changes, err)
	}
	if running, err := ParseFile("[options]\nstop-service = 'N'\n"); err != nil || running.Validate() != nil {
		t.Errorf("a service that runs: %v, %v", running.Validate(), err)
	}
	for text, want := range map[string]error{
		"[options]\nkey":                             ErrFile,
		"[options]\nkey = ":                          ErrFile,
		"[options]\nkey = 'hunter2":                  ErrFile,
		"[options]\nkey = '''hunter2'''":             ErrFile,
		"[options]\nkey = \"hunter2\\q\"":            ErrFile,
		"[options]\nkey = 'a'hunter2'":               ErrFile,
		"[options]\n= 'hunter2'":                     ErrFile,
		"[options]\nwhitelist = '10.0.0.0/33'":       ErrConfig,
		"[options]\nwhitelist = 'fe80::1%eth0,::/0'": ErrConfig,
	} {
		if _, err := ParseFile(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
}

func TestConfigThatRustDeskWouldMisread(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"approve mode":          {Access: Access{Approve: "always"}},
		"verification method":   {Access: Access{Verify: "none"}},
		"network":               {Access: Access{From: []netip.Prefix{{}}}},
		"short password":        {Password: proxstation.NewSecret("12345")},
		"long password":         {Password: proxstation.NewSecret(strings.Repeat("x", 129))},
		"line break":            {Password: proxstation.NewSecret("hunter2\nhunter2")},
		"double quote":          {Password: proxstation.NewSecret(`hunter2"hunter2`)},
		"backslash":             {Password: proxstation.NewSecret(`hunter2\`)},
		"not ASCII":             {Password: proxstation.NewSecret("hunter2ü")},
		"other: own field":      {Other: map[string]string{"key": "hunter2"}},
		"other: no service":     {Other: map[string]string{stopService: "Y"}},
		"other: name":           {Other: map[string]string{"a b": "hunter2"}},
		"other: quote in value": {Other: map[string]string{"a": `hunter2"`}},
	} {
		err := config.Validate()
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the value: %v", name, err)
		}
		if _, err := config.File(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: File: %v, want ErrConfig", name, err)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add("serial = 0\n\n[options]\nkey = 'abc='\nwhitelist = '10.0.0.0/8'\ndirect-server = \"Y\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := ParseFile(text)
		if err != nil || config.Validate() != nil {
			return
		}
		printed, err := config.File()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseFile(printed.Reveal())
		if err != nil || len(Diff(config, again)) > 0 || len(Diff(again, config)) > 0 {
			t.Errorf("%v, %v", Diff(config, again), err)
		}
	})
}

func TestFilePath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		os         OS
		home, want string
	}{
		{Linux, "", "/root/.config/rustdesk/RustDesk2.toml"},
		{Linux, "/home/ada", "/home/ada/.config/rustdesk/RustDesk2.toml"},
		{MacOS, "", "/var/root/Library/Preferences/com.carriez.RustDesk/RustDesk2.toml"},
		{Windows, "", `C:\Windows\ServiceProfiles\LocalService\AppData\Roaming\RustDesk\config\RustDesk2.toml`},
		{Windows, `C:\Users\ada`, `C:\Users\ada\AppData\Roaming\RustDesk\config\RustDesk2.toml`},
	} {
		if got, err := OptionsFile.Path(test.os, test.home); err != nil || got != test.want {
			t.Errorf("%s %q: %q, %v", test.os, test.home, got, err)
		}
	}
	if _, err := MainFile.Path("plan9", ""); !errors.Is(err, ErrOS) {
		t.Errorf("plan9: %v", err)
	}
}
