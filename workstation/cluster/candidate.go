package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A candidate is a node that is judged for a VM.
type candidate struct {
	node    string
	vm      workstation.VM
	images  imaging
	err     error  // the error of Needs.On, or of the node's plan
	refused string // why the node cannot have the VM
	scores  [7]score
	// The field findings holds the findings of the node's plan after the VM was
	// added to it. The field warnings holds those warnings that this VM causes.
	findings []proxstation.Finding
	warnings []string
}

// A score says how good a candidate is by one rule. A smaller value is better.
type score struct {
	value int64
	good  string // says why the candidate was chosen by this rule
	bad   string // says why the candidate was not chosen by this rule
}

// ruleWarnings is the index of the rule that counts warnings.
const ruleWarnings = 4

// Returns the candidate for a node before it is judged. The candidate is
// refused already if the node was not read, or if Needs.On returns an error for
// the node.
func (p *placing) candidate(needs Needs, node NodeFacts) candidate {
	c := candidate{node: node.Name}
	if c.refused = node.away(); c.refused != "" {
		return c
	}
	on := p.nodes[node.Name]
	vm, images, err := needs.on(on.facts)
	if err != nil {
		c.err, c.refused = err, err.Error()
		return c
	}
	c.vm, c.images = vm, imaging{spec: slices.Concat(p.spec.Images, images), all: p.all, node: on.facts}
	return c
}

// Finds out whether the node of a candidate could have the VM, and why not.
// Several candidates can be judged at the same time.
func (p *placing) judge(c *candidate) {
	if c.refused != "" {
		return
	}
	on := p.nodes[c.node]
	c.vm = c.images.images(c.vm)
	reasons := append(p.cardless(c.vm, on.facts), c.images.why...)
	facts := brought(on.facts, c.images.brings)
	plan, err := workstation.Fit(workstation.Spec{VMs: append(slices.Clone(on.vms), c.vm), Place: p.spec.Place}, facts)
	if err != nil {
		c.err, reasons = err, append(reasons, errorWords(err)...)
	}
	c.findings = plan.Findings
	told := map[string]bool{"gpu.mapping-not-here": true, "workstation.image-missing": true} // cardless and images report these faults in their own words
	for _, f := range plan.Findings {
		if f.Severity == proxstation.Blocker && !(told[f.ID] && len(reasons) > 0) && !slices.Contains(on.findings, f) {
			reasons = append(reasons, findingWords(f, c.vm))
		}
	}
	if c.refused = strings.Join(reasons, "; "); c.refused == "" {
		c.score(facts, plan, on)
	}
}

// cardless looks on the node for the cards that the VM's mappings stand for. It
// returns a reason for each card that the node lacks.
func (p *placing) cardless(vm workstation.VM, facts workstation.Facts) []string {
	var reasons []string
	for _, id := range mappingsOf(vm) {
		mapping, known := facts.PCI().Mapping(id)
		if known && len(mapping.On(facts.Node)) > 0 && !p.mapper.other[[2]string{id, facts.Node}] {
			continue
		}
		why := p.mapper.why[[2]string{id, facts.Node}]
		if why == "" {
			why = fmt.Sprintf("mapping %s has no entry for it", id)
		}
		reasons = append(reasons, why)
	}
	return reasons
}

// mappingsOf returns the mappings that a VM names.
func mappingsOf(vm workstation.VM) []string {
	var ids []string
	for _, h := range qmconf.Claim(vm.ID, vm.AsNew().Config).Values {
		if h.Mapping != "" {
			ids = append(ids, h.Mapping)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Judges how good the node is for the VM.
func (c *candidate) score(facts workstation.Facts, plan workstation.Plan, on *nodePlan) {
	available, need := facts.MemoryAvailable, memory(c.vm)
	for _, vm := range on.vms {
		if _, exists := facts.VMs[vm.ID]; !exists {
			available -= memory(vm)
		}
	}
	known := facts.MemoryTotal > 0
	if known && need > available {
		c.scores[0] = score{1, "", fmt.Sprintf("%s of memory do not fit beside what is there: %s are available", need.Human(), max(available, 0).Human())}
	} else {
		c.scores[0].good = fmt.Sprintf("its %s of memory fit beside what is there", need.Human())
	}
	if shared := sharers(c.vm, facts, on.claims, on.vms); len(shared) > 0 {
		c.scores[1] = score{int64(len(shared)), "", "its card is also the card of " + strings.Join(shared, " and ") + ": only one of them runs at a time"}
	} else {
		c.scores[1].good = "no other VM has its card there"
	}
	if off := offTier(c.vm, facts, plan); len(off) > 0 {
		c.scores[2] = score{int64(len(off)), "more of its disks are on the tier that they prefer", strings.Join(off, ", ")}
	} else {
		c.scores[2].good = "all its disks are on the tiers that they prefer"
	}
	c.scores[3].good = "its images are there"
	if n := len(c.images.brings); n > 0 {
		c.scores[3] = score{int64(n), "fewer images have to be brought", fmt.Sprintf("%s would have to be brought there", c.images.brings[0].Image.Volume)}
	}
	for _, f := range plan.Findings {
		if f.Severity == proxstation.Warning && !slices.Contains(on.findings, f) { // the warning is new with this VM
			c.warnings = append(c.warnings, findingWords(f, c.vm))
		}
	}
	c.scores[ruleWarnings] = score{int64(len(c.warnings)), "fewer warnings", ""}
	c.scores[5] = score{-int64(available), "most memory is available: " + max(available, 0).Human(), "less memory is available: " + max(available, 0).Human()}
	c.scores[6] = score{0, "nothing else tells the nodes apart, and its name is first", "nothing else tells the nodes apart, and its name comes later"}
}

// Orders candidates: the best candidate comes first.
func (c candidate) compare(d candidate) int {
	return cmp.Or(cmp.Compare(c.differs(d), 0), strings.Compare(c.node, d.node))
}

// Compares two candidates by the first rule for which their values differ. The
// result is below 0 if c is better, and above 0 if d is better.
func (c candidate) differs(d candidate) int {
	for i := range c.scores {
		if order := cmp.Compare(c.scores[i].value, d.scores[i].value); order != 0 {
			return order
		}
	}
	return 0
}

// Returns the index of the first rule for which two candidates differ. The last
// rule is the name.
func (c candidate) rule(d candidate) int {
	for i := range c.scores {
		if c.scores[i].value != d.scores[i].value {
			return i
		}
	}
	return len(c.scores) - 1
}

// The function "explain" returns the reason why the first candidate was chosen,
// and the reasons why the others were not.
func explain(needs Needs, good []candidate) (why string, others []NodeReason) {
	best := good[0]
	for _, c := range good[1:] {
		rule := best.rule(c)
		why := c.scores[rule].bad
		if rule == ruleWarnings { // leave out warnings that the best candidate has too
			why = strings.Join(slices.DeleteFunc(slices.Clone(c.warnings), func(w string) bool { return slices.Contains(best.warnings, w) }), "; ")
		}
		others = append(others, NodeReason{Node: c.node, Why: why})
	}
	switch {
	case needs.Node != "":
		return "as asked for", nil
	case len(good) == 1:
		return "no other node meets its needs", others
	}
	return best.scores[best.rule(good[1])].good, others
}

// sharers returns a text for each VM that has the same card as the given VM.
// Only one of these VMs can run at a time. The parameter "claims" says which
// devices the VMs of the node have. The parameter "beside" holds VMs that are
// planned for the node. If the configurations of some VMs were not read, one
// more text says so, because these VMs may have the card too.
func sharers(vm workstation.VM, facts workstation.Facts, claims []gpu.Claim, beside []workstation.VM) []string {
	if !takesDevices(vm) && !slices.ContainsFunc(claims, func(c gpu.Claim) bool { return c.VMID == vm.ID }) {
		return nil
	}
	claims, planned := slices.Clone(claims), append(slices.Clone(beside), vm)
	for _, v := range planned {
		if _, exists := facts.VMs[v.ID]; !exists {
			claims = append(claims, qmconf.Claim(v.ID, v.AsNew().Config))
		}
	}
	var shared []string
	for _, conflict := range facts.PCI().ConflictsOf(vm.ID, claims) {
		other := conflict.VMs[0]
		if other == vm.ID {
			other = conflict.VMs[1]
		}
		if i := slices.IndexFunc(planned, func(v workstation.VM) bool { return v.ID == other }); i >= 0 {
			shared = append(shared, fmt.Sprintf("VM %d %s", other, planned[i].Name))
		} else {
			shared = append(shared, facts.VMs[other].String())
		}
	}
	if len(facts.Unread) > 0 && takesDevices(vm) {
		shared = append(shared, unread(facts))
	}
	return shared
}

// takesDevices reports whether a VM takes PCI devices.
func takesDevices(vm workstation.VM) bool {
	claim := qmconf.Claim(vm.ID, vm.AsNew().Config)
	return len(claim.Values)+len(claim.ByArgs)+len(claim.Unread) > 0
}

// Returns a text about the VMs of a node whose configurations were not read.
func unread(facts workstation.Facts) string {
	return fmt.Sprintf("perhaps one of %d VMs whose configurations were not read", len(facts.Unread))
}

// offTier returns the new disks that are not on the tier that their purpose
// prefers.
func offTier(vm workstation.VM, facts workstation.Facts, plan workstation.Plan) []string {
	var off []string
	for _, step := range plan.Steps {
		made, is := step.(workstation.CreateVM)
		if !is || made.VMID != vm.ID {
			continue
		}
		for _, disk := range vm.Disks {
			pool, _, _ := qmconf.CutVolume(made.Config[disk.Slot])
			i := slices.IndexFunc(facts.Pools, func(p storage.Pool) bool { return p.Name == pool })
			prefer, _ := disk.Purpose.Tiers()
			if i < 0 || disk.Storage != "" || disk.Volume != "" || prefer == storage.TierUnknown || facts.Pools[i].Tier == prefer || disk.Purpose == storage.Firmware {
				continue
			}
			off = append(off, fmt.Sprintf("%s (%s) would be on %s, tier %s", disk.Slot, disk.Purpose, pool, facts.Pools[i].Tier))
		}
	}
	return off
}

func memory(vm workstation.VM) storage.Size {
	text, _ := qmconf.Parse("memory", vm.AsNew().Config["memory"]).Get("current")
	mib, _ := strconv.ParseInt(text, 10, 64) // 0 if the configuration does not say how much memory the VM has
	return storage.Size(mib) * storage.MiB
}
