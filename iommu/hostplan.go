package iommu

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// A HostPlan is a plan to change files of the host and then to run commands. It
// is data: [HostPlan.Apply] makes these changes and no others. The zero
// HostPlan changes nothing.
type HostPlan struct {
	Changes  []FileChange `json:"changes,omitempty"`
	Commands [][]string   `json:"commands,omitempty"` // the commands to run after the changes, in order
	// Reboot says why the host must be restarted before the plan takes effect.
	// It is empty if no restart is needed.
	Reboot string `json:"reboot,omitempty"`
	// Findings holds facts that the plan does not change and that a person
	// should know before Apply. For example, it names devices that go to the
	// guest too because they share a group with the functions, and network
	// cards that lost their names.
	Findings []proxstation.Finding `json:"findings,omitempty"`
}

// A FileChange is a file's content before and after the plan. nil means that
// the file does not exist.
type FileChange struct {
	Path   string  `json:"path"` // the path from the machine's root, without a leading slash
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// Empty reports whether the plan changes nothing.
func (p HostPlan) Empty() bool { return len(p.Changes) == 0 && len(p.Commands) == 0 }

// The method "change" adds a change to the plan, unless the content stays the
// same. If the content "after" is empty, the file is removed.
func (p *HostPlan) change(path string, before *string, after string) {
	c := FileChange{Path: path, Before: before}
	if after != "" {
		c.After = &after
	}
	if !same(c.Before, c.After) {
		p.Changes = append(p.Changes, c)
	}
}

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// String returns the plan for a person to approve: a unified diff, the
// commands, and whether to restart.
func (p HostPlan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		b.WriteString(c.String())
	}
	for _, command := range p.Commands {
		fmt.Fprintf(&b, "$ %s\n", printable.Line(strings.Join(command, " ")))
	}
	if p.Reboot != "" {
		fmt.Fprintf(&b, "restart the host: %s\n", printable.Line(p.Reboot))
	}
	return b.String() + notes(p.Findings)
}

// The function "notes" returns findings as lines to print below a plan.
func notes(findings []proxstation.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "note: %s\n", printable.Line(f.Seen+": "+f.Why))
	}
	return b.String()
}

// String returns the change as a unified diff with one hunk. patch(1)
// understands it, unless the lines hold unprintable characters, which are
// quoted.
func (c FileChange) String() string {
	before, after := lines(c.Before), lines(c.After)
	name := func(prefix string, text *string) string {
		if text == nil {
			return "/dev/null"
		}
		return prefix + "/" + printable.Line(c.Path)
	}
	start := 0
	for start < len(before) && start < len(after) && before[start] == after[start] {
		start++
	}
	end := 0
	for end < len(before)-start && end < len(after)-start && before[len(before)-1-end] == after[len(after)-1-end] {
		end++
	}
	const context = 3
	from, tail := max(0, start-context), max(0, end-context)
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", name("a", c.Before), name("b", c.After))
	fmt.Fprintf(&b, "@@ -%s +%s @@\n", hunk(from, len(before)-tail), hunk(from, len(after)-tail))
	write := func(sign string, lines []string) {
		for _, line := range lines {
			b.WriteString(printable.Text(sign + line))
			if !strings.HasSuffix(line, "\n") {
				b.WriteString("\n\\ No newline at end of file\n")
			}
		}
	}
	write(" ", before[from:start])
	write("-", before[start:len(before)-end])
	write("+", after[start:len(after)-end])
	write(" ", before[len(before)-end:len(before)-tail])
	return b.String()
}

// The function "hunk" writes a range of lines as diff does. Lines are counted
// from 1. An empty range names the line before it.
func hunk(from, to int) string {
	if from == to {
		return fmt.Sprintf("%d,0", from)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

// The function "lines" splits a text into lines. The last line may have no
// newline at its end.
func lines(text *string) []string {
	if text == nil || *text == "" {
		return nil
	}
	split := strings.SplitAfter(*text, "\n")
	if split[len(split)-1] == "" {
		split = split[:len(split)-1]
	}
	return split
}
