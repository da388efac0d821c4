package install

import (
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

func list(privileges []workstation.Privilege) string {
	var names []string
	for _, p := range privileges {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// String returns the plan as the text that a person approves.
func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p.SetUps {
		if s.Seed != "" {
			b.WriteString(printable.Sprintf("+ %s   # %s: the seed of VM %d %s, deleted when the guest has reported\n", s.Seed, s.Size.Human(), s.VMID, s.Name))
		}
	}
	b.WriteString(p.First.String())
	for _, s := range p.SetUps {
		b.WriteString("\n" + s.String())
	}
	return b.String()
}

// String returns the set-up as a numbered list.
func (s SetUp) String() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("Then %s in VM %d %s is set up\n", s.guest.system().name, s.VMID, s.Name))
	for i, line := range s.steps() {
		fmt.Fprintf(&b, "  %2d. %s\n", i+1, line) // a step may have several lines
	}
	fmt.Fprintf(&b, "   needs %s\n", list(s.Needs))
	return b.String()
}

func (s SetUp) steps() []string {
	lines := []string{"the VM starts, unless it runs"}
	if len(cards(s.vm)) > 0 {
		lines[0] += "; " + s.guest.cardText()
	}
	switch {
	case s.Seed == "" && s.guest.Again:
		lines = append(lines, "the guest's own set-up runs again, and does not repeat completed work")
	case s.Seed == "":
		lines = append(lines, "the guest's own set-up goes on; if it has failed, it runs again, and does not repeat completed work")
	case s.guest.Windows != nil:
		lines = append(lines, fmt.Sprintf("\"Press any key to boot from CD\" is answered, for %d seconds", int(keysFor.Seconds())))
	}
	lines = append(lines, fmt.Sprintf("the guest reports through its agent, within %d minutes", int(s.guest.patience().Minutes())))
	if s.Seed != "" {
		lines = append(lines, printable.Sprintf("the seed is taken out of %s and deleted, even if the set-up failed", s.SeedSlot))
	}
	if len(s.Later) > 0 || s.guest.Windows != nil {
		var b strings.Builder
		b.WriteString("the VM is shut down, changed and started again:")
		for _, line := range s.Later {
			b.WriteString(printable.Sprintf("\n        %s %s  %s", string(line.Sign), line.Key, line.Want))
		}
		if s.guest.Windows != nil {
			b.WriteString("\n        ~ net0  the network is connected")
		}
		lines = append(lines, b.String())
	}
	if w := s.guest.Windows; w != nil && w.Games != nil {
		lines = append(lines, printable.Sprintf("drive %s: is made on %s, if nothing is on that disk", orD(w.Games.Letter), w.Games.Slot))
	}
	if w := s.guest.Windows; w != nil && w.Driver != nil {
		lines = append(lines, "the card's driver is installed")
	}
	if s.guest.RustDesk != nil {
		lines = append(lines, "RustDesk is set up, and its ID read")
	}
	return lines
}

func orD(letter string) string {
	if letter == "" {
		return "D"
	}
	return letter
}

// patience is how long a guest may take until it reports. Installing Windows
// takes long, and so does building a driver on a slow disk.
func (g Guest) patience() time.Duration {
	if g.Windows != nil {
		return 3 * time.Hour
	}
	return 90 * time.Minute
}
