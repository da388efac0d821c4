package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pve"
)

// HA holds the settings and the state of high availability (PVE manual, High
// Availability). About two minutes after a node was lost, PVE's HA manager
// recovers the VMs of this node. It chooses another node for each VM by the
// rules only, and does not check whether that node has the VM's card or disks.
// [HA.Recovery] checks this.
type HA struct {
	// VMs holds the VMs under high availability, by VMID.
	VMs []HAVM
	// Rules holds the rules, by name. PVE 8 has groups instead of rules: Rules
	// then holds a rule of the kind [OnNodes] for each group.
	Rules []HARule
	// Groups says that the cluster has the groups of PVE 8. Such a cluster has
	// no rules that keep VMs together or apart.
	Groups bool
	// Master is the node of the active HA manager. It is empty if no HA manager
	// was ever active.
	Master string
	// Maintenance holds the nodes in maintenance mode, sorted. The HA manager
	// moves its VMs away from such a node, and starts and recovers no VM there.
	Maintenance []string
}

// An HAVM is a VM under high availability.
type HAVM struct {
	VMID int
	// Wanted is the state that somebody requested for the VM: "started",
	// "stopped", "disabled" or "ignored". In an [HASpec] it may be empty. Then
	// a VM under high availability keeps its Wanted state, and a VM that is new
	// there gets the state that it has now.
	Wanted string
	// State is the state in the HA manager: "started", "stopped", "fence",
	// "recovery", "error". It is empty before the HA manager's first round.
	State string
	// Node is the node on which the HA manager has the VM.
	Node string
	// Failback says whether the VM returns to a node that its rules prefer when
	// this node comes back. The default of PVE is yes. On PVE 8 a group decides
	// this for its VMs, so an [HASpec] cannot set it.
	Failback proxstation.Answer
	// Restarts is how often the HA manager tries a start again on the same
	// node. Moves is the number of other nodes that it tries then. The default
	// of PVE is 1 for both.
	Restarts, Moves *int
	Comment         string

	group  string // the VM's group on PVE 8
	digest string
}

func (v HAVM) managed() bool { return v.Wanted != "ignored" }

// An HARule binds VMs under high availability to nodes or to each other.
type HARule struct {
	// Name begins with a letter. Letters, digits, "-" and "_" may follow.
	Name string
	Kind HAKind
	VMs  []int
	// Nodes holds the nodes with their priorities, for the kind [OnNodes].
	// Among the nodes that are online, the HA manager chooses from the nodes
	// with the highest priority.
	Nodes map[string]int
	// Strict says that the VMs may run only on the nodes in Nodes.
	Strict   bool
	Disabled bool
	Comment  string
	// Ignored says why the HA manager ignores the rule, in PVE's words.
	Ignored []string

	others []string // the containers that the rule names
	digest string
}

// An HAKind is the kind of a rule.
type HAKind uint8

// The kinds of rules.
const (
	OnNodes  HAKind = iota + 1 // binds VMs to nodes (node affinity)
	Together                   // keeps VMs on one node (positive resource affinity)
	Apart                      // keeps VMs on different nodes (negative resource affinity)
)

var haKinds = []string{"unknown", "on nodes", "together", "apart"}

// ErrHAKind reports a text that is not the name of an [HAKind].
var ErrHAKind = errors.New("cluster: unknown kind of a rule of high availability")

// String returns "on nodes", "together", "apart", or "unknown".
func (k HAKind) String() string { return enum.Name(haKinds, k) }

// MarshalText implements [encoding.TextMarshaler].
func (k HAKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrHAKind].
func (k *HAKind) UnmarshalText(text []byte) error {
	return enum.Unmarshal(k, haKinds, string(text), ErrHAKind)
}

// String describes the rule: "apart: VM 140, VM 141".
func (r HARule) String() string {
	text := r.Kind.String() + ": " + vmList(r.VMs)
	if r.Kind == OnNodes {
		text += " on " + pve.FormatHANodes(r.Nodes)
		if r.Strict {
			text += ", nowhere else"
		}
	}
	if r.Disabled {
		text += " (disabled)"
	}
	return printable.Line(text)
}

func vmList(ids []int) string {
	var names []string
	for _, id := range slices.Sorted(slices.Values(ids)) {
		names = append(names, fmt.Sprintf("VM %d", id))
	}
	return strings.Join(names, ", ")
}

// VM returns the entry for a VM. ok is false if the VM is not under high
// availability.
func (h HA) VM(vmid int) (vm HAVM, ok bool) {
	i := slices.IndexFunc(h.VMs, func(v HAVM) bool { return v.VMID == vmid })
	if i < 0 {
		return HAVM{}, false
	}
	return h.VMs[i], true
}

// Rule returns the rule with a given name. ok is false if there is no such
// rule.
func (h HA) Rule(name string) (rule HARule, ok bool) {
	i := slices.IndexFunc(h.Rules, func(r HARule) bool { return r.Name == name })
	if i < 0 {
		return HARule{}, false
	}
	return h.Rules[i], true
}

// inForce returns the rules of one kind that name the VM. It leaves out rules
// that are disabled or that the HA manager ignores.
func (h HA) inForce(vmid int, kind HAKind) (rules []HARule) {
	for _, r := range h.Rules {
		if r.Kind == kind && !r.Disabled && len(r.Ignored) == 0 && slices.Contains(r.VMs, vmid) {
			rules = append(rules, r)
		}
	}
	return rules
}

// ObserveHA reads high availability. It needs Sys.Audit on /.
func (c *Cluster) ObserveHA(ctx context.Context) (HA, error) {
	var seen pve.HA
	err := c.anywhere(ctx, func(ctx context.Context) (err error) { seen, err = c.pve.HA(ctx); return err })
	if err != nil {
		return HA{}, fmt.Errorf("cluster: observing high availability: %w", err)
	}
	return haOf(seen), nil
}

func haOf(seen pve.HA) HA {
	h := HA{Master: seen.Master, Maintenance: seen.Maintenance, Groups: !seen.HasRules || len(seen.Groups) > 0}
	members := map[string][]int{}
	noFailback := map[string]bool{}
	for _, g := range seen.Groups {
		noFailback[g.Name] = g.NoFailback
	}
	for _, r := range seen.Resources {
		h.VMs = append(h.VMs, HAVM{VMID: r.VMID, Wanted: r.Wanted, State: r.State, Node: r.Node, Failback: proxstation.AnswerOf(r.Failback && !noFailback[r.Group]),
			Restarts: &r.MaxRestart, Moves: &r.MaxRelocate, Comment: r.Comment, group: r.Group, digest: r.Digest})
		members[r.Group] = append(members[r.Group], r.VMID)
	}
	for _, r := range seen.Rules {
		if !strings.HasPrefix(r.Name, "ha-group-") || len(seen.Groups) == 0 { // PVE 9 also shows a rule for each old group, which is read below
			h.Rules = append(h.Rules, ruleOf(r))
		}
	}
	for _, g := range seen.Groups {
		h.Rules = append(h.Rules, HARule{Name: g.Name, Kind: OnNodes, VMs: members[g.Name], Nodes: g.Nodes, Strict: g.Restricted, Comment: g.Comment, digest: g.Digest})
	}
	slices.SortFunc(h.Rules, func(a, b HARule) int { return strings.Compare(a.Name, b.Name) })
	return h
}

func ruleOf(r pve.HARule) HARule {
	rule := HARule{Name: r.Name, Nodes: maps.Clone(r.Nodes), Strict: r.Strict, Disabled: r.Disabled, Comment: r.Comment, Ignored: r.Problems, digest: r.Digest}
	switch {
	case r.Kind == "node-affinity":
		rule.Kind = OnNodes
	case r.Affinity == "positive":
		rule.Kind = Together
	case r.Affinity == "negative":
		rule.Kind = Apart
	}
	for _, sid := range r.SIDs {
		var id int
		if _, err := fmt.Sscanf(sid, "vm:%d", &id); err == nil {
			rule.VMs = append(rule.VMs, id)
		} else {
			rule.others = append(rule.others, sid)
		}
	}
	slices.Sort(rule.VMs)
	return rule
}
