package board

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
)

// Held reports whether all buttons are disabled. They are disabled while this
// board or another controller is at work, and while the node does not answer.
func (v View) Held() bool {
	return v.Job != nil || v.Trouble != nil || v.Lease != nil && !v.Lease.Ours && v.Lease.SecondsLeft > 0
}

// Losing reports whether somebody would lose a desktop by a switch to the
// system.
func (v View) Losing(to int) bool { return v.Running != 0 && v.Running != to }

// Look returns the CSS classes of a system's card on the page. They say whether
// the system is on, off, or out of sight, and whether a job starts it or shuts
// it down.
func (v View) Look(s System) string {
	look := "is-off"
	switch {
	case s.On:
		look = "is-on"
	case s.Away:
		look = "is-away"
	}
	if j := v.Job; j != nil && (s.VMID == j.VMID || s.VMID == j.From && s.On) {
		look += " moving"
	}
	return look
}

// State returns a system's state in words, such as "Starting".
func (v View) State(s System) string {
	switch j := v.Job; {
	case s.On && j != nil && (j.From == s.VMID || j.Action == ActionShutdown):
		return "On, shutting down"
	case s.On && j != nil && j.VMID == s.VMID:
		return "Starting"
	case s.On:
		return "On for " + ago(v.At.Sub(*s.Since))
	case j != nil && j.VMID == s.VMID && j.Action == ActionSwitch:
		return "Next"
	case s.Away:
		return "Not known: node " + s.Node + " is away"
	case s.Blocked():
		return "Off, and cannot start now"
	}
	return "Off"
}

// Place returns the name of a system's node, or "" if all systems are on the
// same node.
func (v View) Place(s System) string {
	if slices.ContainsFunc(v.Systems, func(other System) bool { return other.Node != s.Node }) {
		return s.Node
	}
	return ""
}

// Says returns a step's state in words.
func (s Step) Says() string {
	return map[string]string{"done": "done", "now": "under way", "todo": "to do", "failed": "did not work"}[s.State]
}

// JobTitle returns a title for the job in a few words.
func (v View) JobTitle() string {
	name := v.name(v.Job.VMID)
	if v.Job.Action == ActionShutdown {
		return "Shutting down " + name
	}
	if v.Job.From == 0 {
		return "Starting " + name
	}
	return "Switching to " + name
}

// Verb returns the text of a question's button.
func (q question) Verb() string {
	switch {
	case q.Action == ActionShutdown:
		return "Shut down " + q.Target.Name
	case q.Losing(q.Target.VMID):
		return "Shut down " + q.RunningName + " and start " + q.Target.Name
	}
	return "Start " + q.Target.Name
}

// Blocked reports whether a system is off and a switch to it would not begin.
func (s System) Blocked() bool { return !s.On && s.CanSwitch == proxstation.No }

// A why is the text that is folded under a button.
type why struct {
	Title    string
	Findings []proxstation.Finding
}

// Why returns the text that is folded under a system's button, or nil if there
// is no text.
func (s System) Why() *why {
	switch n := len(s.Reasons); {
	case n == 0 || s.On:
		return nil
	case s.Blocked():
		found := s.blockers()
		return &why{"Why not? " + count(len(found), "reason"), found}
	case s.CanSwitch == proxstation.Unknown:
		return &why{"It may not start: " + count(n, "thing"), s.Reasons}
	default:
		return &why{"Good to know: " + count(n, "thing"), s.Reasons}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// TroubleText returns a text that says since when the node does not answer, and
// how old the shown systems are.
func (v View) TroubleText() string { return troubleText(v.Trouble, v.At, "the systems") }

// HostTroubleText returns a text that says since when the host cannot be
// observed, and how old the shown storages are.
func (v View) HostTroubleText() string { return troubleText(v.HostTrouble, v.At, "the host") }

func troubleText(t *Trouble, now time.Time, what string) string {
	text := "It does not answer any more."
	if silent := now.Sub(t.Since); silent >= slow {
		text = fmt.Sprintf("It has not answered for %s.", span(silent))
	}
	if t.Seen == nil {
		return text + " Nothing was seen of " + what + " yet."
	}
	return text + fmt.Sprintf(" What you see of %s is %s old.", what, span(now.Sub(*t.Seen)))
}

// A tierShown holds the storages of one tier.
type tierShown struct {
	Title string
	Pools []Pool
}

// Tiers returns the storages, grouped by tier.
func (v View) Tiers() []tierShown {
	var tiers []tierShown
	for i, p := range v.Pools {
		if i == 0 || v.Pools[i-1].Tier != p.Tier {
			title := "Tier " + p.Tier.String() + " · " + p.Tier.Media()
			if p.Tier == storage.TierUnknown {
				title = "Tier not known"
			}
			tiers = append(tiers, tierShown{Title: title})
		}
		last := &tiers[len(tiers)-1]
		last.Pools = append(last.Pools, p)
	}
	return tiers
}

// Fill returns words for the used part of a storage.
func (p Pool) Fill() string {
	if !p.Active {
		return "not active"
	}
	size := storage.Size(p.TotalBytes).Human()
	if whole, unit, found := strings.Cut(size, "."); found && (len(whole) > 2 || unit[0] == '0') {
		size = whole + unit[1:] // "228 GiB"
	}
	return fmt.Sprintf("%d %% of %s", p.UsedPercent, size)
}

// Level returns the CSS class of the bar that shows how full a storage is.
func (p Pool) Level() string {
	switch {
	case !p.Active:
		return "absent"
	case p.UsedPercent >= 90:
		return "full"
	case p.UsedPercent >= 75:
		return "high"
	}
	return "fine"
}

// VerdictText sums up the findings in words.
func (v View) VerdictText() string {
	n := 0
	for _, f := range v.Findings {
		if f.Severity > proxstation.Info {
			n++
		}
	}
	switch {
	case n == 0:
		return "The host is in order."
	case v.Verdict == proxstation.Blocker.String():
		return count(n, "thing") + " to mend"
	}
	return count(n, "thing") + " to look at"
}

// FindingsTitle returns the title under which the findings are folded.
func (v View) FindingsTitle() string {
	if v.Verdict == "ok" {
		return count(len(v.Findings), "note")
	}
	return count(len(v.Findings), "finding")
}
