package term

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/loader"
)

var signs = map[workstation.Sign]colour{workstation.SignAdd: green, workstation.SignModify: yellow, workstation.SignDestroy: red}

// Plan writes a plan: its blockers, the copies that are brought to the node
// first, its steps, the use of the storages, and the other findings. If the
// plan is blocked, the text ends with the actions that must be done first.
func (t *Terminal) Plan(p workstation.Plan, copies ...loader.Copy) {
	t.plan(p, nil, copies, func() {})
}

// Install writes a plan that also sets up guests: the parts of [Terminal.Plan],
// and then the work after the steps.
func (t *Terminal) Install(p install.Plan, copies ...loader.Copy) {
	var seeds []string
	for _, s := range p.SetUps {
		if s.Seed != "" {
			seeds = append(seeds, fmt.Sprintf("%s   # %s: the seed of VM %d %s, deleted when the guest has reported", s.Seed, s.Size.Human(), s.VMID, s.Name))
		}
	}
	t.plan(p.First, seeds, copies, func() {
		for _, s := range p.SetUps {
			fmt.Fprintln(t.w)
			t.Lines(s.String())
		}
	})
}

// Lines writes a text of several lines, and breaks each line between words. If
// a line begins with a number or a sign, its continuation is indented as far as
// the text after the number or sign.
func (t *Terminal) Lines(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		front := marker.FindString(line)
		t.paragraph(front, strings.Repeat(" ", len(front)), line[len(front):])
	}
}

var marker = regexp.MustCompile(`^ *(\d+\. +|[+~-] )?`)

// plan writes a plan, with the seeds and copies before its steps. After the
// steps it calls the function "then".
func (t *Terminal) plan(p workstation.Plan, seeds []string, copies []loader.Copy, then func()) {
	count := map[workstation.Sign]int{}
	for _, c := range p.Changes() {
		count[c.Sign]++
	}
	if p.Empty() && len(seeds) == 0 {
		t.Say("Plan for node %s: nothing to do", p.Node)
	} else {
		t.Say("Plan for node %s: %d to add, %d to change, %d to destroy", p.Node, count[workstation.SignAdd], count[workstation.SignModify], count[workstation.SignDestroy])
	}
	blockers, others := split(p.Findings)
	t.Findings(blockers)
	for i, seed := range seeds {
		if i == 0 {
			fmt.Fprintln(t.w)
		}
		t.paragraph(t.paint(green, "+")+" ", "    ", seed)
	}
	for _, c := range copies {
		if c.Volume == "" {
			continue
		}
		fmt.Fprintln(t.w)
		t.Lines(c.String())
		others = slices.DeleteFunc(others, func(f proxstation.Finding) bool { return f.ID == "opencore.image" && f.Subject == c.Subject() })
	}
	for _, c := range p.Changes() {
		t.change(c)
	}
	then()
	t.outlook(p)
	t.Findings(others)
	t.ToDo(blockers)
}

// change writes a step: its sign and object, and below them its attributes. Old
// and new values are side by side.
func (t *Terminal) change(c workstation.StepChange) {
	fmt.Fprintf(t.w, "\n%s %s\n", t.paint(signs[c.Sign], string(c.Sign)), t.paint(bold, printable.Line(c.Object)))
	longest := 0
	for _, line := range c.Lines {
		longest = max(longest, width(printable.Line(line.Key)))
	}
	longest = min(longest, t.width/3)
	for _, line := range c.Lines {
		text := line.Want
		switch {
		case line.Have != "" && line.Want != "":
			text = line.Have + " -> " + line.Want
		case line.Want == "":
			text = line.Have
		}
		front := fmt.Sprintf("    %s %-*s  ", t.paint(signs[line.Sign], string(line.Sign)), longest, printable.Line(line.Key))
		behind := strings.Repeat(" ", width(front))
		note := ""
		if line.Note != "" {
			note = "# " + printable.Line(line.Note)
		}
		if text = printable.Line(text); width(front)+width(text)+3+width(note) <= t.width && note != "" {
			fmt.Fprintln(t.w, front+text+"   "+t.paint(dim, note))
			continue
		}
		t.paragraph(front, behind, text)
		if note != "" {
			for _, part := range wrap(note, t.width-width(behind)) {
				fmt.Fprintln(t.w, behind+t.paint(dim, part))
			}
		}
	}
	if len(c.RootTicket) > 0 {
		t.paragraph("    "+t.paint(yellow, "!")+" ", "      ", "only root@pam with a password may set: "+strings.Join(c.RootTicket, ", "))
	}
}

func (t *Terminal) outlook(p workstation.Plan) {
	if len(p.Outlook) == 0 {
		return
	}
	longest := 0
	for _, o := range p.Outlook {
		longest = max(longest, width(printable.Line(o.Pool)))
	}
	t.Say("\nStorages, when the new disks are full")
	for _, o := range p.Outlook {
		fmt.Fprintf(t.w, "    %-*s  %3.0f %% -> %3.0f %%   %s more\n", longest, printable.Line(o.Pool), o.Before*100, o.After*100, o.Added.Human())
	}
}

// split returns the blockers and the other findings. The other findings are
// sorted, the worst first.
func split(findings []proxstation.Finding) (blockers, others []proxstation.Finding) {
	for _, f := range findings {
		if f.Severity == proxstation.Blocker {
			blockers = append(blockers, f)
		} else {
			others = append(others, f)
		}
	}
	slices.SortStableFunc(others, func(a, b proxstation.Finding) int { return int(b.Severity) - int(a.Severity) })
	return blockers, others
}

var severities = map[proxstation.Severity]colour{proxstation.Blocker: red, proxstation.Warning: yellow, proxstation.Info: cyan}

// Findings writes findings, the worst first. Findings with the same text on
// several subjects are written once.
func (t *Terminal) Findings(findings []proxstation.Finding) {
	findings = loginFixes(findings)
	blockers, others := split(findings)
	var written []proxstation.Finding
	for _, f := range append(blockers, others...) {
		same := slices.IndexFunc(written, func(w proxstation.Finding) bool {
			return w.ID == f.ID && w.Seen == f.Seen && w.Why == f.Why && w.Fix == f.Fix && w.Severity == f.Severity
		})
		switch {
		case same < 0:
			written = append(written, f)
		case !slices.Contains(strings.Split(written[same].Subject, ", "), f.Subject):
			written[same].Subject += ", " + f.Subject
		}
	}
	for _, f := range written {
		label := f.Severity.String()
		fmt.Fprintln(t.w)
		t.paragraph(t.paint(severities[f.Severity], label)+": ", "  ", fmt.Sprintf("%s (%s)", printable.Line(f.Subject), f.ID))
		for _, part := range []struct{ label, text string }{{"seen", f.Seen}, {"why", f.Why}, {"fix", f.Fix}} {
			if part.text != "" {
				t.paragraph(fmt.Sprintf("  %-5s ", part.label+":"), "        ", printable.Line(part.text))
			}
		}
	}
}

// ToDo writes the fixes of the blockers, which must be done before the plan can
// be applied. Without blockers it writes nothing.
func (t *Terminal) ToDo(findings []proxstation.Finding) {
	findings = loginFixes(findings)
	blockers, _ := split(findings)
	if len(blockers) == 0 {
		return
	}
	t.Say("\n%s", "Blocked. Nothing is changed until this is done:")
	var told []string
	for _, f := range blockers {
		text := f.Fix
		if text == "" {
			text = f.Why
		}
		if text = f.Subject + ": " + text; !slices.Contains(told, text) {
			told = append(told, text)
			t.paragraph(fmt.Sprintf("  %d. ", len(told)), "     ", printable.Line(text))
		}
	}
}

// loginFixes adds the variables to findings that ask for a login with a
// password, if the environment has a token.
func loginFixes(findings []proxstation.Finding) []proxstation.Finding {
	if os.Getenv("PROXMOX_VE_API_TOKEN") == "" {
		return findings
	}
	findings = slices.Clone(findings)
	for i := range findings {
		if f := &findings[i]; f.ID == "workstation.root-only" && f.Fix != "" {
			f.Fix += " For the password: unset PROXMOX_VE_API_TOKEN, and set PROXMOX_VE_USERNAME=root@pam and PROXMOX_VE_PASSWORD."
		}
	}
	return findings
}
