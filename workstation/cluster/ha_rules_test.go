package cluster_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// PVE refuses a rule that contradicts other rules, whether they exist already or
// are in the same Spec.
func TestRulesThatContradictEachOther(t *testing.T) {
	t.Parallel()
	nodes := func(name string, vm int, list map[string]int) cluster.HARule {
		return cluster.HARule{Name: name, Kind: cluster.OnNodes, VMs: []int{vm}, Nodes: list}
	}
	tie := func(name string, kind cluster.HAKind, vms ...int) cluster.HARule {
		return cluster.HARule{Name: name, Kind: kind, VMs: vms}
	}
	disabled := tie("together", cluster.Together, 140, 141)
	disabled.Disabled = true
	for name, test := range map[string]struct {
		have, want []cluster.HARule
		says       string // empty if PVE accepts the rules
	}{
		"priorities, and apart":             {nil, []cluster.HARule{nodes("desk", 140, map[string]int{"a": 2, "b": 1}), tie("apart", cluster.Apart, 140, 141)}, "rule desk gives nodes several priorities"},
		"one priority, and apart":           {nil, []cluster.HARule{nodes("desk", 140, map[string]int{"a": 1, "b": 1}), tie("apart", cluster.Apart, 140, 141)}, ""},
		"priorities of another VM":          {nil, []cluster.HARule{nodes("desk", 142, map[string]int{"a": 2, "b": 1}), tie("apart", cluster.Apart, 140, 141)}, ""},
		"apart, and on one node":            {[]cluster.HARule{tie("apart", cluster.Apart, 140, 141), nodes("desk", 140, map[string]int{"a": 0})}, []cluster.HARule{nodes("other", 141, map[string]int{"a": 0})}, "rules bind them to 1 nodes"},
		"apart, and on two nodes":           {[]cluster.HARule{tie("apart", cluster.Apart, 140, 141), nodes("desk", 140, map[string]int{"a": 0})}, []cluster.HARule{nodes("other", 141, map[string]int{"b": 0})}, ""},
		"together, and bound by two rules":  {[]cluster.HARule{nodes("desk", 140, map[string]int{"a": 0})}, []cluster.HARule{tie("together", cluster.Together, 140, 141), nodes("other", 141, map[string]int{"a": 0})}, "VM 140, VM 141 are kept together by rule together, and bound to nodes by rule desk and rule other"},
		"together over a third, and apart":  {[]cluster.HARule{tie("one", cluster.Together, 140, 141), tie("two", cluster.Together, 141, 142)}, []cluster.HARule{tie("apart", cluster.Apart, 140, 142)}, "rule apart keeps VM 140, VM 142 apart, and they are kept together by rule one and rule two"},
		"together and apart, of other VMs":  {[]cluster.HARule{tie("one", cluster.Together, 140, 141)}, []cluster.HARule{tie("apart", cluster.Apart, 141, 142)}, ""},
		"a disabled rule does not count":    {[]cluster.HARule{disabled}, []cluster.HARule{tie("apart", cluster.Apart, 140, 141)}, ""},
		"others' contradiction is not ours": {[]cluster.HARule{tie("one", cluster.Together, 140, 141), tie("two", cluster.Apart, 140, 141)}, []cluster.HARule{nodes("desk", 142, map[string]int{"a": 0})}, ""},
	} {
		f, h := guarded()
		f.Guests = append(f.Guests, cluster.Guest{VMID: 142, Node: "c"})
		h.VMs = append(h.VMs, haVM(141, "stopped"), haVM(142, "stopped"))
		h.Rules = test.have
		_, err := cluster.DiffHA(cluster.HASpec{Rules: test.want}, f, h)
		if said := fmt.Sprint(err); (err == nil) != (test.says == "") || !strings.Contains(said, test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// DiffHA refuses the same rules as the embedded cluster, which shares no code
// with DiffHA. The rules are random and are added one after the other.
func TestRulesAreRefusedAsByPVE(t *testing.T) {
	t.Parallel()
	third := func(hosts []pvetest.Host) {
		hosts[1].VMs = append(hosts[1].VMs, pvetest.VM{ID: 142, Config: map[string]string{"memory": "2048"}})
	}
	refused, taken := 0, 0
	seeds := uint64(24)
	if slow.Whole() {
		seeds = 300
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 21)) //nolint:gosec // repeatable on purpose
		inCluster(t, trio(third), func(t *testing.T, _ *pvetest.Cluster, c *cluster.Cluster) {
			all := cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140}, {VMID: 141}, {VMID: 142}}}
			if err := c.Apply(t.Context(), plannedHA(t, c, all), nil); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				rule := randomRule(random, fmt.Sprint("rule", n))
				_, diffErr := cluster.DiffHA(cluster.HASpec{Rules: []cluster.HARule{rule}}, observed(t, c), observedHA(t, c))
				applyErr := c.Apply(t.Context(), cluster.Plan{HARules: []cluster.HARuleChange{{Want: rule}}}, nil)
				if (diffErr == nil) != (applyErr == nil) {
					t.Errorf("seed %d: %s: DiffHA: %v, PVE: %v, beside %v", seed, rule, diffErr, applyErr, observedHA(t, c).Rules)
				}
				if applyErr == nil {
					taken++
				} else {
					refused++
				}
			}
		})
	}
	if refused < 20 || taken < 60 {
		t.Errorf("%d rules refused, %d taken: too few to show anything", refused, taken)
	}
}

// randomRule returns a rule about two of three VMs, or about one of them and
// some nodes.
func randomRule(random *rand.Rand, name string) cluster.HARule {
	vms := random.Perm(3)
	rule := cluster.HARule{Name: name, Kind: cluster.HAKind(1 + random.IntN(3)), Disabled: random.IntN(8) == 0}
	for _, vm := range vms[:2] {
		rule.VMs = append(rule.VMs, 140+vm)
	}
	if rule.VMs[0] > rule.VMs[1] {
		rule.VMs[0], rule.VMs[1] = rule.VMs[1], rule.VMs[0]
	}
	if rule.Kind == cluster.OnNodes {
		rule.VMs, rule.Strict = rule.VMs[:1], random.IntN(2) == 0
		list := map[string]int{"a": random.IntN(2), "b": random.IntN(2), "c": 0}
		maps.DeleteFunc(list, func(node string, _ int) bool { return node != "a" && random.IntN(2) == 0 })
		rule.Nodes = list
	}
	return rule
}
