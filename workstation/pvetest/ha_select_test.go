package pvetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// rulesOf parses rules in the short form "name: kind resources options".
func rulesOf(lines ...string) map[string]*haRule {
	rules := map[string]*haRule{}
	for i, line := range lines {
		name, rest, _ := strings.Cut(line, ": ")
		fields := strings.Fields(rest)
		r := &haRule{kind: "resource-affinity", affinity: fields[0], order: i + 1, resources: map[string]bool{}}
		for _, sid := range splitList(fields[1]) {
			r.resources["vm:"+sid] = true
		}
		for _, option := range fields[2:] {
			switch key, value, _ := strings.Cut(option, "="); key {
			case "nodes":
				r.nodes = priorities(value)
			case "strict":
				r.strict = "1"
			case "disable":
				r.disabled = true
			}
		}
		if fields[0] == "nodes" {
			r.kind, r.affinity = "node-affinity", ""
		}
		rules[name] = r
	}
	return rules
}

// The function "infeasible" finds the rules that cannot be followed, and gives
// the reason in PVE's words.
func TestInfeasibleRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules []string
		want  string // the rules with a problem, each with a part of its message
	}{
		"nothing":                     {nil, ""},
		"apart":                       {[]string{"n: negative 1,2"}, ""},
		"alone":                       {[]string{"n: negative 1", "p: positive 2"}, "n less than two, p less than two"},
		"disabled":                    {[]string{"n: negative 1 disable"}, ""},
		"more than nodes":             {[]string{"n: negative 1,2,3,4"}, "n more resources than available nodes"},
		"together and apart":          {[]string{"n: negative 1,2", "p: positive 1,2,3"}, "n with a positive, p with a negative"},
		"together over two rules":     {[]string{"n: negative 1,3", "p: positive 1,2", "q: positive 2,3"}, "n with a positive, p with a negative, q with a negative"},
		"one of a bundle apart":       {[]string{"n: negative 1,4", "p: positive 1,2"}, ""},
		"two node affinities":         {[]string{"a: nodes 1 nodes=x", "b: nodes 1,2 nodes=y"}, "a already used, b already used"},
		"one is disabled":             {[]string{"a: nodes 1 nodes=x", "b: nodes 1,2 nodes=y disable"}, ""},
		"priorities and an affinity":  {[]string{"a: nodes 1 nodes=x:2,y", "n: negative 1,2"}, "a with multiple priorities, n with multiple priorities"},
		"together on different nodes": {[]string{"a: nodes 1 nodes=x", "b: nodes 2 nodes=y", "p: positive 1,2"}, "a other node affinity rule already, b other node affinity rule already, p in multiple"},
		"apart on one node":           {[]string{"a: nodes 1,2 nodes=x", "n: negative 1,2"}, "a restrict these, n restricted to less"},
		"apart on two nodes":          {[]string{"a: nodes 1,2 nodes=x,y", "n: negative 1,2"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := infeasible(rulesOf(c.rules...), 3)
			var wanted []string
			for entry := range strings.SplitSeq(c.want, ", ") {
				rule, part, _ := strings.Cut(entry, " ")
				if rule == "" {
					continue
				}
				wanted = append(wanted, rule)
				if said := strings.Join(got[rule]["resources"], "; "); !strings.Contains(said, part) {
					t.Errorf("%s: %q lacks %q", rule, said, part)
				}
			}
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, wanted) {
				t.Errorf("%v, want %v", got, wanted)
			}
		})
	}
}

// stackOf returns an HA stack with the given nodes and services, in short forms
// such as "x online" and "1 started x".
func stackOf(rules []string, state ...string) *haStack {
	h := newHA(&datacenter{})
	h.rules = rulesOf(rules...)
	for _, line := range state {
		fields := strings.Fields(line)
		if len(fields) == 2 {
			h.crm.nodes[fields[0]] = fields[1]
			continue
		}
		id := atoi(fields[0], 0)
		s := &haService{state: fields[1], node: fields[2]}
		if len(fields) > 3 {
			s.target = fields[3]
		}
		h.resources[sidOf(id)] = &haResource{id: id, options: map[string]string{}}
		h.crm.services[sidOf(id)] = s
	}
	return h
}

// selectNode chooses the same node as PVE's CRM.
func TestSelectNode(t *testing.T) {
	t.Parallel()
	three := []string{"x online", "y online", "z online"}
	for name, c := range map[string]struct {
		rules  []string
		state  []string
		prefer preference
		change func(*haStack)
		want   string
	}{
		"stays":                      {nil, []string{"1 started y"}, stay, nil, "y"},
		"the fewest services":        {nil, []string{"1 recovery q", "2 started x", "3 started z"}, bestNode, nil, "y"},
		"the first name of equals":   {nil, []string{"1 recovery q"}, bestNode, nil, "x"},
		"stopped ones do not count":  {nil, []string{"1 recovery q", "2 stopped x"}, bestNode, nil, "x"},
		"a target counts":            {nil, []string{"1 recovery q", "2 migrate z x", "3 started y"}, bestNode, nil, "x"},
		"higher priority":            {[]string{"a: nodes 1 nodes=x,y:2"}, []string{"1 started x"}, stay, nil, "y"},
		"no failback":                {[]string{"a: nodes 1 nodes=x,y:2"}, []string{"1 started x"}, stay, func(h *haStack) { h.resources["vm:1"].options["failback"] = "0" }, "x"},
		"a group without failback":   {nil, []string{"1 started x"}, stay, func(h *haStack) { h.group("nofailback") }, "x"},
		"a group":                    {nil, []string{"1 started x"}, stay, func(h *haStack) { h.group("") }, "y"},
		"beside a rule":              {[]string{"a: nodes 1 nodes=q"}, []string{"1 recovery q", "q unknown"}, bestNode, nil, "x"},
		"strict":                     {[]string{"a: nodes 1 nodes=q strict"}, []string{"1 recovery q", "q unknown"}, bestNode, nil, ""},
		"a disabled rule":            {[]string{"a: nodes 1 nodes=q strict disable"}, []string{"1 recovery q", "q unknown"}, bestNode, nil, "x"},
		"a rule that cannot be kept": {[]string{"a: nodes 1 nodes=q strict", "b: nodes 1 nodes=q strict"}, []string{"1 recovery q", "q unknown"}, bestNode, nil, "x"},
		"apart":                      {[]string{"n: negative 1,2"}, []string{"1 recovery q", "2 started x"}, bestNode, nil, "y"},
		"apart from a target":        {[]string{"n: negative 1,2"}, []string{"1 recovery q", "2 migrate x y"}, bestNode, nil, "z"},
		"apart, and no node is left": {[]string{"n: negative 1,2"}, []string{"1 recovery q", "2 started x", "y unknown", "z unknown"}, bestNode, nil, ""},
		"together":                   {[]string{"p: positive 1,2"}, []string{"1 recovery q", "2 started z"}, bestNode, nil, "z"},
		"together, and apart from a third by the second": {[]string{"p: positive 1,2", "n: negative 2,3"}, []string{"1 recovery q", "2 stopped x", "3 started x"}, bestNode, nil, "y"},
		"together on the second's nodes":                 {[]string{"p: positive 1,2", "a: nodes 2 nodes=z strict"}, []string{"1 recovery q", "2 stopped x"}, bestNode, nil, "z"},
		"another after a failure":                        {nil, []string{"1 started x"}, otherNode, func(h *haStack) { h.crm.services["vm:1"].failed = []string{"x"} }, "y"},
		"all have failed":                                {nil, []string{"1 started x"}, otherNode, func(h *haStack) { h.crm.services["vm:1"].failed = []string{"x", "y", "z"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := stackOf(c.rules, append(slices.Clone(three), c.state...)...)
			if c.change != nil {
				c.change(h)
			}
			if got := h.selectNode("vm:1", h.resources["vm:1"], c.prefer); got != c.want {
				t.Errorf("%q, want %q; %s", got, c.want, fmt.Sprint(h.crm.nodes))
			}
		})
	}
}

// The method "group" puts VM 1 into a group that prefers node y.
func (h *haStack) group(flag string) {
	h.groups["g"] = &haGroup{options: map[string]string{"nodes": "x,y:2"}}
	if flag != "" {
		h.groups["g"].options[flag] = "1"
	}
	h.resources["vm:1"].options["group"] = "g"
}
