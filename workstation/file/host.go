package file

import (
	"fmt"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
)

// HostPlan plans the changes of the machine itself that the page asks for. The
// facts must come from this machine. After its next start, the machine leaves
// the cards of host.keep to the guests, with all functions of the cards. The
// error is an [Errors] if the machine does not have a card. Otherwise it is an
// error of [iommu.Facts.Prepare].
func (p Page) HostPlan(facts iommu.Facts) (iommu.HostPlan, error) {
	if p.Host == nil {
		return iommu.HostPlan{}, nil
	}
	errs := p.check()
	var addresses []iommu.Address
	for i, name := range p.Host.Keep {
		card, ok := gpu.CardAt(facts.Functions, p.Cards[name].Address)
		if !ok {
			errs.add(fmt.Sprintf("host.keep[%d]", i), "this machine has no graphics card at %s: inventory shows its cards", p.Cards[name].Address.Slot())
			continue
		}
		addresses = append(addresses, card.Own()...)
	}
	if err := errs.err(); err != nil {
		return iommu.HostPlan{}, err
	}
	return facts.Prepare(addresses, &iommu.PrepareOptions{Args: p.Host.Kernel, Allow: p.Host.Allow})
}

// Set returns a set of workstations that take turns, by its name on the page.
// The caller sets its Owner and the other fields that are not on the page. The
// error is an [Errors] if the page does not have the name.
func (p Page) Set(name string) (workstation.DualBoot, error) {
	set, there := p.DualBoot[name]
	if !there {
		return workstation.DualBoot{}, Errors{{Key: "dualboot", Why: fmt.Sprintf("the page has no set %q: %s", name, unknown(names(p.DualBoot), name))}}
	}
	if err := p.Validate(); err != nil {
		return workstation.DualBoot{}, err
	}
	db := set.DualBoot
	db.Members = nil
	for _, member := range set.Members {
		db.Members = append(db.Members, p.Workstations[member].VMID())
	}
	return db, nil
}

// SetOf returns the name of the set to which a workstation belongs. It returns
// "" if the workstation belongs to no set.
func (p Page) SetOf(workstation string) string {
	for _, name := range names(p.DualBoot) {
		if slices.Contains(p.DualBoot[name].Members, workstation) {
			return name
		}
	}
	return ""
}

// turns returns the set to which a workstation belongs. It returns a set without
// members if the workstation belongs to no set.
func (p Page) turns(name string) (db workstation.DualBoot) {
	if set := p.SetOf(name); set != "" {
		db, _ = p.Set(set) // cannot fail: the page was checked
	}
	return db
}
