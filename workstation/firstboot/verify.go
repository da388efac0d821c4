package firstboot

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// A Guest runs commands in a guest, with the rights of root. The agent of
// package workstation is a Guest.
type Guest interface {
	// Run runs a command and waits for its end. An exit code other than 0 is
	// not an error.
	Run(ctx context.Context, command proxstation.GuestCommand) (proxstation.GuestOutput, error)
}

// Wanted is what a Linux guest should have after its set-up.
type Wanted struct {
	// Driver wants NVIDIA's driver, Card also a card that it drives.
	Driver, Card bool
	// Disks are the disks that should be mounted.
	Disks []ModelsDisk
	// RustDesk wants RustDesk as a service with an ID.
	RustDesk bool
}

// Wanted returns what the set-up leaves in the guest: the driver if NVIDIA is
// set, and the disk for models. The set-up does not know whether the VM has a card.
func (g LinuxAI) Wanted() Wanted {
	w := Wanted{Driver: g.NVIDIA}
	if g.Models != nil {
		w.Disks = []ModelsDisk{*g.withDefaults().Models}
	}
	return w
}

// A Check is one thing that is looked at in a guest. Its Severity is
// [proxstation.Info] if the Answer is yes; Why and Fix are empty then.
type Check struct {
	// Answer is yes if the guest is as wanted, no if not, and unknown if it could
	// not be found out.
	Answer proxstation.Answer `json:"answer"`
	proxstation.Finding
}

// String returns the check as a paragraph for people.
func (c Check) String() string { return c.Answer.String() + ", " + c.Finding.String() }

// The checks, by [proxstation.Finding].ID.
const (
	CheckAgent    = "firstboot.agent"    // the guest agent runs
	CheckDriver   = "firstboot.driver"   // NVIDIA's driver is installed and loaded
	CheckCard     = "firstboot.card"     // nvidia-smi lists a card
	CheckDisk     = "firstboot.disk"     // a disk has its role; the Subject is its slot
	CheckRustDesk = "firstboot.rustdesk" // RustDesk runs and has an ID
)

//go:embed scripts/verify.sh
var verifyScript string

// Verify looks at a Linux guest and says what is as wanted, what is not, and what
// could not be seen: a check for each. It changes nothing in the guest. The error
// is only that of the way into the guest.
func Verify(ctx context.Context, guest Guest, wanted Wanted) ([]Check, error) {
	seen, err := look(ctx, guest, wanted.Disks)
	if err != nil {
		return nil, fmt.Errorf("firstboot: %w", err)
	}
	return wanted.judge(seen), nil
}

// look reads a guest.
func look(ctx context.Context, guest Guest, disks []ModelsDisk) (sight, error) {
	argv := []string{"/bin/sh", "-c", verifyScript, "verify"}
	for _, d := range disks {
		argv = append(argv, d.Slot, d.Mount)
	}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: argv, Timeout: 5 * time.Minute})
	if err != nil {
		return sight{}, err
	}
	return parseSight(out), nil
}

// A sight is what the script saw of a guest, and why it did not see the rest.
type sight struct {
	values  map[string]string
	unseen  map[string]string // the reasons
	unended string            // why the script did not come to its end, or ""
}

// parseSight reads the script's report and passes over other lines.
func parseSight(out proxstation.GuestOutput) sight {
	s := sight{values: map[string]string{}, unseen: map[string]string{}}
	for line := range strings.Lines(out.Stdout) {
		line, ours := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "verify: ")
		at := strings.IndexAny(line, "=!")
		if !ours || at < 0 {
			continue
		}
		if line[at] == '=' {
			s.values[line[:at]] = line[at+1:]
		} else {
			s.unseen[line[:at]] = line[at+1:]
		}
	}
	if _, done := s.values["done"]; !done {
		s.unended = fmt.Sprintf("the script that looks at the guest ended early, with %d: %s", out.Code, strings.TrimSpace(out.Stderr))
	}
	return s
}

// get returns a value; reason says why there is none, and is "" if there is.
func (s sight) get(name string) (value, reason string) {
	if value, ok := s.values[name]; ok {
		return value, ""
	}
	if reason, ok := s.unseen[name]; ok {
		return "", reason
	}
	if s.unended != "" {
		return "", s.unended
	}
	return "", "the script that looks at the guest does not say"
}
