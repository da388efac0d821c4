package gpu

import (
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// The PCI vendors that make graphics cards.
const (
	Intel  iommu.ID = 0x8086
	AMD    iommu.ID = 0x1002
	NVIDIA iommu.ID = 0x10de
)

// A Card is a graphics card. It is either all functions of a slot that has a
// display controller, or one SR-IOV virtual function with a display. A display
// controller has the PCI class 03, which 3D controllers without a connector
// have too. Processing accelerators (class 12, such as the NPU beside an iGPU)
// are not cards, because no guest draws with them.
type Card struct {
	// Functions holds all functions of the slot in order: display, audio, USB.
	Functions []iommu.Function `json:"functions"`
}

// Cards finds the cards among PCI functions, in the order of their addresses.
// It leaves out displays that only show the host's own picture, such as the
// display of a server's management controller ([iommu.Function.Console]).
func Cards(functions []iommu.Function) []Card {
	return slices.DeleteFunc(displays(functions), func(c Card) bool { return c.Display().Console() != "" })
}

// The function "displays" finds all devices with a display, in the order of their
// addresses.
func displays(functions []iommu.Function) []Card {
	slots := map[iommu.Address]Card{}
	for _, f := range functions {
		slot := f.Address.WithFunction(0)
		if f.VirtualOf != nil {
			slot = f.Address
		}
		slots[slot] = Card{append(slots[slot].Functions, f)}
	}
	var cards []Card
	for _, card := range slots {
		if slices.ContainsFunc(card.Functions, isDisplay) {
			slices.SortFunc(card.Functions, func(a, b iommu.Function) int { return a.Address.Compare(b.Address) })
			cards = append(cards, card)
		}
	}
	slices.SortFunc(cards, func(a, b Card) int { return a.Address().Compare(b.Address()) })
	return cards
}

// CardAt returns the card that has a function at the address, and false if
// there is no such card. It also finds the displays that [Cards] leaves out, so
// that [Ready] can say why these displays are not cards.
func CardAt(functions []iommu.Function, a iommu.Address) (card Card, ok bool) {
	for _, c := range displays(functions) {
		switch {
		case contains(c.Functions, a):
			return c, true
		case c.Address().SameSlot(a) && !c.virtual():
			card, ok = c, true
		}
	}
	return card, ok
}

func isDisplay(f iommu.Function) bool { return f.Class.IsDisplay() }

// Display returns the card's first display controller. For the zero Card it
// returns the zero Function.
func (c Card) Display() iommu.Function {
	if i := slices.IndexFunc(c.Functions, isDisplay); i >= 0 {
		return c.Functions[i]
	}
	return iommu.Function{}
}

// Address returns the address of the card's display controller.
func (c Card) Address() iommu.Address { return c.Display().Address }

// Addresses returns the addresses of all functions of the card.
func (c Card) Addresses() []iommu.Address {
	var addresses []iommu.Address
	for _, f := range c.Functions {
		addresses = append(addresses, f.Address)
	}
	return addresses
}

// String returns the card's name and address: "GeForce RTX 5070 Ti at
// 0000:01:00.0".
func (c Card) String() string {
	if len(c.Functions) == 0 {
		return "no card"
	}
	return printable.Sprintf("%s at %s", c.Name(), c.Address())
}

// Model returns the vendor and device number of the display controller.
func (c Card) Model() iommu.Model { return c.Display().Model }

// Family returns the card's family.
func (c Card) Family() Family { return FamilyOf(c.Model()) }

// Name returns the card's name from a names database. Without such a name it
// returns family and number: "NVIDIA Blackwell 10de:2c05".
func (c Card) Name() string {
	d := c.Display()
	switch {
	case d.Name != "":
		return d.Name
	case c.Family() != UnknownFamily:
		return c.Family().String() + " " + d.Model.String()
	}
	return d.Model.String()
}

// Integrated reports whether the card is part of the processor: an Intel card
// with the address 0000:00:02.0, which is the same on every processor, or an
// AMD card of the family AMDIntegrated.
func (c Card) Integrated() bool {
	if c.Model().Vendor == Intel {
		return c.Address().Slot() == "0000:00:02"
	}
	return c.Family() == AMDIntegrated
}

// The method "foreign" returns the functions in the card's slot that do not
// belong to the card. For example, the slot of an AMD iGPU also holds the
// security processor, USB controllers and the sound of the board. These
// functions have another vendor number than the card.
func (c Card) foreign() []iommu.Function {
	return slices.DeleteFunc(slices.Clone(c.Functions), func(f iommu.Function) bool {
		if c.Integrated() && f.Model.Vendor != c.Model().Vendor {
			return false
		}
		return f.Class.IsDisplay() || f.Class.Sub() == 0x0403 || f.Class.Base() == 0x0c && !c.Integrated()
	})
}

// Own returns the addresses of the functions that belong to the card and go to
// a guest together: display, sound and USB port. Functions that only share the
// slot are left out.
func (c Card) Own() []iommu.Address {
	var own []iommu.Address
	foreign := c.foreign()
	for _, f := range c.Functions {
		if !contains(foreign, f.Address) {
			own = append(own, f.Address)
		}
	}
	return own
}

// The method "virtual" reports whether the card is an SR-IOV virtual function.
func (c Card) virtual() bool { return c.Display().VirtualOf != nil }

// Groups returns the IOMMU groups of the card's functions, each group once. On
// AMD cards, display and audio often have separate groups.
func (c Card) Groups() []iommu.GroupID {
	var groups []iommu.GroupID
	for _, f := range c.Functions {
		if _, ok := f.Group.Int(); ok && !slices.Contains(groups, f.Group) {
			groups = append(groups, f.Group)
		}
	}
	return groups
}

// Lost says whether a function of the card no longer answers on the bus. The
// function's configuration space then reads ff until the host is switched off
// and on.
func (c Card) Lost() proxstation.Answer {
	lost := proxstation.No
	for _, f := range c.Functions {
		switch {
		case f.Lost == proxstation.Yes:
			return proxstation.Yes
		case f.Lost == proxstation.Unknown:
			lost = proxstation.Unknown
		}
	}
	if len(c.Functions) == 0 {
		return proxstation.Unknown
	}
	return lost
}

func (c Card) is(families ...Family) bool { return slices.Contains(families, c.Family()) }
