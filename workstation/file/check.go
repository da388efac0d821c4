package file

import (
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

// Validate reports the mistakes of the page: a name for which the page has no
// card or workstation, a VMID or a card that appears twice, a set whose members
// do not share a card, and keys that contradict each other. The error is an
// [Errors]. [Parse] reports these mistakes too, with their places in the file.
func (p Page) Validate() error { return p.check().err() }

func (p Page) check() Errors {
	var errs Errors
	cards, stations := names(p.Cards), names(p.Workstations)
	p.checkCards(&errs)
	if p.Host != nil {
		for i, name := range p.Host.Keep {
			key := fmt.Sprintf("host.keep[%d]", i)
			if card, there := p.Cards[name]; !there {
				errs.add(key, "no card of the page has the name %q: %s", name, unknown(cards, name))
			} else if card.Address == (iommu.Address{}) {
				errs.add(key, "the host can only keep a card whose address is on the page: add it at cards.%s.address", name)
			}
		}
	}
	owners := map[int]string{}
	for _, name := range stations {
		w, key := p.Workstations[name], "workstations."+name
		if w == nil {
			continue // the decoder has already reported this mistake
		}
		if id := w.VMID(); owners[id] == "" {
			owners[id] = name
		} else {
			errs.add(key, "VMID %d belongs to %s too: give one of the two another id", id, owners[id])
		}
		if card := w.card(); card != "" {
			if _, there := p.Cards[card]; !there {
				errs.add(key+".card", "no card of the page has the name %q: %s", card, unknown(cards, card))
			}
		}
		checkSetUp(&errs, key, w)
		if mac, ok := w.(*MacOS); ok {
			mac.check(&errs, key)
		}
	}
	p.checkIdentities(&errs, stations)
	p.checkSets(&errs, stations)
	p.checkHA(&errs, stations)
	p.checkRemote(&errs, stations)
	return errs
}

func (w *MacOS) check(errs *Errors, key string) {
	w.OpenCore.check(errs, key+".opencore")
	switch {
	case w.Release != gpu.AnyGuest && !w.Release.IsMacOS():
		errs.add(key+".release", "%q is not a release of macOS: want %s", guestText(w.Release), oneOf(guests()[gpu.MacOSHighSierra:]))
	case w.Card == "" && w.Stage.String() == "card":
		errs.add(key+".stage", "the stage card needs the name of a card: add %s.card", key)
	}
}

// checkCards reports addresses and mappings that belong to two cards.
func (p Page) checkCards(errs *Errors) {
	slots, mappings := map[string]string{}, map[string]string{}
	for _, name := range names(p.Cards) {
		card, key := p.Cards[name], "cards."+name
		if card.Address != (iommu.Address{}) {
			if other, taken := slots[card.Address.Slot()]; taken {
				errs.add(key+".address", "the card %s is at %s already", other, card.Address.Slot())
			}
			slots[card.Address.Slot()] = name
		}
		mapping := p.mapping(name)
		if other, taken := mappings[mapping]; taken {
			errs.add(key, "the mapping %s belongs to the card %s already: a mapping names only one card", mapping, other)
		}
		mappings[mapping] = name
	}
}

// checkSets reports a set with fewer than two members, members that are not on
// the page, and members with different cards.
func (p Page) checkSets(errs *Errors, stations []string) {
	for _, set := range names(p.DualBoot) {
		members, key := p.DualBoot[set].Members, "dualboot."+set
		if len(slices.Compact(slices.Sorted(slices.Values(members)))) < 2 {
			errs.add(key, "a set has two different members or more")
		}
		for i, name := range members {
			here := fmt.Sprintf("%s.members[%d]", key, i)
			w, there := p.Workstations[name]
			switch first := p.Workstations[members[0]]; {
			case !there:
				errs.add(here, "no workstation of the page has the name %q: %s", name, unknown(stations, name))
			case w == nil || first == nil || w.Profile() == "custom" || first.Profile() == "custom":
			case w.card() == "":
				errs.add(here, "%s has no card, and the members of a set share one: add workstations.%s.card", name, name)
			case w.card() != first.card():
				errs.add(here, "%s has the card %s and %s the card %s: the members of a set share one", members[0], first.card(), name, w.card())
			}
		}
	}
}

// checkRemote reports guests of remote access that are not workstations of the
// page.
func (p Page) checkRemote(errs *Errors, stations []string) {
	for way, on := range p.Remote.on() {
		for i, name := range on {
			if !slices.Contains(stations, name) {
				errs.add(fmt.Sprintf("remote.%s.guests[%d]", way, i), "no workstation of the page has the name %q: %s", name, unknown(stations, name))
			}
		}
	}
}

// This returns a map from each kind of remote access on the page, such as
// "ssh", to the names of its guests.
func (r *Remote) on() map[string][]string {
	ways := map[string][]string{}
	if r == nil {
		return ways
	}
	if r.RustDesk != nil {
		ways["rustdesk"] = r.RustDesk.Guests
	}
	if r.SSH != nil {
		ways["ssh"] = r.SSH.Guests
	}
	if r.RDP != nil {
		ways["rdp"] = r.RDP.Guests
	}
	if r.Sunshine != nil {
		ways["sunshine"] = r.Sunshine.Guests
	}
	return ways
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
