package pvetest

import (
	"maps"
	"slices"
)

// The function "infeasible" finds rules that cannot be followed. It returns the
// problems of these rules, by rule and option. The CRM ignores these rules
// (pve-ha-manager PVE/HA/Rules.pm, check_feasibility, with the checks of its
// plugins). The parameter "nodes" is the number of nodes of the cluster.
func infeasible(rules map[string]*haRule, nodes int) map[string]map[string][]string {
	problems := map[string]map[string][]string{}
	report := func(rule, problem string) {
		if problems[rule] == nil {
			problems[rule] = map[string][]string{}
		}
		problems[rule]["resources"] = append(problems[rule]["resources"], problem)
	}
	ofKind := func(wanted func(*haRule) bool) map[string]*haRule {
		some := maps.Clone(rules)
		maps.DeleteFunc(some, func(_ string, r *haRule) bool { return r.disabled || !wanted(r) })
		return some
	}
	located := ofKind(func(r *haRule) bool { return r.kind == "node-affinity" })
	positive := ofKind(func(r *haRule) bool { return r.affinity == "positive" })
	negative := ofKind(func(r *haRule) bool { return r.affinity == "negative" })
	checkLocated(located, report)
	checkCounts(positive, negative, nodes, report)
	checkOpposed(positive, negative, report)
	affinity := maps.Clone(positive)
	maps.Copy(affinity, negative)
	checkPriorities(affinity, located, report)
	checkOneLocation(positive, located, report)
	checkRoom(negative, located, report)
	return problems
}

// checkLocated reports resources with two node affinities.
func checkLocated(located map[string]*haRule, report func(rule, problem string)) {
	for _, name := range sorted(located) {
		for _, sid := range sorted(located[name].resources) {
			for _, other := range sorted(located) {
				if other != name && located[other].resources[sid] {
					report(name, "resource '"+sid+"' is already used in another node affinity rule")
					break
				}
			}
		}
	}
}

// checkCounts reports rules with too few or too many resources.
func checkCounts(positive, negative map[string]*haRule, nodes int, report func(rule, problem string)) {
	for _, rules := range []map[string]*haRule{positive, negative} {
		for _, name := range sorted(rules) {
			if len(rules[name].resources) < 2 {
				report(name, "rule is ineffective as there are less than two resources")
			}
		}
	}
	for _, name := range sorted(negative) {
		if len(negative[name].resources) > nodes {
			report(name, "rule defines more resources than available nodes")
		}
	}
}

// The function "bundles" joins rules that share a resource. The parameter
// "positive" holds the rules that keep their resources together. For each
// bundle of joined rules it returns the resources and the names of the rules.
func bundles(positive map[string]*haRule) (resources []map[string]bool, names [][]string) {
	for _, name := range sorted(positive) {
		set, joined := maps.Clone(positive[name].resources), []string{name}
		for i := 0; i < len(resources); {
			if len(common(resources[i], set)) == 0 {
				i++
				continue
			}
			maps.Copy(set, resources[i])
			joined = append(joined, names[i]...)
			resources, names = slices.Delete(resources, i, i+1), slices.Delete(names, i, i+1)
		}
		resources, names = append(resources, set), append(names, joined)
	}
	return resources, names
}

func common(a, b map[string]bool) []string {
	both := maps.Clone(a)
	maps.DeleteFunc(both, func(sid string, _ bool) bool { return !b[sid] })
	return sorted(both)
}

// checkOpposed reports resources that must be both together and apart.
func checkOpposed(positive, negative map[string]*haRule, report func(rule, problem string)) {
	sets, names := bundles(positive)
	for i, set := range sets {
		for _, name := range sorted(negative) {
			if len(common(set, negative[name].resources)) < 2 {
				continue
			}
			report(name, "rule shares two or more resources with a positive resource affinity rule")
			for _, other := range names[i] {
				report(other, "rule shares two or more resources with a negative resource affinity rule")
			}
		}
	}
}

// The function "paired" returns the names of the node affinities that apply to
// a resource in the set.
func paired(set map[string]bool, located map[string]*haRule) (names []string) {
	for _, name := range sorted(located) {
		if len(common(set, located[name].resources)) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// checkPriorities reports resources with two rules that exclude each other: an
// affinity to other resources, and a node affinity with several priorities.
func checkPriorities(affinity, located map[string]*haRule, report func(rule, problem string)) {
	for _, name := range sorted(affinity) {
		pairs := paired(affinity[name].resources, located)
		if !slices.ContainsFunc(pairs, func(other string) bool {
			levels := map[int]bool{}
			for _, priority := range located[other].nodes {
				levels[priority] = true
			}
			return len(levels) > 1
		}) {
			continue
		}
		report(name, "resources are in node affinity rules with multiple priorities")
		for _, other := range pairs {
			report(other, "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities")
		}
	}
}

// checkOneLocation reports resources that must be together but have different
// node affinities.
func checkOneLocation(positive, located map[string]*haRule, report func(rule, problem string)) {
	sets, names := bundles(positive)
	for i, set := range sets {
		pairs := paired(set, located)
		if len(pairs) < 2 {
			continue
		}
		for _, name := range names[i] {
			report(name, "resources are in multiple node affinity rules")
		}
		for _, other := range pairs {
			report(other, "at least one resource is in a positive resource affinity rule and there are other resources in at least one other node affinity rule already")
		}
	}
}

// checkRoom reports rules that keep resources apart although too few nodes are
// allowed for these resources.
func checkRoom(negative, located map[string]*haRule, report func(rule, problem string)) {
	for _, name := range sorted(negative) {
		bound, allowed := map[string]bool{}, map[string]bool{}
		pairs := paired(negative[name].resources, located)
		for _, other := range pairs {
			for _, sid := range common(negative[name].resources, located[other].resources) {
				bound[sid] = true
			}
			for node := range located[other].nodes {
				allowed[node] = true
			}
		}
		if len(allowed) >= len(bound) {
			continue
		}
		report(name, "two or more resources are restricted to less nodes than available to the resources")
		for _, other := range pairs {
			report(other, "at least one resource is in a negative resource affinity rule and this rule would restrict these to less nodes than available to the resources")
		}
	}
}
