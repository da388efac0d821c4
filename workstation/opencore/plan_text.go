package opencore

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// NotesFor returns the plan as findings about a subject, for the field Notes of
// a VM in package workstation. The first finding lists the changes. The others
// are the findings that remain after the plan.
func (p Plan) NotesFor(subject string) []proxstation.Finding {
	notes := []proxstation.Finding{{ID: "opencore.image", Severity: proxstation.Info, Subject: subject, Seen: p.Image + ": " + strings.Join(p.Lines(), "; "),
		Why: "The VM starts from a copy of the image with these changes.", Fix: strings.Join(append(p.Notes, "The image itself stays: it is the way back."), " ")}}
	if p.Empty() {
		notes[0].Seen, notes[0].Why, notes[0].Fix = p.Image, "The image is as the VM needs it.", ""
	}
	for _, f := range p.Findings {
		f.Subject = subject
		notes = append(notes, f.Finding)
	}
	return notes
}

// Lines returns the changes of the image as lines of a diff. Kernel extensions
// come first. The lines show no identity.
func (p Plan) Lines() []string {
	var lines []string
	for _, k := range p.Replaced {
		lines = append(lines, printable.Sprintf("- %s %s", k.Path, k.Version))
	}
	for _, b := range p.Bundles {
		lines = append(lines, printable.Sprintf("+ %s %s", b.Path, b.Version))
	}
	for _, c := range p.Changes {
		lines = append(lines, c.Change.String())
	}
	return lines
}

// GoString returns the same text as String, so %#v shows no serial number
// either.
func (p Plan) GoString() string { return p.String() }

// String returns the plan as a diff, with the findings that remain.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Image: %s\n", printable.Line(p.Image))
	if p.Empty() {
		b.WriteString("  nothing to change\n")
	}
	for _, k := range p.Replaced {
		fmt.Fprintf(&b, "  - %s/Kexts/%s  %s %s  # The whole folder is removed: the extension that was given takes its place.\n", folder, printable.Line(k.Path), printable.Line(k.ID), printable.Line(k.Version))
	}
	for _, bundle := range p.Bundles {
		fmt.Fprintf(&b, "  + %s/Kexts/%s  %s %s\n", folder, printable.Line(bundle.Path), printable.Line(bundle.ID), printable.Line(bundle.Version))
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "  %s  # %s (%s)\n", c.Change, printable.Line(c.Why), printable.Line(c.ID))
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "  ! %s\n", printable.Line(note))
	}
	for _, f := range p.Findings {
		b.WriteString("\n" + f.String() + "\n")
	}
	return b.String()
}

// Reports whether the change's values are part of an identity, or contain such
// a part.
func (c Change) hides() bool {
	return slices.ContainsFunc(identity, func(id identityKey) bool {
		key := genericKey(id.name)
		return len(c.Key) <= len(key) && slices.Equal(c.Key, key[:len(c.Key)])
	})
}

// Returns a value as a text that hides identities.
func (c Change) shown(v Value) string {
	if c.hides() && v.Kind != Absent {
		return "[identity]"
	}
	return printable.Line(v.String())
}

// String returns the change as a line of a diff.
func (c Change) String() string {
	switch {
	case c.Have.Kind == Absent:
		return fmt.Sprintf("+ %s: %s", printable.Line(c.Key.String()), c.shown(c.Want))
	case c.Want.Kind == Absent:
		return fmt.Sprintf("- %s: %s", printable.Line(c.Key.String()), c.shown(c.Have))
	}
	return fmt.Sprintf("~ %s: %s -> %s", printable.Line(c.Key.String()), c.shown(c.Have), c.shown(c.Want))
}

// MarshalJSON implements [json.Marshaler]. It hides identities, as String does.
func (c Change) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"key": c.Key.String(), "have": c.shown(c.Have), "want": c.shown(c.Want)})
}
