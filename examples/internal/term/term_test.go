package term

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
)

func plan() workstation.Plan {
	return workstation.Plan{Node: "pve",
		Steps: []workstation.Step{
			workstation.CreateVM{VMID: 140, Name: "windows", Config: map[string]string{"cores": "8", "args": "-device isa-applesmc,osk=[secret] " + strings.Repeat("-global a.b=c ", 9)},
				Notes: map[string]string{"cores": "as many as the page says"}},
			workstation.GrowDisk{VMID: 141, Name: "linux\x1b[2J", Slot: "scsi1", From: storage.GiB, To: 2 * storage.GiB},
		},
		Outlook: []storage.Outlook{{Pool: "local-lvm", Before: 0.07, After: 0.2, Added: 128 * storage.GiB}},
		Findings: []proxstation.Finding{
			{ID: "b.info", Severity: proxstation.Info, Subject: "VM 140", Seen: "x", Why: "same"},
			{ID: "a.warning", Severity: proxstation.Warning, Subject: "VM 140", Why: strings.Repeat("long word ", 20)},
			{ID: "b.info", Severity: proxstation.Info, Subject: "VM 141", Seen: "x", Why: "same"},
		},
	}
}

// No line of a plan is wider than the terminal, except for long words. Nothing
// moves the cursor. Warnings come before infos, and each info is written once.
func TestPlan(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Of(&out).Plan(plan())
	text := out.String()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " ") {
			t.Errorf("spaces at the end: %q", line)
		}
	}
	at := 0
	for _, want := range []string{"Plan for node pve: 1 to add, 1 to change, 0 to destroy\n", "\n+ VM 140 windows\n", "osk=[secret]", "# as many as the page says", `~ VM 141 linux\u001b[2J`, "1G -> 2G",
		"local-lvm    7 % ->  20 %   128.0 GiB more", "\nwarning: VM 140 (a.warning)\n  why:  long word", "\ninfo: VM 140, VM 141 (b.info)\n"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("%q does not come where it should in\n%s", want, text)
		}
		at += i
	}
	if strings.Contains(text, "\x1b") || strings.Count(text, "b.info") != 1 || strings.Contains(text, "Blocked") {
		t.Errorf("%s", text)
	}
}

// A blocked plan begins with its blockers and ends with the actions that must
// be done.
func TestBlockedPlan(t *testing.T) {
	t.Parallel()
	p := plan()
	p.Findings = append(p.Findings, proxstation.Finding{ID: "z.block", Severity: proxstation.Blocker, Subject: "VM 140", Why: "it fails", Fix: "Do this."},
		proxstation.Finding{ID: "z.block", Severity: proxstation.Blocker, Subject: "VM 141", Why: "It fails too."})
	var out bytes.Buffer
	Of(&out).Plan(p)
	text := out.String()
	if strings.Index(text, "blocker: VM 140 (z.block)") > strings.Index(text, "+ VM 140 windows") ||
		!strings.HasSuffix(text, "\nBlocked. Nothing is changed until this is done:\n  1. VM 140: Do this.\n  2. VM 141: It fails too.\n") {
		t.Error(text)
	}
}

// A numbered list keeps its indent when its lines are broken.
func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Of(&out).Lines("Then\n   1. " + strings.Repeat("word ", 20) + "\n        + key  value\n")
	if want := "Then\n   1. " + strings.Repeat(" word", 15)[1:] + "\n      " + strings.Repeat(" word", 5)[1:] + "\n        + key value\n"; out.String() != want {
		t.Errorf("have\n%swant\n%s", out.String(), want)
	}
}

// A plan that sets up guests lists the set-ups after its steps and before its
// findings.
func TestInstall(t *testing.T) {
	t.Parallel()
	var out, empty bytes.Buffer
	Of(&out).Install(install.Plan{First: plan(), SetUps: []install.SetUp{{VMID: 140, Name: "windows", Seed: "local:iso/firstboot-x.iso", SeedSlot: "sata0"}}})
	at := 0
	for _, want := range []string{"Plan for node pve", "+ local:iso/firstboot-x.iso # 0 B: the seed of VM 140 windows", "+ VM 140 windows", "Then Linux in VM 140 windows is set up\n", "  1. the VM starts", "Storages", "warning:"} {
		i := strings.Index(out.String()[at:], want)
		if i < 0 {
			t.Fatalf("%q does not come where it should in\n%s", want, out.String())
		}
		at += i
	}
	if Of(&empty).Install(install.Plan{First: workstation.Plan{Node: "pve"}}); empty.String() != "Plan for node pve: nothing to do\n" {
		t.Error(empty.String())
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	Of(&plain).Plan(plan())
	painted := &Terminal{w: &coloured, width: 80, colour: true}
	painted.Plan(plan())
	if !strings.Contains(coloured.String(), "\x1b[32m+\x1b[0m \x1b[1mVM 140 windows\x1b[0m") || !strings.Contains(coloured.String(), "\x1b[33mwarning\x1b[0m: VM 140") {
		t.Errorf("%q", coloured.String())
	}
	var stripped strings.Builder
	for part := range strings.SplitSeq("m"+coloured.String(), "\x1b[") {
		_, rest, _ := strings.Cut(part, "m")
		stripped.WriteString(rest)
	}
	if stripped.String() != plain.String() {
		t.Errorf("without colours it is another text:\n%s\n%s", stripped.String(), plain.String())
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := Open(file)
	out.Say("%s\n\nthe \x1bend", strings.Repeat("word ", 30))
	out.Title("title")
	text, err := os.ReadFile(file.Name())
	if err != nil || out.colour || out.live || !strings.HasSuffix(string(text), "\n\nthe \\u001bend\n\ntitle\n\n") || strings.Index(string(text), "\n") > 80 || IsTerminal(file) {
		t.Errorf("%v %q", err, text)
	}
	out.Error("program", errors.New(strings.Repeat("long ", 30)))
	if text, err := os.ReadFile(file.Name()); err != nil || !strings.Contains(string(text), "program: "+strings.Repeat("long ", 30)) {
		t.Errorf("%v %q", err, text)
	}
	if Of(out) != out {
		t.Error("a terminal is wrapped again")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"a b", []string{"a b"}},
		{"a2345678 b2345678 c23456789", []string{"a2345678 b2345678", "c23456789"}},
		{"virtio=BC:24:11:00:00:01,bridge=vmbr0", []string{"virtio=BC:24:11:00:00:01,", "bridge=vmbr0"}},
		{"x /var/lib/vz/template/iso/a.iso", []string{"x", "/var/lib/vz/template/iso/a.iso"}},
		{"\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4 \u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4 x", []string{"\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4 \u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4", "x"}},
	} {
		if got := wrap(test.text, 20); strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("a,b;c d/e", 20)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		if got := strings.Join(strings.Fields(strings.Join(wrap(text, columns), " ")), ""); got != strings.Join(strings.Fields(text), "") {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// events sends the events of a switch in their order.
func events(say func(workstation.Event)) {
	stop := workstation.Event{Phase: workstation.PhaseStop, VMID: 140, Message: "shutting down VM 140", Limit: 3 * time.Minute}
	say(stop)
	for i := range 3 {
		time.Sleep(time.Second)
		stop.Message, stop.Elapsed = "qmshutdown for "+time.Duration(i*int(time.Second)).String(), time.Duration(i+1)*time.Second
		say(stop)
	}
	say(workstation.Event{Phase: workstation.PhaseStart, VMID: 141, Message: "starting VM 141", Warnings: []string{"reset failed"}})
	say(workstation.Event{Phase: workstation.PhaseDone, Message: "it is up"})
}

func TestProgressInAFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		events(Of(&out).Progress())
		want := "  stop        0 s of 3 min  shutting down VM 140\n  start       0 s           starting VM 141\n  warning: reset failed\n  done        0 s           it is up\n"
		if out.String() != want {
			t.Errorf("have\n%swant\n%s", out.String(), want)
		}
	})
}

func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		term := &Terminal{w: &out, width: 80, live: true}
		events(term.Progress())
		term.Say("after")
		if strings.Contains(out.String(), "qmshutdown") || !strings.Contains(out.String(), "\r\x1b[K  stop        3 s of 3 min  shutting down VM 140\n") || !strings.HasSuffix(out.String(), "it is up\nafter\n") {
			t.Errorf("%q", out.String())
		}
		narrow := &Terminal{w: &out, width: 40, live: true}
		out.Reset()
		narrow.status(strings.Repeat("x", 50))
		if n := utf8.RuneCountInString(strings.TrimPrefix(out.String(), "\r\x1b[K")); n != 39 {
			t.Errorf("a line of %d columns on 40", n)
		}
		narrow.End()
		narrow.End()
		if strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q", out.String())
		}
	})
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "0 s", 12900 * time.Millisecond: "12 s", time.Minute: "1 min", 3 * time.Minute: "3 min", 95 * time.Second: "1:35 min"} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// broken is a writer whose writes fail.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	if _, err := Of(broken{}).Write([]byte("x")); err == nil {
		t.Error("no error")
	}
}

// If the login is a token, the fix names the variables of a login with a
// password.
func TestFixNamesTheVariables(t *testing.T) { //nolint:paralleltest // the environment is the test's
	findings := []proxstation.Finding{{ID: "workstation.root-only", Severity: proxstation.Blocker, Subject: "VM 130 macos", Fix: "Log in as root@pam with a password."},
		{ID: "other", Severity: proxstation.Blocker, Fix: "Mend it."}}
	for token, want := range map[string]int{"": 0, "root@pam!lab=hush": 2} {
		t.Setenv("PROXMOX_VE_API_TOKEN", token)
		var out bytes.Buffer
		terminal := Of(&out)
		terminal.Findings(findings)
		terminal.ToDo(findings)
		if have := strings.Count(out.String(), "PROXMOX_VE_API_TOKEN"); have != want || strings.Contains(out.String(), "hush") {
			t.Errorf("token %q: %d times, want %d\n%s", token, have, want, out.String())
		}
	}
}
