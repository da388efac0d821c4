package firstboot

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// A Guest runs commands in a guest as root. The agent of package workstation is
// a Guest.
type Guest interface {
	// Run runs a command and waits until it ends. An exit code other than 0 is
	// not an error.
	Run(ctx context.Context, command proxstation.GuestCommand) (proxstation.GuestOutput, error)
}

// Wanted describes how a Linux guest should be after its set-up.
type Wanted struct {
	// Driver says that NVIDIA's driver is wanted. Card says that the driver
	// should run a card.
	Driver, Card bool
	// Disks holds the disks that should be mounted.
	Disks []ModelsDisk
	// RustDesk says that RustDesk is wanted, as a service with an ID.
	RustDesk bool
}

// Wanted returns the state that the set-up tries to reach: the driver if NVIDIA
// is set, and the disk for models if Models is set. Card is not set, because
// the set-up does not know whether the VM has a card.
func (g LinuxAI) Wanted() Wanted {
	w := Wanted{Driver: g.NVIDIA}
	if g.Models != nil {
		w.Disks = []ModelsDisk{*g.withDefaults().Models}
	}
	return w
}

// A Check is the result of looking at one thing in a guest. If the Answer is
// yes, its Severity is [proxstation.Info], and Why and Fix are empty.
type Check struct {
	// Answer is yes if the guest is as wanted, and no if it is not. It is
	// unknown if this could not be found out.
	Answer proxstation.Answer `json:"answer"`
	proxstation.Finding
}

// String returns the check as a paragraph for people.
func (c Check) String() string { return c.Answer.String() + ", " + c.Finding.String() }

// These are the values of [proxstation.Finding].ID in a Check.
const (
	CheckAgent    = "firstboot.agent"    // the guest agent runs
	CheckDriver   = "firstboot.driver"   // NVIDIA's driver is installed and loaded
	CheckCard     = "firstboot.card"     // nvidia-smi lists a card
	CheckDisk     = "firstboot.disk"     // the disk is mounted in its directory; the Subject is its slot
	CheckRustDesk = "firstboot.rustdesk" // RustDesk runs and has an ID
)

//go:embed scripts/verify.sh
var verifyScript string

// Verify inspects a Linux guest and returns a check for each wanted thing. If
// Verify cannot inspect a thing, the check's Answer is unknown. Verify changes
// nothing in the guest. It returns an error only if it cannot run a command in
// the guest.
func Verify(ctx context.Context, guest Guest, wanted Wanted) ([]Check, error) {
	seen, err := look(ctx, guest, wanted.Disks)
	if err != nil {
		return nil, fmt.Errorf("firstboot: %w", err)
	}
	return wanted.judge(seen), nil
}

// Runs the script in the guest and parses its report.
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

// A sight is the report of the script. It holds the values that the script saw
// in a guest. For each value that the script could not see, it holds the
// reason.
type sight struct {
	values  map[string]string
	unseen  map[string]string // the reasons, by the name of the missing value
	unended string            // why the script ended early, or ""
}

// parseSight parses the script's report. It ignores lines that are not from the
// script.
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

// Returns a value by its name. If there is no such value, reason says why.
// Otherwise reason is "".
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
