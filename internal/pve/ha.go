package pve

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// HA holds the configuration and the state of high availability. To read it, a
// login needs Sys.Audit on /.
type HA struct {
	Resources []HAResource // sorted by VMID
	Rules     []HARule     // sorted by name
	Groups    []HAGroup    // sorted by name; only PVE 8 has groups
	// HasRules says that the node that answered knows rules of high
	// availability. PVE has such rules since 9.0.
	HasRules bool
	// Master is the node of the active cluster resource manager. It is empty if
	// no manager has been active yet.
	Master string
	// Maintenance holds the nodes in maintenance mode, sorted.
	Maintenance []string
}

// An HAResource is a VM under high availability.
type HAResource struct {
	VMID                    int
	Wanted                  string // "started", "stopped", "disabled" or "ignored"
	Group                   string // only in PVE 8
	Comment                 string
	Failback                bool
	KnowsFailback           bool // PVE has the setting since 9.0
	MaxRestart, MaxRelocate int
	// State is the VM's state in the HA manager: "started", "stopped", "fence",
	// "recovery", "error". It is empty before the manager's first round.
	State string
	Node  string
	// Digest is the digest of the configuration of all resources.
	Digest string
}

// An HARule is a rule of PVE 9.
type HARule struct {
	Name     string
	Kind     string         // "node-affinity" or "resource-affinity"
	SIDs     []string       // "vm:140", sorted
	Nodes    map[string]int // priorities by node, for the kind node-affinity
	Strict   bool           // for the kind node-affinity
	Affinity string         // "positive" or "negative", for resource-affinity
	Disabled bool
	Comment  string
	Problems []string // why the HA manager ignores the rule
	Digest   string   // the digest of the configuration of all rules
}

// An HAGroup is a group of nodes. Only PVE 8 has such groups.
type HAGroup struct {
	Name       string
	Nodes      map[string]int // priorities by node
	Restricted bool
	NoFailback bool
	Comment    string
	Digest     string // the digest of the configuration of all groups
}

// HA reads the configuration and the state of high availability.
func (c *Client) HA(ctx context.Context) (HA, error) {
	var h HA
	var states map[int]haState
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { h.Resources, err = c.haResources(ctx); return err })
	group.Go(func() (err error) { h.Rules, h.HasRules, err = c.haRules(ctx); return err })
	group.Go(func() (err error) { h.Groups, err = c.haGroups(ctx); return err })
	group.Go(func() (err error) { states, err = c.haStates(ctx, &h); return err })
	if err := group.Wait(); err != nil {
		return HA{}, err
	}
	for i, r := range h.Resources {
		h.Resources[i].State, h.Resources[i].Node = states[r.VMID].state, states[r.VMID].node
		h.Resources[i].KnowsFailback = h.HasRules
	}
	return h, nil
}

// vmOfSID returns the VMID in a service ID, such as 140 for "vm:140".
func vmOfSID(sid string) (vmid int, isVM bool) {
	name, isVM := strings.CutPrefix(sid, "vm:")
	vmid, err := strconv.Atoi(name)
	return vmid, isVM && err == nil
}

func (c *Client) haResources(ctx context.Context) ([]HAResource, error) {
	var entries []struct {
		SID, State, Group, Comment, Digest string
		Failback                           number
		MaxRestart                         number `json:"max_restart"`
		MaxRelocate                        number `json:"max_relocate"`
	}
	if err := c.get(ctx, "/cluster/ha/resources", url.Values{"type": {"vm"}}, &entries); err != nil {
		return nil, err
	}
	or1 := func(n number) int { // all three numbers are 1 by default
		if n.known {
			return int(n.value)
		}
		return 1
	}
	var list []HAResource
	for _, e := range entries {
		vmid, isVM := vmOfSID(e.SID)
		if !isVM {
			continue
		}
		wanted := cmp.Or(e.State, "started")
		if wanted == "enabled" { // the old name of "started"
			wanted = "started"
		}
		list = append(list, HAResource{VMID: vmid, Wanted: wanted, Group: e.Group, Comment: e.Comment, Failback: or1(e.Failback) == 1,
			MaxRestart: or1(e.MaxRestart), MaxRelocate: or1(e.MaxRelocate), Digest: e.Digest})
	}
	slices.SortFunc(list, func(a, b HAResource) int { return a.VMID - b.VMID })
	return list, nil
}

// haRules returns the rules. It returns no rules for PVE 8, which does not have
// this method of the API.
func (c *Client) haRules(ctx context.Context) (list []HARule, has bool, err error) {
	var entries []struct {
		Rule, Type, Resources, Nodes, Affinity, Comment, Digest string
		Strict, Disable                                         flag
		Errors                                                  map[string][]string
	}
	err = c.get(ctx, "/cluster/ha/rules", nil, &entries)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotImplemented {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, e := range entries {
		r := HARule{Name: e.Rule, Kind: e.Type, SIDs: splitSIDs(e.Resources), Strict: bool(e.Strict), Affinity: e.Affinity, Disabled: bool(e.Disable), Comment: e.Comment, Digest: e.Digest}
		if e.Type == "node-affinity" {
			r.Nodes = ParseHANodes(e.Nodes)
		}
		for _, problems := range e.Errors {
			r.Problems = append(r.Problems, problems...)
		}
		slices.Sort(r.Problems)
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b HARule) int { return strings.Compare(a.Name, b.Name) })
	return list, true, nil
}

func splitSIDs(list string) []string {
	sids := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",; \t", r) })
	slices.Sort(sids)
	return sids
}

// haGroups returns the groups. It returns no groups for PVE 9 if the groups
// have become rules (pve-ha-manager PVE/API2/HA/Groups.pm).
func (c *Client) haGroups(ctx context.Context) ([]HAGroup, error) {
	var entries []struct {
		Group, Nodes, Comment, Digest string
		Restricted, NoFailback        flag
	}
	err := c.get(ctx, "/cluster/ha/groups", nil, &entries)
	var refused *Error
	if errors.As(err, &refused) && (strings.Contains(refused.Message, "migrated to rules") || refused.Status == http.StatusNotImplemented) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []HAGroup
	for _, e := range entries {
		list = append(list, HAGroup{Name: e.Group, Nodes: ParseHANodes(e.Nodes), Restricted: bool(e.Restricted), NoFailback: bool(e.NoFailback), Comment: e.Comment, Digest: e.Digest})
	}
	slices.SortFunc(list, func(a, b HAGroup) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

type haState struct{ state, node string }

// haStates reads the states of the services in the HA manager. It stores the
// node of the active manager and the nodes in maintenance mode in h.
func (c *Client) haStates(ctx context.Context, h *HA) (states map[int]haState, err error) {
	var entries []struct {
		Type, Node, SID, Status string
		CRM                     string `json:"crm_state"`
	}
	if err := c.get(ctx, "/cluster/ha/status/current", nil, &entries); err != nil {
		return nil, err
	}
	states = map[int]haState{}
	for _, e := range entries {
		if e.Type == "master" {
			h.Master = e.Node
		}
		if e.Type == "lrm" && strings.Contains(e.Status, "(maintenance mode") { // "pve2 (maintenance mode, TIME)": pve-ha-manager PVE/API2/HA/Status.pm
			h.Maintenance = append(h.Maintenance, e.Node)
		}
		if vmid, isVM := vmOfSID(e.SID); e.Type == "service" && isVM {
			states[vmid] = haState{e.CRM, e.Node}
		}
	}
	slices.Sort(h.Maintenance)
	return states, nil
}

// ParseHANodes parses a list of nodes with priorities: "a:2,b". The priority is
// 0 if a node has no priority, or if the priority is not a number
// (pve-ha-manager PVE/HA/Tools.pm, parse_node_priority).
func ParseHANodes(list string) map[string]int {
	nodes := map[string]int{}
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(",; \t", r) }) {
		name, priority, _ := strings.Cut(entry, ":")
		if name != "" {
			nodes[name], _ = strconv.Atoi(priority) // 0 if there is no priority
		}
	}
	return nodes
}

// FormatHANodes writes a list of nodes with their priorities, sorted by the
// nodes' names.
func FormatHANodes(nodes map[string]int) string {
	var list []string
	for name, priority := range nodes {
		if priority != 0 {
			name += ":" + strconv.Itoa(priority)
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
