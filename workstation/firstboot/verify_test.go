package firstboot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// The type "here" is a Guest that runs commands on this machine. The programs
// in the directory "programs" replace the machine's own programs.
type here struct{ programs string }

func (h here) Run(ctx context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+h.programs+":"+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return proxstation.GuestOutput{}, err
	}
	return proxstation.GuestOutput{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}, nil
}

// The type "said" is a Guest. It answers every command with the same report.
type said string

func (s said) Run(context.Context, proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	return proxstation.GuestOutput{Code: 3, Stdout: string(s), Stderr: "sh: killed\n"}, nil
}

// everything is the report of a guest in which nothing is wrong.
const everything = `motd of the guest
verify: qemu-guest-agent=active
verify: driver.loaded=580.95.05
verify: driver.flavour=NVIDIA UNIX Open Kernel Module for x86_64  580.95.05
verify: driver.installed=580.95.05
verify: cards.pci=0000:01:00.0
verify: cards.driven=NVIDIA GeForce RTX 5070 Ti, 580.95.05
verify: disk.scsi1=/dev/sdb models rw,relatime
verify: place.scsi1=/dev/sdb
verify: rustdesk.version=1.4.9
verify: rustdesk=active
verify: rustdesk.id=1122334455
verify: done=
`

var all = Wanted{Driver: true, Card: true, Disks: []ModelsDisk{{Slot: "scsi1", Label: "models", Mount: "/srv/models"}}, RustDesk: true}

func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []string // each line replaces the line with its key; a key alone deletes the line
		id     string
		want   proxstation.Answer
		seen   string
	}{
		"the agent":                             {nil, CheckAgent, proxstation.Yes, "active"},
		"the agent is off":                      {[]string{"qemu-guest-agent=inactive"}, CheckAgent, proxstation.No, "inactive"},
		"a guest without systemd":               {[]string{"qemu-guest-agent!systemctl is not there"}, CheckAgent, proxstation.Unknown, "systemctl"},
		"the driver":                            {nil, CheckDriver, proxstation.Yes, "Open Kernel Module"},
		"no driver":                             {[]string{"driver.loaded=", "driver.installed="}, CheckDriver, proxstation.No, "no such module"},
		"a driver that is not loaded":           {[]string{"driver.loaded="}, CheckDriver, proxstation.No, "absent; cards at 0000:01:00.0"},
		"a driver without a card":               {[]string{"driver.loaded=", "cards.pci="}, CheckDriver, proxstation.Unknown, "no card on the PCI bus"},
		"a driver, and no bus is seen":          {[]string{"driver.loaded=", "cards.pci!/sys/bus/pci is not there"}, CheckDriver, proxstation.Unknown, "/sys/bus/pci"},
		"no tool for modules":                   {[]string{"driver.loaded=", "driver.installed!modinfo is not there"}, CheckDriver, proxstation.Unknown, "modinfo"},
		"the card":                              {nil, CheckCard, proxstation.Yes, "RTX 5070 Ti"},
		"no card":                               {[]string{"cards.pci=", "cards.driven!nvidia-smi ended with 6: No devices were found"}, CheckCard, proxstation.No, "0x10de"},
		"a card that is not driven":             {[]string{"cards.driven!nvidia-smi ended with 6: No devices were found"}, CheckCard, proxstation.No, "No devices"},
		"a driver that hangs":                   {[]string{"cards.driven!nvidia-smi ended with 124: "}, CheckCard, proxstation.No, "124"},
		"a card, and no tool":                   {[]string{"cards.driven!nvidia-smi is not installed"}, CheckCard, proxstation.Unknown, "cards at 0000:01:00.0"},
		"a list without a card":                 {[]string{"cards.driven="}, CheckCard, proxstation.No, "no card"},
		"the disk":                              {nil, CheckDisk, proxstation.Yes, "/srv/models: /dev/sdb"},
		"a partition of the disk":               {[]string{"disk.scsi1=/dev/sdb1 models rw"}, CheckDisk, proxstation.Yes, "sdb1"},
		"a disk that is not mounted":            {[]string{"disk.scsi1="}, CheckDisk, proxstation.No, "not mounted"},
		"a disk that is not there":              {[]string{"disk.scsi1=", "place.scsi1="}, CheckDisk, proxstation.No, "no drive-scsi1"},
		"another disk":                          {[]string{"place.scsi1=/dev/sdc"}, CheckDisk, proxstation.No, "is /dev/sdc"},
		"another label":                         {[]string{"disk.scsi1=/dev/sdb data rw"}, CheckDisk, proxstation.No, "data"},
		"no label":                              {[]string{"disk.scsi1=/dev/sdb  rw,relatime"}, CheckDisk, proxstation.No, "/dev/sdb  rw"},
		"a read-only disk":                      {[]string{"disk.scsi1=/dev/sdb models ro,relatime"}, CheckDisk, proxstation.No, "ro,"},
		"a disk whose slot is not told":         {[]string{"place.scsi1="}, CheckDisk, proxstation.Unknown, "no drive-scsi1"},
		"no tool for mounts":                    {[]string{"disk.scsi1!findmnt is not there"}, CheckDisk, proxstation.Unknown, "findmnt"},
		"RustDesk":                              {nil, CheckRustDesk, proxstation.Yes, "1122334455"},
		"no RustDesk":                           {[]string{"rustdesk.version=", "rustdesk", "rustdesk.id"}, CheckRustDesk, proxstation.No, "not installed"},
		"RustDesk that does not run":            {[]string{"rustdesk=failed"}, CheckRustDesk, proxstation.No, "failed"},
		"RustDesk without an ID":                {[]string{"rustdesk.id="}, CheckRustDesk, proxstation.Unknown, "nothing"},
		"RustDesk whose service is not told":    {[]string{"rustdesk!systemctl is not there"}, CheckRustDesk, proxstation.Unknown, "systemctl"},
		"the script ended early":                {[]string{"rustdesk.version", "rustdesk", "rustdesk.id", "done"}, CheckRustDesk, proxstation.Unknown, "with 3: sh: killed"},
		"the script ended early, before a disk": {[]string{"disk.scsi1", "done"}, CheckDisk, proxstation.Unknown, "with 3: sh: killed"},
		"a report without an agent":             {[]string{"qemu-guest-agent"}, CheckAgent, proxstation.Unknown, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := everything
			for _, line := range c.change {
				word := line[:len(line)-len(strings.TrimLeft(line, "abcdefghijklmnopqrstuvwxyz0123456789.-"))]
				var lines []string
				for old := range strings.Lines(report) {
					rest, ours := strings.CutPrefix(old, "verify: "+word)
					switch {
					case !ours || rest[0] != '=' && rest[0] != '!':
						lines = append(lines, old)
					case line != word:
						lines = append(lines, "verify: "+line+"\n")
					}
				}
				report = strings.Join(lines, "")
			}
			checks, err := Verify(t.Context(), said(report), all)
			if err != nil || len(checks) != 5 {
				t.Fatalf("%v, %v", checks, err)
			}
			for _, got := range checks {
				if got.ID != c.id {
					continue
				}
				if got.Answer != c.want || !strings.Contains(got.Seen, c.seen) || (got.Fix == "") != (c.want == proxstation.Yes) || (got.Why == "") != (got.Fix == "") || got.Subject == "" ||
					printable.Sentence(got.Why) != got.Why || printable.Sentence(got.Fix) != got.Fix {
					t.Errorf("%s: %s", got.Answer, got)
				}
			}
		})
	}
}

func TestVerifyLooksAtWhatIsWanted(t *testing.T) {
	t.Parallel()
	guest := LinuxAI{HostName: "a", NVIDIA: true, Models: &ModelsDisk{Slot: "scsi2"}}
	if got := guest.Wanted(); !got.Driver || got.Card || len(got.Disks) != 1 || got.Disks[0] != (ModelsDisk{"scsi2", "models", "/srv/models"}) {
		t.Errorf("%+v", got)
	}
	checks, err := Verify(t.Context(), said(everything), Wanted{})
	if err != nil || len(checks) != 1 || checks[0].ID != CheckAgent {
		t.Errorf("nothing is wanted: %v, %v", checks, err)
	}
}

// The script runs to its end on the Linux of this test, and reports every value
// or a reason.
func TestVerifyScript(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("/bin/sh"); err != nil {
		t.Skip(err)
	}
	seen, err := look(t.Context(), here{}, []ModelsDisk{{Slot: "scsi1", Label: "models", Mount: "/no/such place"}, {Slot: "scsi2", Mount: "/"}})
	if err != nil || seen.unended != "" {
		t.Fatalf("%+v, %v", seen, err)
	}
	for _, name := range []string{"qemu-guest-agent", "driver.loaded", "driver.installed", "cards.pci", "cards.driven", "disk.scsi1", "place.scsi1", "disk.scsi2", "rustdesk.version"} {
		if _, reason := seen.get(name); strings.Contains(reason, "does not say") {
			t.Errorf("%s: %s", name, reason)
		}
	}
	if checks := all.judge(seen); checks[3].ID != CheckDisk || checks[3].Answer == proxstation.Yes {
		t.Errorf("a disk that is not there: %+v", checks[3])
	}
}

// A disk may be mounted over the disk for models, and Verify reports this.
// findmnt lists the mounts of a directory in the order in which they were
// mounted (measured with 2.41).
func TestVerifySeesTheMountOnTop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for program, text := range map[string]string{
		"findmnt": "printf '/dev/sdb models rw,relatime\\nnone  rw,relatime\\n'", "readlink": "echo /dev/sdb"} {
		if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	checks, err := Verify(t.Context(), here{dir}, Wanted{Disks: all.Disks})
	if err != nil || len(checks) != 2 || checks[1].Answer != proxstation.No || !strings.Contains(checks[1].Seen, "/srv/models: none") {
		t.Errorf("%v, %v", checks, err)
	}
}

func FuzzParseSight(f *testing.F) {
	f.Add(everything)
	f.Add("verify: =\nverify: !\nverify: disk.scsi1=/dev/sdb")
	f.Fuzz(func(t *testing.T, text string) {
		seen := parseSight(proxstation.GuestOutput{Stdout: text})
		for _, c := range all.judge(seen) {
			if c.Answer == proxstation.Yes && !strings.Contains(text, "=") || c.Subject == "" {
				t.Errorf("%q: %+v", text, c)
			}
		}
	})
}

func ExampleVerify() {
	guest := said(strings.Replace(everything, "driven=NVIDIA GeForce RTX 5070 Ti, 580.95.05", "driven!nvidia-smi ended with 6: No devices were found", 1)) // in a real program, the guest is node.Agent(141)
	checks, err := Verify(context.Background(), guest, Wanted{Driver: true, Card: true})
	for _, c := range checks {
		fmt.Println(c.Answer, c.Subject)
	}
	fmt.Println(checks[2].Seen, err)
	// Output:
	// yes guest agent
	// yes driver
	// no card
	// nvidia-smi ended with 6: No devices were found; cards at 0000:01:00.0 <nil>
}
