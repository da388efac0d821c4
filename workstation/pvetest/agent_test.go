package pvetest_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const agentPath = "/nodes/pve/qemu/140/agent/"

func TestAgentAnswersOrDoesNot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		vm     pvetest.VM
		guest  pvetest.Guest
		after  time.Duration
		reason string
	}{
		"answers":          {vm: running(140, "agent:=enabled=1"), after: time.Minute},
		"comes up late":    {vm: running(140, "agent:=1"), guest: pvetest.Guest{Boot: 2 * time.Minute}, after: time.Minute, reason: "QEMU guest agent is not running"},
		"comes up now":     {vm: running(140, "agent:=1"), guest: pvetest.Guest{Boot: time.Minute}, after: 58 * time.Second},
		"is not there":     {vm: running(140, "agent:=1"), guest: pvetest.Guest{NoAgent: true}, after: time.Hour, reason: "QEMU guest agent is not running"},
		"is switched off":  {vm: running(140, "agent:=0"), after: time.Minute, reason: "QEMU guest agent is not running"},
		"no device":        {vm: running(140, ""), after: time.Minute, reason: "No QEMU guest agent configured"},
		"VM is off":        {vm: vm(140, "agent:=1"), reason: "VM 140 is not running"},
		"guest powers off": {vm: running(140, "agent:=1"), guest: pvetest.Guest{Panic: true}, after: time.Minute, reason: "VM 140 is not running"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(tt.vm)
			host.Guests = map[int]pvetest.Guest{140: tt.guest}
			inBubble(t, host, func(l *lab) {
				time.Sleep(tt.after)
				r := l.do("POST", agentPath+"ping")
				if tt.reason == "" && r.status != 200 || tt.reason != "" && (r.status != 500 || r.reason != tt.reason) {
					t.Errorf("ping: %d %s, want %q", r.status, r.reason, tt.reason)
				}
			})
		})
	}
}

// inGuest runs a test with a VM whose agent already answers.
func inGuest(t *testing.T, guest pvetest.Guest, test func(*lab)) {
	t.Helper()
	host := machines(running(140, "agent:=1 net0:=virtio=BC:24:11:00:00:01"))
	host.Guests = map[int]pvetest.Guest{140: guest}
	inBubble(t, host, func(l *lab) {
		time.Sleep(time.Minute)
		test(l)
	})
}

func TestAgentExec(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), 16<<20+1)
	guest := pvetest.Guest{Exec: func(argv []string, input []byte) pvetest.Result {
		switch argv[0] {
		case "tr":
			return pvetest.Result{Stdout: bytes.ToUpper(input), After: 10 * time.Second}
		case "yes":
			return pvetest.Result{Code: 2, Stdout: long, Stderr: []byte("grün")}
		}
		return pvetest.NotFound()
	}}
	inGuest(t, guest, func(l *lab) {
		exec := func(params ...string) any {
			object, _ := l.want("POST", agentPath+"exec", params...).(map[string]any)
			return object["pid"]
		}
		status := func(pid any) map[string]any { return l.object(agentPath+"exec-status", "pid", fmt.Sprint(pid)) }
		pid := exec("command", "tr", "command", "a-z", "input-data", "hello")
		if got := status(pid); fmt.Sprint(got) != "map[exited:0]" {
			t.Errorf("while it runs: %v", got)
		}
		time.Sleep(10 * time.Second)
		if got := status(pid); fmt.Sprint(got) != "map[exitcode:0 exited:1 out-data:HELLO]" {
			t.Errorf("at its end: %v", got)
		}
		if r := l.do("GET", agentPath+"exec-status", "pid", fmt.Sprint(pid)); r.status != 500 {
			t.Errorf("a second time: %v", r)
		}
		got := status(exec("command", "yes"))
		if out, _ := got["out-data"].(string); len(out) != 16<<20 || got["out-truncated"] != 1.0 || got["err-truncated"] != nil || got["exitcode"] != 2.0 {
			t.Errorf("16 MiB and more: %d, %v, %v", len(out), got["out-truncated"], got["exitcode"])
		}
		if got["err-data"] != "gr\u00c3\u00bcn" { // PVE sends each byte of UTF-8 as a character
			t.Errorf("err-data = %q", got["err-data"])
		}
		for params, want := range map[string]string{
			"command=nothing":          "Agent error: Guest agent command failed",
			"command=tr input-data=日本": "Wide character in subroutine entry",
		} {
			var list []string
			for field := range strings.FieldsSeq(params) {
				key, value, _ := strings.Cut(field, "=")
				list = append(list, key, value)
			}
			if r := l.do("POST", agentPath+"exec", list...); r.status != 500 || !strings.Contains(r.reason, want) {
				t.Errorf("%s: %d %s, want %s", params, r.status, r.reason, want)
			}
		}
		if r := l.do("POST", agentPath+"exec", "command", "tr", "input-data", strings.Repeat("x", 64<<10+1)); r.status != 400 || r.errors["input-data"] == nil {
			t.Errorf("too much input: %v", r)
		}
	})
}

func TestAgentFiles(t *testing.T) {
	t.Parallel()
	inGuest(t, pvetest.Guest{Files: map[string][]byte{"/etc/hostname": []byte("windows\n"), "/big": bytes.Repeat([]byte("x"), 17<<20)}}, func(l *lab) {
		read := func(params ...string) map[string]any { return l.object(agentPath+"file-read", params...) }
		if got := read("file", "/etc/hostname"); fmt.Sprint(got) != "map[bytes-read:8 content:windows\n]" {
			t.Errorf("a file: %v", got)
		}
		if got := read("file", "/etc/hostname", "offset", "3", "count", "2"); got["content"] != "do" || got["truncated"] != 1.0 {
			t.Errorf("a part of it: %v", got)
		}
		if got := read("file", "/etc/hostname", "decode", "0"); got["content"] != "d2luZG93cwo=" {
			t.Errorf("undecoded: %v", got)
		}
		if got := read("file", "/big"); got["truncated"] != 1.0 || got["bytes-read"] != float64(16<<20) {
			t.Errorf("a big one: %v", got["bytes-read"])
		}
		if r := l.do("GET", agentPath+"file-read", "file", "/gone"); r.status != 500 || !strings.HasPrefix(r.reason, "Agent error: failed to open file '/gone'") {
			t.Errorf("a file that is not there: %v", r)
		}
		l.want("POST", agentPath+"file-write", "file", "/a", "content", "one\u00e9")
		l.want("POST", agentPath+"file-write", "file", "/b", "content", base64.StdEncoding.EncodeToString([]byte("é")), "encode", "0")
		if r := l.do("POST", agentPath+"file-write", "file", "/c", "content", strings.Repeat("x", 60<<10+1)); r.status != 400 {
			t.Errorf("more than 60 KiB: %v", r)
		}
		if r := l.do("POST", agentPath+"file-write", "file", "/c", "content", "€"); r.status != 500 || !strings.HasPrefix(r.reason, "Wide character") {
			t.Errorf("a wide character: %v", r)
		}
		if r := l.do("POST", agentPath+"file-write", "file", "/c", "content", "?", "encode", "0"); r.status != 500 {
			t.Errorf("what is no base64: %v", r)
		}
		files := l.Guest(140).Files
		if string(files["/a"]) != "one\xe9" || string(files["/b"]) != "é" || files["/c"] != nil {
			t.Errorf("in the guest: %q", files)
		}
		pid, _ := l.want("POST", agentPath+"exec", "command", "cat", "command", "/b").(map[string]any)
		if got := l.object(agentPath+"exec-status", "pid", fmt.Sprint(pid["pid"])); got["exitcode"] != 0.0 {
			t.Errorf("cat: %v", got)
		}
	})
}

func TestAgentTells(t *testing.T) {
	t.Parallel()
	inGuest(t, pvetest.Guest{Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"}, OS: map[string]string{"id": "mswindows"}}, func(l *lab) {
		for path, want := range map[string]string{
			"get-osinfo":             "map[result:map[id:mswindows]]",
			"get-host-name":          "map[result:map[host-name:VM 140]]",
			"network-get-interfaces": "ip-address:2001:db8::7 ip-address-type:ipv6 prefix:64",
			"info":                   "guest-exec",
		} {
			if got := fmt.Sprint(l.object(agentPath + path)); !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
	})
}
