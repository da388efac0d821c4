package proxstation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Severity says how much a [Finding] matters.
type Severity uint8

// The severities, from the least to the most serious.
const (
	Unspecified Severity = iota
	Info                 // worth knowing, nothing to do
	Warning              // works, with a risk or a cost
	Blocker              // does not work until it is fixed
)

var severities = []string{"unspecified", "info", "warning", "blocker"}

// ErrSeverity reports a text that names no severity.
var ErrSeverity = errors.New("proxstation: unknown severity")

// String returns the severity as JSON has it: "info", "warning" or "blocker".
func (s Severity) String() string { return enum.Name(severities, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrSeverity].
func (s *Severity) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, severities, string(text), ErrSeverity)
}

// A Finding is one thing that a judgement found: what was seen, why it matters
// and what to do about it.
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

// String returns the finding as a paragraph for people. What does not print on
// a terminal is quoted.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%s)", f.Severity, printable.Line(f.Subject), printable.Line(f.ID))
	for _, part := range []struct{ label, text string }{{"seen", f.Seen}, {"why", f.Why}, {"fix", f.Fix}} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n  %-5s %s", part.label+":", printable.Line(part.text))
		}
	}
	return b.String()
}

// Worst returns the highest severity among the findings, and [Unspecified] for
// an empty list.
func Worst(findings []Finding) Severity {
	worst := Unspecified
	for _, f := range findings {
		worst = max(worst, f.Severity)
	}
	return worst
}
