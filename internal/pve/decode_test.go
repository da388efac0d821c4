package pve

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestTolerantDecoding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		json   string
		number string
		flag   bool
		text   string
	}{
		{`1`, "1 true", true, "1"}, {`"1"`, "1 true", true, "1"}, {`0`, "0 true", false, "0"}, {`true`, "0 false", true, "1"}, {`false`, "0 false", false, "0"},
		{`"N/A"`, "0 false", false, "N/A"}, {`null`, "0 false", false, ""}, {`-1`, "-1 true", false, "-1"}, {`"4096"`, "4096 true", false, "4096"},
		{`1e3`, "1000 true", false, "1e3"}, {`""`, "0 false", false, ""},
	}
	for _, test := range tests {
		var n number
		var f flag
		var s text
		for _, v := range []any{&n, &f, &s} {
			_, _ = decode(t.Context(), "/x", []byte(test.json), v)
		}
		if got := fmt.Sprint(n.value, n.known); got != test.number || bool(f) != test.flag || string(s) != test.text {
			t.Errorf("%s is number %s, flag %v, text %q; want %s, %v, %q", test.json, got, f, s, test.number, test.flag, test.text)
		}
	}
}

func TestDisksBehindAController(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		vendor, model string
		want          bool
	}{
		{"ATA", "PNY_250GB_SATA_SSD", false}, {"AVAGO", "MR9361-8i", true}, {"DELL", "PERC_H730_Mini", true}, {"HP", "LOGICAL_VOLUME", true},
		{"HP", "EG0600FBDSR", false}, {"QEMU", "QEMU_HARDDISK", true}, {"", "", false}, {"unknown", "unknown", false},
	} {
		if got := hidesDisks(test.vendor, test.model); got != test.want {
			t.Errorf("%s %s: %v, want %v", test.vendor, test.model, got, test.want)
		}
	}
	if told("unknown") != "" || told("S1") != "S1" {
		t.Error("what is not known is taken for a name")
	}
}

func FuzzOctets(f *testing.F) {
	f.Add("é\x00\xff日本")
	f.Fuzz(func(t *testing.T, data string) {
		if back := octets(characters(data)); back != data {
			t.Errorf("%q comes back as %q", data, back)
		}
	})
}

func FuzzUPID(f *testing.F) {
	f.Add("UPID:pve:000004CC:6AD09660:386D43BC:qmshutdown:140:root@pam!lab:")
	f.Fuzz(func(t *testing.T, s string) {
		u := UPID(s)
		if u.VMID() != 0 && u.ID() == "" || u.Type() != "" && strings.Count(s, ":") != 8 {
			t.Errorf("%q: type %q, id %q, VM %d", s, u.Type(), u.ID(), u.VMID())
		}
	})
}

func TestPermissionsComeFromTheNearestPath(t *testing.T) {
	t.Parallel()
	p := Permissions{"/": {"A": true}, "/vms": {"B": true}, "/vms/140": {}, "/storage/x": {"B": false}}
	for path, want := range map[string]string{"/": "A", "/storage": "A", "/vms": "B", "/vms/141": "B", "/vms/140": "", "/vms/140/x": "",
		"/storage/x": "B", "/storage/x/y": "A"} { // B holds on /storage/x only, and A of / holds below it
		for _, privilege := range []string{"A", "B"} {
			if got := p.Allows(path, privilege); got != (privilege == want) {
				t.Errorf("Allows(%s, %s) = %v", path, privilege, got)
			}
		}
	}
}

func TestStaleIsNoWrongChecksum(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]bool{
		"checksum missmatch (file change by other user?)":                  true, // the misspelling in PVE until qemu-server 8.2.4
		"detected modified configuration - file changed by other user? Tr": true,
		"checksum mismatch: got 'a' != expect 'b'":                         false, // PVE's message about a download
	} {
		if got := errors.Is(&Error{Status: 500, Message: message}, ErrStale); got != want {
			t.Errorf("%q: stale %v", message, got)
		}
	}
}

func TestEndpointHidesItsSecrets(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://pve", "https://root:hush@pve", "http://root:hush@pve", "https://root:hush@pve:x", "root:hush@pve:8006", "hush", "PVE:hush", "u@pve!t=hush", "u@hush:8006", "https:root:hush@pve:8006", "hush\n"} {
		e := Endpoint{URL: address, Token: "u@pve!t=hush", Password: "hush"}
		_, err := Dial(e)
		if shown := fmt.Sprintf("%v %s %v", e, e, err); strings.Contains(shown, "hush") {
			t.Error(shown)
		}
	}
}

// An address without https:// is shown, because it holds no secret.
func TestEndpointShowsAnAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:18106", "pve:8006", "pve.lan", "192.0.2.1", "[2001:db8::1]:8006", "pve.lan:8006/"} {
		if _, err := Dial(Endpoint{URL: address, Token: "u@pve!t=hush"}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), strconv.Quote(address)+": want https://HOST:8006") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestEndpointsThatCannotBe(t *testing.T) {
	t.Parallel()
	const url = "https://pve:8006"
	for name, e := range map[string]Endpoint{"no URL": {Token: "a@b!c=d"}, "http": {URL: "http://pve", Token: "a@b!c=d"}, "no login": {URL: url}, "no secret": {URL: url, Token: "a@b!c"},
		"no token": {URL: url, Token: "a@b=c"}, "no password": {URL: url, Username: "root@pam"}, "a login in the URL": {URL: "https://a:b@pve", Token: "a@b!c=d"},
		"half a fingerprint": {URL: url, Token: "a@b!c=d", Fingerprint: "AA:BB"}, "no fingerprint": {URL: url, Token: "a@b!c=d", Fingerprint: "x"}} {
		if _, err := Dial(e); !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), "pve: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
