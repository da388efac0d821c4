package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
)

// mappings plans the resource mappings of the Spec, and corrects mappings that
// no longer match their devices.
func (d *differ) mappings() {
	d.after = slices.Clone(d.facts.Mappings)
	for _, want := range d.spec.Mappings {
		card, ok := gpu.CardAt(d.facts.IOMMU.Functions, want.Card)
		if !ok {
			d.problems = append(d.problems, &InvalidError{Field: "mapping " + want.ID, Value: want.Card.String(), Why: "no graphics card is there"})
			continue
		}
		m, err := gpu.NewMapping(want.ID, d.facts.Node, card)
		if err != nil {
			d.problems = append(d.problems, &InvalidError{Field: "mapping", Value: want.ID, Why: err.Error()})
			continue
		}
		d.plan.Findings = append(d.plan.Findings, gpu.Ready(card, gpu.AnyGuest, d.facts.IOMMU)...)
		d.mapping(m, card)
	}
}

// mapping plans one mapping of the Spec. Entries of other nodes stay.
func (d *differ) mapping(want gpu.Mapping, card gpu.Card) {
	node := gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions}
	i := slices.IndexFunc(d.after, func(m gpu.Mapping) bool { return m.ID == want.ID })
	if i < 0 {
		d.after = append(d.after, want)
		d.plan.Steps = append(d.plan.Steps, PutMapping{Mapping: want, Node: d.facts.Node, Note: card.Name(), New: true})
		return
	}
	m := d.after[i]
	have := m.On(d.facts.Node)
	if len(have) == 1 && len(node.Drift(m)) == 0 && have[0].Devices[0].Address.SameSlot(card.Address()) {
		return
	}
	m.Entries = slices.DeleteFunc(slices.Clone(m.Entries), func(e gpu.MappingEntry) bool { return e.Node == d.facts.Node })
	m.Entries = append(m.Entries, want.Entries...)
	haveMDev := m.MDev
	m.MDev = want.MDev
	d.after[i] = m
	d.plan.Steps = append(d.plan.Steps, PutMapping{Mapping: m, Node: d.facts.Node, Note: card.Name(), Have: entryText(have), HaveMDev: haveMDev})
}

// entryText returns the entries of one node in PVE's notation.
func entryText(entries []gpu.MappingEntry) string {
	var texts []string
	for _, e := range entries {
		texts = append(texts, e.String())
	}
	return strings.Join(texts, "; ")
}

// checkCards refuses cards that the guest cannot use and devices that the node
// does not have. If the VM already has these devices in the form that the Spec
// asks for, checkCards only warns.
func (d *differ) checkCards(vm VM, have map[string]string) {
	node := gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions, Mappings: d.after}
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		if qmconf.Family(key) != "hostpci" {
			continue
		}
		h, err := gpu.ParseHostPCI(vm.Config[key])
		if err != nil {
			continue // checkForm reports this value
		}
		_, same := qmconf.Merge(key, have[key], vm.Config[key])
		same = same && have[key] != ""
		if _, known := node.Mapping(h.Mapping); h.Mapping != "" && !known && !same {
			d.problems.add(vm, key, h.Mapping, "no such resource mapping on the cluster, and the Spec does not make it")
			continue
		}
		for _, f := range node.Check(key, h, vm.Guest) {
			if f.ID == "gpu.igd-lpc" && strings.Contains(vm.Config["args"], "device."+key+".x-igd-lpc=on") {
				continue // the args set the option already
			}
			if f.ID == "gpu.partial-card" && d.split[fmt.Sprint(vm.ID, key)] {
				continue // other keys of the VM hold the other functions of the card
			}
			d.find(f)
		}
		d.checkCard(vm, node.Resolve(h), same)
	}
	config := map[string]string{}
	maps.Copy(config, have)
	maps.Copy(config, vm.Config)
	for _, f := range node.CheckConfig(config) {
		f.Subject = fmt.Sprintf("VM %d %s", vm.ID, f.Subject)
		d.find(f)
	}
}

// checkCard refuses cards for which the guest has no driver. If the VM already
// has the card, checkCard only warns.
func (d *differ) checkCard(vm VM, choices [][]iommu.Address, has bool) {
	judged := map[iommu.Address]bool{}
	for _, a := range slices.Concat(choices...) {
		card, ok := gpu.CardAt(d.facts.IOMMU.Functions, a)
		if !ok || judged[card.Address()] {
			continue
		}
		judged[card.Address()] = true
		verdict := gpu.Judge(vm.Guest, card)
		if err := verdict.Err(); err != nil && has {
			d.find(proxstation.Finding{ID: "gpu.unsupported", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: card.Name() + " for " + vm.Guest.String(),
				Why: printable.Sentence(verdict.Why), Fix: printable.Sentence(strings.Join(verdict.Conditions, "; "))})
		} else if err != nil {
			d.problems = append(d.problems, fmt.Errorf("workstation: VM %d: %w", vm.ID, err))
		}
		if verdict.Support == gpu.Conditional {
			d.find(proxstation.Finding{ID: "gpu.conditions", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: card.Name() + " for " + vm.Guest.String(),
				Why: printable.Sentence(verdict.Why), Fix: printable.Sentence(strings.Join(verdict.Conditions, "; "))})
		}
	}
}

// conflicts reports VMs that cannot run at the same time after the plan.
func (d *differ) conflicts(after Facts) {
	node := gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions, Mappings: d.after}
	now := sync.OnceValue(func() []proxstation.Finding { return d.facts.PCI().CheckClaims(d.facts.Claims()) })
	for _, f := range node.CheckClaims(after.Claims(), d.about...) {
		if f.Severity == proxstation.Blocker && slices.Contains(now(), f) {
			f.Severity, f.Why = proxstation.Warning, "This is so today already. "+f.Why
		}
		d.find(f)
	}
	for _, id := range slices.Sorted(maps.Keys(after.VMs)) {
		if d.plans(id) || slices.ContainsFunc(d.spec.VMs, func(vm VM) bool { return vm.ID == id }) {
			d.plan.Findings = append(d.plan.Findings, d.facts.claimsUnread(after.VMs[id])...)
		}
	}
}

// This returns the facts after the steps. Keys that PVE adds by itself are
// missing.
func (f Facts) applied(steps []Step) Facts {
	vms := make(map[int]VMFacts, len(f.VMs)+len(steps))
	maps.Copy(vms, f.VMs)
	for _, step := range steps {
		switch s := step.(type) {
		case CreateVM:
			vms[s.VMID] = VMFacts{ID: s.VMID, Name: s.Name, Config: s.Config}
		case ChangeVM:
			v := vms[s.VMID]
			config := map[string]string{}
			maps.Copy(config, v.Config)
			maps.Copy(config, s.Set)
			for _, key := range s.Delete {
				delete(config, key)
			}
			v.Config = config
			vms[s.VMID] = v
		case DestroyVM:
			delete(vms, s.VMID)
		}
	}
	f.VMs = vms
	return f
}
