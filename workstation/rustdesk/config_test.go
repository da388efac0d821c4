package rustdesk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os/exec"
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
	config, err := ParseFile("\ufeff# mine\r\nnat_type = 1\r\ntrusted_devices = '[x = 1]'\r\n[ options ]\r\n" +
		"direct-server = \"\\u0059\"\r\n'direct-access-port' = 'many'\r\nwhitelist = '10.1.0.0/16,192.168.0.7'\r\nav1-test = 'N' # why\r\n" +
		"approve-mode = 'password-click'\r\npreset-note = '''it's\r\nours'''\r\n[socks]\r\nproxy = 'http://x'\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if config.Access.DirectPort != DefaultDirectPort || config.Access.Approve != ApproveBoth || config.Other["av1-test"] != "N" {
		t.Errorf("%+v", config)
	}
	if note := config.Other["preset-note"]; strings.ReplaceAll(note, "\r", "") != "it's\nours" {
		t.Errorf("a text of two lines: %q", note)
	}
	if len(config.Access.From) != 2 || config.Access.From[1] != netip.MustParsePrefix("192.168.0.7/32") {
		t.Errorf("from %v", config.Access.From)
	}
	if config, err := ParseFile("options.key = 'abc'\noptions.custom-rendezvous-server = 'rd.example'\n"); err != nil || config.Server.Key.Reveal() != "abc" || config.Server.ID != "rd.example" {
		t.Errorf("dotted keys: %+v, %v", config, err)
	}
	stopped, err := ParseFile("[options]\nstop-service = 'Y'\n")
	if changes := Diff(stopped, Config{}); err != nil || len(changes) != 1 || changes[0] != (OptionChange{stopService, "Y", ""}) {
		t.Errorf("a service that stops itself: %v, %v", changes, err)
	}
	if running, err := ParseFile("[options]\nstop-service = 'N'\n"); err != nil || running.Validate() != nil {
		t.Errorf("a service that runs: %v, %v", running.Validate(), err)
	}
	for text, want := range map[string]int{
		"[options]\nkey":                      2,
		"[options]\nkey = ":                   2,
		"[options]\nkey = 'hunter2":           2,
		"[options]\nkey = hunter2":            2,
		"[options]\nkey = \"hunter2\\q\"":     2,
		"[options]\n\nkey = 'a'hunter2'":      3,
		"[options]\nk = 'hunter2'\nk = 'b'\n": 3,
	} {
		if _, err := ParseFile(text); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), fmt.Sprintf("line %d:", want)) {
			t.Errorf("%q: %v, want ErrFile with line %d", text, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
}

// RustDesk drops all options if one of them is not text (hbb_common
// src/config.rs, deserialize_default), and the whole file if the proxy is not a
// table.
func TestFilesThatRustDeskReadsAsEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"[options]\nkey = 'abc'\nstop-service = true\n",
		"[options]\nkey = 'abc'\ndirect-access-port = 21118\n",
		"options = 'key'\n",
		"options = []\n",
		"socks = ''\n[options]\nkey = 'abc'\n",
		"",
	} {
		config, err := ParseFile(text)
		if changes := Diff(config, Config{}); err != nil || len(changes) > 0 || len(config.Other) > 0 {
			t.Errorf("%q: %v, %v, want nothing", text, changes, err)
		}
	}
}

// If RustDesk cannot read a whitelist, nobody gets in. Replacing the whitelist
// is a change.
func TestUnreadableWhitelistIsAChange(t *testing.T) {
	t.Parallel()
	config, err := ParseFile("[options]\nwhitelist = '10.0.0.0/33'\n")
	if err != nil || len(config.Access.From) != 1 || !errors.Is(config.Validate(), ErrConfig) {
		t.Errorf("%+v, %v", config.Access, err)
	}
	if changes := Diff(config, Config{}); len(changes) != 1 || changes[0] != (OptionChange{"whitelist", "10.0.0.0/33", ""}) {
		t.Errorf("%v", changes)
	}
}

func TestConfigThatRustDeskWouldMisread(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"approve mode":        {Access: Access{Approve: "always"}},
		"verification method": {Access: Access{Verify: "none"}},
		"network":             {Access: Access{From: []netip.Prefix{{}}}},
		"short password":      {Password: proxstation.NewSecret("12345")},
		"long password":       {Password: proxstation.NewSecret(strings.Repeat("x", 129))},
		"line break":          {Password: proxstation.NewSecret("hunter2\nhunter2")},
		"not ASCII":           {Password: proxstation.NewSecret("hunter2ü")},
		"other: own field":    {Other: map[string]string{"key": "hunter2"}},
		"other: no service":   {Other: map[string]string{stopService: "Y"}},
		"other: name":         {Other: map[string]string{"a b": "hunter2"}},
		"other: not ASCII":    {Other: map[string]string{"a": "hunter2\u00fc"}},
		"other: line break":   {Other: map[string]string{"a": "hunter2\n"}},
		"click only":          {Access: Access{Approve: ApproveClick}, Password: proxstation.NewSecret("hunter2-hunter2")},
		"temporary only":      {Access: Access{Verify: VerifyTemporary}, Password: proxstation.NewSecret("hunter2-hunter2")},
		"IPv4 in IPv6":        {Access: Access{From: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}},
		"from itself only":    {Access: Access{From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/32")}}},
		"from a group":        {Access: Access{From: []netip.Prefix{netip.MustParsePrefix("ff00::/8")}}},
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
		if err != nil || len(Diff(again, config)) > 0 {
			t.Errorf("%v, %v", Diff(again, config), err)
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

// randomConfig returns a random configuration that RustDesk accepts.
func randomConfig(r *rand.Rand) Config {
	text := func() string {
		value := make([]byte, r.IntN(12))
		for i := range value {
			value[i] = byte(' ' + r.IntN('~'-' '+1))
		}
		return string(value)
	}
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	c := Config{Other: map[string]string{"enable-audio": text(), "preset-note": text(), "av1-test": pick("", "N")}}
	if r.IntN(2) == 0 {
		c.Server = Server{ID: pick("rd.example", "10.0.0.2:21200", "fd00::1"), Relay: pick("", "relay.example:1"), API: pick("", "https://b:8"),
			Key: proxstation.NewSecret(pick("", testKey))}
	}
	c.Access = Access{
		Approve: ApproveMode(pick("", "password", "click")), Verify: VerificationMethod(pick("", "use-temporary-password", "use-permanent-password")),
		DirectPort: uint16(r.IntN(3) * 21118), RemoteConfig: r.IntN(2) == 0, HideFromLAN: r.IntN(2) == 0, AutoUpdate: r.IntN(2) == 0,
	}
	for range r.IntN(3) {
		c.Access.From = append(c.Access.From, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r.IntN(256))}), 8+r.IntN(25)))
	}
	return c
}

// An independent TOML parser reads the intended values from our files.
func TestFilesAreReadAlikeByAnotherParser(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil || exec.CommandContext(t.Context(), python, "-c", "import tomllib").Run() != nil {
		t.Skip("python3 with tomllib is not installed")
	}
	r := rand.New(rand.NewPCG(1, 2))
	var texts []string
	var want []map[string]string
	for range 500 {
		config := randomConfig(r)
		text, err := config.File()
		if err != nil {
			t.Fatalf("%+v: %v", config, err)
		}
		options := config.options()
		maps.DeleteFunc(options, func(_, value string) bool { return value == "" })
		texts, want = append(texts, text.Reveal()), append(want, options)
		if again, err := ParseFile(text.Reveal()); err != nil || len(Diff(again, config)) > 0 {
			t.Errorf("%s\n%v, %v", text.Reveal(), Diff(again, config), err)
		}
	}
	input, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", "import json, sys, tomllib; json.dump([tomllib.loads(t)['options'] for t in json.load(sys.stdin)], sys.stdout)")
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !maps.Equal(got[i], want[i]) {
			t.Errorf("%s\nis %v, want %v", texts[i], got[i], want[i])
		}
	}
}
