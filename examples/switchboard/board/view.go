package board

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A View holds everything that the page shows. It is also the answer to GET
// /api/status.
type View struct {
	// At is the time at which the view was made.
	At time.Time `json:"at,omitzero"`
	// Host is the node's name. Card is the name of the card that the systems
	// share. Card is "" if the host was not read yet.
	Host string `json:"host"`
	Card string `json:"card,omitempty"`
	// Running is the VMID of the system that has the card, and RunningName is
	// its name. If no system runs, they are 0 and "".
	Running     int    `json:"running"`
	RunningName string `json:"runningName"`
	// Systems holds the members in the order of their VMIDs. It is empty if the
	// node did not answer yet.
	Systems []System `json:"systems"`
	// Lease is the lease of another controller. It is nil if there is no lease.
	Lease *Lease `json:"lease,omitempty"`
	// Job is the job of this board. It is nil if no job is under way.
	Job *Job `json:"job,omitempty"`
	// Outcome describes the end of the last job. It is nil before the first job
	// has ended, and after a person dismissed the outcome.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Trouble is set if the node does not answer. The data in Systems is then
	// old.
	Trouble *Trouble `json:"trouble,omitempty"`
	// Pools holds the host's storages, fast ones first.
	Pools []Pool `json:"pools"`
	// Verdict is the worst severity among Findings. It is Unknown if the host
	// could not be observed.
	Verdict  string                `json:"verdict"`
	Findings []proxstation.Finding `json:"findings"`
	// HostTrouble says why Pools and Findings are old or empty.
	HostTrouble *Trouble `json:"hostTrouble,omitempty"`

	grace, boot time.Duration
}

// A System is one of the VMs that share the card.
type System struct {
	VMID int    `json:"vmid"`
	Name string `json:"name"`
	On   bool   `json:"on"`
	// Node is the node on which the system is. Away says that the node is away:
	// the system may run there although On is false.
	Node string `json:"node"`
	Away bool   `json:"away,omitempty"`
	// Since is the time at which the system was started. It is nil if the
	// system is off.
	Since *time.Time `json:"since,omitempty"`
	// CanSwitch says whether a switch to the system would begin. Reasons holds
	// the obstacles, and what a person should know before a switch.
	CanSwitch proxstation.Answer    `json:"canSwitch"`
	Reasons   []proxstation.Finding `json:"reasons,omitempty"`
}

// A Lease describes another controller that is at work.
type Lease struct {
	ID    string            `json:"id"`
	Owner string            `json:"owner"`
	From  int               `json:"from,omitempty"`
	To    int               `json:"to,omitempty"`
	Phase workstation.Phase `json:"phase"`
	// SecondsLeft is the time for which the lease stays valid if its owner does
	// not renew it.
	SecondsLeft int `json:"secondsLeft"`
	// Ours says that an interrupted switch of this board left the lease. The
	// next switch continues from there.
	Ours bool `json:"ours,omitempty"`
}

// A Trouble describes a question that the node does not answer.
type Trouble struct {
	// Since is the time at which the first failed read began, or the read that
	// is still under way.
	Since time.Time `json:"since"`
	// Seen is the time of the last answer. It is nil if no answer ever came.
	Seen *time.Time `json:"seen,omitempty"`
	// Error is the error of the last read. It is "" while the board still waits
	// for the node.
	Error string `json:"error,omitempty"`
}

// A Pool is a storage of the host.
type Pool struct {
	Name        string       `json:"name"`
	Tier        storage.Tier `json:"tier"`
	Active      bool         `json:"active"`
	UsedBytes   int64        `json:"usedBytes"`
	TotalBytes  int64        `json:"totalBytes"`
	UsedPercent int          `json:"usedPercent"`
}

// judge makes a view from the last answers.
func judge(duo workstation.DualBoot, opts Options, state seen[workstation.DualBootStatus], host seen[workstation.Facts], now time.Time) View {
	v := View{At: now, Host: opts.Host, Systems: []System{}, Pools: []Pool{}, Findings: []proxstation.Finding{},
		Trouble: trouble(state, now), HostTrouble: trouble(host, now), Verdict: "unknown", grace: duo.Grace, boot: duo.Boot}
	for _, m := range state.value.Members {
		s := System{VMID: m.VMID, Name: cmp.Or(opts.Labels[m.VMID], m.Name, fmt.Sprintf("VM %d", m.VMID)), On: m.Running, Node: m.Node, Away: m.Away, CanSwitch: m.CanStart, Reasons: m.Why}
		if m.Running {
			since := state.at.Add(-state.value.For)
			s.Since, v.Running, v.RunningName = &since, m.VMID, s.Name
		}
		v.Systems = append(v.Systems, s)
	}
	if l := state.value.Lease; l != nil {
		left := max(state.value.LeaseLeft-now.Sub(state.at), 0)
		v.Lease = &Lease{ID: l.ID, Owner: l.Owner, From: l.From, To: l.To, Phase: l.Phase, SecondsLeft: int(left / time.Second), Ours: l.Owner == duo.Owner}
	}
	if !host.at.IsZero() {
		v.Card = card(duo, host.value)
		v.Pools = pools(host.value.Pools)
		v.Findings = slices.Concat(storage.Check(host.value.Pools), duo.Advise(host.value), host.value.Unknown)
		slices.SortStableFunc(v.Findings, func(a, b proxstation.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
		v.Verdict = verdict(v.Findings)
	}
	return v
}

// verdict returns the worst severity among the findings. It returns "ok" if
// there are no findings, or only findings of severity info.
func verdict(findings []proxstation.Finding) string {
	if worst := proxstation.Worst(findings); worst > proxstation.Info {
		return worst.String()
	}
	return "ok"
}

// trouble returns nil if the last question was answered and the answer to the
// current question is not late.
func trouble[T any](s seen[T], now time.Time) *Trouble {
	var t Trouble
	if !s.at.IsZero() {
		t.Seen = &s.at
	}
	switch {
	case s.err != nil:
		t.Since, t.Error = s.since, strings.TrimPrefix(s.err.Error(), "workstation: ")
	case !s.asked.IsZero() && now.Sub(s.asked) >= slow:
		t.Since = s.asked
	default:
		return nil
	}
	return &t
}

// card returns the name of the card that the members share, or "" if the name
// is not known.
func card(duo workstation.DualBoot, facts workstation.Facts) string {
	for _, claim := range facts.Claims() {
		for _, value := range claim.Values {
			if !slices.Contains(duo.Members, claim.VMID) {
				continue
			}
			for _, addresses := range facts.PCI().Resolve(value) {
				for _, a := range addresses {
					if c, found := gpu.CardAt(facts.IOMMU.Functions, a); found {
						return short(c.Display().Name)
					}
				}
			}
		}
	}
	return ""
}

// short returns the name under which a card is sold. The PCI database may have
// it in brackets: "GB203 [GeForce RTX 5070 Ti]".
func short(name string) string {
	if _, rest, found := strings.Cut(name, "["); found {
		name, _, _ = strings.Cut(rest, "]")
	}
	return name
}

// pools returns the storages that hold disks of VMs, ordered by their tiers.
// Storages with an unknown tier come last.
func pools(list []storage.Pool) []Pool {
	shown := []Pool{}
	for _, p := range list {
		if !p.Holds("images") && !p.Holds("rootdir") {
			continue
		}
		one := Pool{Name: p.Name, Tier: p.Tier, Active: p.Active, UsedBytes: int64(p.Used), TotalBytes: int64(p.Total)}
		if p.Total > 0 {
			one.UsedPercent = int(100 * float64(p.Used) / float64(p.Total))
		}
		shown = append(shown, one)
	}
	rank := func(p Pool) int { return (int(p.Tier) + 3) % 4 } // the order of tiers is 1, 2, 3, unknown
	slices.SortStableFunc(shown, func(a, b Pool) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a.Name, b.Name)) })
	return shown
}

// system returns the system with a VMID.
func (v View) system(vmid int) (System, bool) {
	i := slices.IndexFunc(v.Systems, func(s System) bool { return s.VMID == vmid })
	if i < 0 {
		return System{Name: fmt.Sprintf("VM %d", vmid)}, false
	}
	return v.Systems[i], true
}
