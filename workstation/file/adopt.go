package file

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

// Adopt returns a first page that describes a node as it is, and comments for
// [Format]. The page has the node's cards with names, the VMs with the given
// VMIDs, and the sets of VMs that share a card. Without VMIDs it has all VMs. A
// VM gets the profile that fits, or [Custom]. A plan of the page has no
// changes. Adopt leaves out templates, and VMs that the page cannot describe
// without changing them. The comment in front of the page names these VMs.
func Adopt(facts workstation.Facts, vmids ...int) (Page, map[string]string) {
	a := adoption{facts: facts, comments: map[string]string{}}
	a.page = Page{Node: facts.Node, Cards: map[string]Card{}, Workstations: map[string]Workstation{}, DualBoot: map[string]DualBoot{}}
	a.lines = []string{fmt.Sprintf("Node %s as it is: a plan of this page is empty. What is not set here stays as", facts.Node), "it is on the node; change a value and plan."}
	a.storages()
	a.cards()
	if len(vmids) == 0 {
		vmids = slices.Sorted(maps.Keys(facts.VMs))
	}
	for _, id := range vmids {
		a.vm(id)
	}
	a.sets()
	a.comments[""] = strings.Join(a.lines, "\n")
	return a.page, a.comments
}

// An adoption makes a page from facts.
type adoption struct {
	facts    workstation.Facts
	page     Page
	comments map[string]string
	lines    []string // lines of the comment in front of the page
}

// This adds comment lines about the storages. One line lists the storages whose
// tier is known. For the others, the lines show how a person writes the tier on
// the page.
func (a *adoption) storages() {
	var known, unknown []string
	for _, pool := range a.facts.Pools {
		if pool.Tier == storage.TierUnknown {
			unknown = append(unknown, pool.Name)
		} else {
			known = append(known, fmt.Sprintf("%s %s (%s)", pool.Name, pool.Tier, pool.Tier.Media()))
		}
	}
	if len(known) > 0 {
		a.lines = append(a.lines, "Tiers of storages: "+strings.Join(known, ", ")+".")
	}
	if len(unknown) > 0 {
		a.lines = append(a.lines, fmt.Sprintf("The tier of %s is not known. If you know it:", strings.Join(unknown, ", ")), "storage:", "  "+unknown[0]+": {tier: 2}")
	}
}

// This adds the node's cards. A card is named after its mapping. A card without
// a mapping is named igpu or gpu.
func (a *adoption) cards() {
	for _, card := range a.facts.Cards() {
		name := "gpu"
		if card.Integrated() {
			name = "igpu"
		}
		mapping := a.mappingOf(card)
		name = free(cmp.Or(mapping, name), a.page.Cards)
		a.page.Cards[name] = Card{Address: card.Address()}
		a.comments["cards."+name] = card.Name()
	}
}

// This returns the given name. If the map has this name already, a number is
// appended.
func free[V any](name string, taken map[string]V) string {
	for n, candidate := 2, name; ; n++ {
		if _, there := taken[candidate]; !there {
			return candidate
		}
		candidate = fmt.Sprintf("%s-%d", name, n)
	}
}

// mappingOf returns the name of the node's mapping for a card. It returns "" if
// there is no mapping.
func (a *adoption) mappingOf(card gpu.Card) string {
	c := conversion{facts: a.facts}
	for _, m := range a.facts.Mappings {
		if at := c.mapped(m.ID); at != (iommu.Address{}) && at.SameSlot(card.Address()) {
			return m.ID
		}
	}
	return ""
}

// cardBy returns the page's name of the card with the given mapping. If the
// page does not have the card, cardBy adds it.
func (a *adoption) cardBy(mapping string) string {
	if _, there := a.page.Cards[mapping]; !there && mapping != "" {
		a.page.Cards[mapping] = Card{Mapping: mapping}
	}
	return mapping
}

// This adds a VM to the page, or a comment line if the VM is left out.
func (a *adoption) vm(id int) {
	have := a.facts.VMs[id]
	if have.Config["template"] == "1" {
		a.lines = append(a.lines, fmt.Sprintf("Left out: VM %d %s, a template.", id, have.Name))
		return
	}
	name := free(plainName(have.Name, id), a.page.Workstations)
	for _, w := range a.candidates(id) {
		setName(w, name, have.Name)
		alone := Page{Cards: a.page.Cards, Workstations: map[string]Workstation{name: w}}
		if alone.changesNothing(a.facts) {
			a.page.Workstations[name] = w
			return
		}
	}
	a.lines = append(a.lines, fmt.Sprintf("Left out: VM %d %s: it cannot be described without a change.", id, have.Name))
}

// plainName turns a name into a key: letters, digits, hyphens and dots.
func plainName(name string, id int) string {
	plain := func(r rune) rune {
		if r < 0x80 && strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", r) {
			return r
		}
		return '-'
	}
	return cmp.Or(strings.Trim(strings.Map(plain, name), "-."), fmt.Sprintf("vm-%d", id))
}

// setName sets a workstation's name to the VM's name if the key on the page
// differs from that name.
func setName(w Workstation, key, name string) {
	if key == name {
		name = ""
	}
	switch w := w.(type) {
	case *Windows11:
		w.Name = name
	case *LinuxAI:
		w.Name = name
	case *MacOS:
		w.Name = name
	case *Custom:
		w.Name = name
	}
}

// candidates returns the workstations that can describe a VM, the best first.
func (a *adoption) candidates(id int) []Workstation {
	var all []Workstation
	if adopted, err := profile.Adopt(a.facts, id); err == nil {
		switch p := adopted.Profile.(type) {
		case profile.Windows11:
			p.Card = a.cardBy(p.Card)
			all = append(all, &Windows11{Windows11: p})
		case profile.LinuxAI:
			p.Card = a.cardBy(p.Card)
			all = append(all, linuxOf(p))
		case profile.MacOS:
			all = append(all, &MacOS{MacOS: p, OpenCore: OpenCore{Volume: p.OpenCore}, Card: a.cardBy(p.Mapping)})
			p.Stage, p.Mode, p.ROM = profile.MacInstall, profile.IGPUChosen, "" // the VM keeps its card
			all = append(all, &MacOS{MacOS: p, OpenCore: OpenCore{Volume: p.OpenCore}})
		}
	}
	if spec, err := workstation.Adopt(a.facts, id); err == nil {
		all = append(all, &Custom{VM: spec.VMs[0]})
	}
	return all
}

func linuxOf(p profile.LinuxAI) *LinuxAI {
	w, init := &LinuxAI{LinuxAI: p}, p.CloudInit
	w.LinuxAI.CloudInit = profile.CloudInit{}
	page := &CloudInit{CloudInit: init}
	page.CloudInit.Password, page.CloudInit.SSHKeys = proxstation.Secret{}, nil
	for _, key := range init.SSHKeys {
		page.Keys = append(page.Keys, Key(key))
	}
	if len(pairs(reflect.ValueOf(page))) > 0 {
		w.CloudInit = page
	}
	return w
}

// changesNothing writes the page and reads it again. It reports whether this
// works, and whether the plan of the page is empty.
func (p Page) changesNothing(facts workstation.Facts) bool {
	source, err := Parse("", Format(p, nil))
	if err != nil {
		return false
	}
	spec, err := source.Page.Spec(facts, nil)
	if err != nil {
		return false
	}
	plan, err := workstation.Diff(spec, facts)
	return err == nil && plan.Empty()
}

// This adds the sets of workstations that share a card.
func (a *adoption) sets() {
	members := map[string][]string{}
	for _, name := range names(a.page.Workstations) {
		if card := a.page.Workstations[name].card(); card != "" {
			members[card] = append(members[card], name)
		}
	}
	for _, card := range names(members) {
		if len(members[card]) > 1 {
			a.page.DualBoot[card] = DualBoot{Members: members[card]}
		}
	}
}
