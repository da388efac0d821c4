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
	Info                 // worth knowing; there is nothing to do
	Warning              // the subject works, with a risk or a cost
	Blocker              // the subject does not work until the cause is fixed
)

var severities = []string{"unspecified", "info", "warning", "blocker"}

// ErrSeverity reports a text that is not the name of a severity.
var ErrSeverity = errors.New("proxstation: unknown severity")

// String returns the severity as it is written in JSON: "info", "warning" or
// "blocker".
func (s Severity) String() string { return enum.Name(severities, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrSeverity].
func (s *Severity) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, severities, string(text), ErrSeverity)
}

// A Finding is a single result of a judgement: what was seen, why it matters
// and what to do about it.
type Finding struct {
	// ID names the rule, not the occurrence: "iommu.off", "gpu.shared-group".
	// It is stable across releases, so programs may depend on it.
	ID string `json:"id"`
	// Severity says how much the finding matters.
	Severity Severity `json:"severity"`
	// Subject is the thing that was judged: a PCI address, a storage, a VM.
	Subject string `json:"subject"`
	// Seen holds the evidence: a file and its value, or an API answer.
	Seen string `json:"seen"`
	// Why is the harm that comes if nothing is done.
	Why string `json:"why"`
	// Fix says what to do. It is empty if there is nothing to do.
	Fix string `json:"fix"`
}

// String returns the finding as a paragraph for people. Unprintable characters
// are quoted.
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
