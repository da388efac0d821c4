package workstation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/storage"
)

// A Sign says how an object or a line changes. Its value is the character that
// is printed in front of it.
type Sign rune

// The signs of a plan.
const (
	SignAdd     Sign = '+'
	SignModify  Sign = '~'
	SignDestroy Sign = '-'
)

// A StepLine is one attribute of a [StepChange].
type StepLine struct {
	Sign Sign
	Key  string
	// Have is the value now and Want the value afterwards; each is empty if
	// there is no value.
	Have, Want string
	// Note explains the value: why a disk goes to a storage, or that a change
	// waits for the next start.
	Note string
}

// A StepChange describes the change of a step as data, for people and programs.
type StepChange struct {
	Sign   Sign
	Object string // what is changed: "VM 140 windows", "mapping rtx5070ti"
	Lines  []StepLine
	// Needs holds the privileges that PVE asks for.
	Needs []Privilege
	// RootTicket names the keys that only root@pam with a password may set. An
	// API token cannot set them (qemu-server, PVE/API2/Qemu.pm).
	RootTicket []string
}

// A Privilege is a right on a path of PVE's access tree (PVE manual, User
// Management). A Name such as "A|B" means that either right is enough.
type Privilege struct{ Path, Name string }

// String returns the privilege in the form of PVE's error messages.
func (p Privilege) String() string { return printable.Line(p.Path + " " + p.Name) }

// A Step is one change of a plan. The set of steps is closed: [PutMapping],
// [CreateVM], [ChangeVM], [GrowDisk] and [DestroyVM].
type Step interface {
	// change returns the changes of the step.
	change() StepChange
	apply(ctx context.Context, a *applier) error
}

// A Plan is a list of changes, as data. [Node.Apply] makes the changes in its
// steps and no others. Its String is the diff that a person approves.
type Plan struct {
	// Node is the node the plan was made for.
	Node string
	// Steps holds the changes, which are made in this order.
	Steps []Step
	// Outlook says how full the storages are now, and how full they will be
	// when the disks that the plan adds are completely written. Imported disks
	// without a Size are not counted, because only PVE knows how large their
	// images are.
	Outlook []storage.Outlook
	// Findings holds warnings and blockers. With a blocker, no apply begins.
	Findings []proxstation.Finding
}

// Changes returns the changes of all steps, in order.
func (p Plan) Changes() []StepChange {
	changes := make([]StepChange, len(p.Steps))
	for i, step := range p.Steps {
		changes[i] = step.change()
	}
	return changes
}

// Empty reports whether nothing has to be done.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Destroys reports whether a step of the plan destroys data.
func (p Plan) Destroys() bool {
	return slices.ContainsFunc(p.Changes(), func(c StepChange) bool { return c.Sign == SignDestroy })
}

// String returns the plan as a diff for a person to approve.
func (p Plan) String() string {
	var b strings.Builder
	if p.Empty() {
		b.WriteString(printable.Sprintf("Plan for node %s: nothing to do\n", p.Node))
	} else {
		count := map[Sign]int{}
		for _, change := range p.Changes() {
			count[change.Sign]++
		}
		b.WriteString(printable.Sprintf("Plan for node %s: %d to add, %d to change, %d to destroy\n",
			p.Node, count[SignAdd], count[SignModify], count[SignDestroy]))
	}
	for _, change := range p.Changes() {
		b.WriteString("\n" + change.String())
	}
	if len(p.Outlook) > 0 {
		b.WriteString("\nStorages, when the new disks are full\n")
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, o := range p.Outlook {
			fmt.Fprintf(w, "    %s\t%.0f %% -> %.0f %%\t# %s more\n", printable.Line(o.Pool), o.Before*100, o.After*100, o.Added.Human())
		}
		w.Flush()
	}
	for _, f := range p.Findings {
		b.WriteString("\n" + f.String() + "\n")
	}
	return b.String()
}

// String returns the change in the form that it has in a diff.
func (c StepChange) String() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("%s %s\n", string(c.Sign), c.Object))
	width := 0
	for _, line := range c.Lines {
		width = max(width, len(printable.Line(line.Key)))
	}
	for _, line := range c.Lines {
		b.WriteString(printable.Sprintf("    %s %-*s  %s\n", string(line.Sign), width, line.Key, line.text()))
	}
	if len(c.RootTicket) > 0 {
		b.WriteString(printable.Sprintf("    ! only root@pam with a password may set: %s\n", strings.Join(c.RootTicket, ", ")))
	}
	return b.String()
}

// text returns the values and the note. They are printed as one line, so that a
// description cannot pass for another part of the plan.
func (l StepLine) text() string {
	text := l.Want
	switch {
	case l.Have != "" && l.Want != "":
		text = l.Have + " -> " + l.Want
	case l.Want == "":
		text = l.Have
	}
	if l.Note != "" {
		text += "   # " + l.Note
	}
	return text
}
