// Package finding holds what every judgement of proxstation returns. Public
// packages give it to their callers as an alias (iommu.Finding, gpu.Finding,
// storage.Finding), so that findings of different packages mix in one list.
package finding

import (
	"fmt"
	"strings"
)

// A Severity says how much a [Finding] matters.
type Severity uint8

// The severities, from what is only told to what stops the work.
const (
	Unspecified Severity = iota
	Info                 // worth knowing, nothing to do
	Warning              // works, with a risk or a cost
	Blocker              // does not work until it is fixed
)

var severities = [...]string{"unspecified", "info", "warning", "blocker"}

// String returns the severity as it stands in JSON: "info", "warning" or
// "blocker".
func (s Severity) String() string {
	if int(s) >= len(severities) {
		return fmt.Sprintf("Severity(%d)", uint8(s))
	}
	return severities[s]
}

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Severity) UnmarshalText(text []byte) error {
	for i, name := range severities {
		if name == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q", text)
}

// A Finding is one thing a judgement found: what was seen, why it matters and
// what to do about it.
type Finding struct {
	// ID names the rule, not the occurrence: "iommu.off", "gpu.shared-group".
	// It is stable across releases; programs branch on it.
	ID string `json:"id"`
	// Severity says how much it matters.
	Severity Severity `json:"severity"`
	// Subject is what it is about: a PCI address, a storage, a VM.
	Subject string `json:"subject"`
	// Seen is the evidence: a file and its value, or an API answer.
	Seen string `json:"seen"`
	// Why says what goes wrong if nothing is done.
	Why string `json:"why"`
	// Fix says what to do; empty where there is nothing to do.
	Fix string `json:"fix"`
}

// String returns the finding as a paragraph for people.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s)", f.Severity, f.Subject, f.ID)
	for _, part := range []struct{ label, text string }{{"seen", f.Seen}, {"why", f.Why}, {"fix", f.Fix}} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n  %-5s %s", part.label+":", part.text)
		}
	}
	return b.String()
}

// Worst returns the highest severity among the findings, and Unspecified if
// there are none.
func Worst(findings []Finding) Severity {
	worst := Unspecified
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}
