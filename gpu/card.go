package gpu

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/finding"
	"github.com/proxstation/proxstation/iommu"
)

// A Finding is one thing a judgement found: a stable ID, a severity, what was
// seen, why it matters and what to do.
type Finding = finding.Finding

// The severities of findings.
const (
	Info    = finding.Info    // worth knowing, nothing to do
	Warning = finding.Warning // works, with a risk or a cost
	Blocker = finding.Blocker // does not work until it is fixed
)

// The PCI vendors that make graphics cards.
const (
	Intel  iommu.ID = 0x8086
	AMD    iommu.ID = 0x1002
	NVIDIA iommu.ID = 0x10de
)

// A Card is a graphics card: all functions of a slot of which at least one is
// a display controller (PCI class 03).
type Card struct {
	// Functions are all functions of the slot in order: display, audio, USB.
	Functions []iommu.Function
}

// Cards finds the cards among PCI functions, in the order of their addresses.
func Cards(functions []iommu.Function) []Card {
	var cards []Card
	for _, f := range functions {
		i := slices.IndexFunc(cards, func(c Card) bool { return c.Address().SameSlot(f.Address) })
		switch {
		case i >= 0:
		case f.Class.IsDisplay():
			cards = append(cards, Card{Functions: slot(functions, f.Address)})
		}
	}
	slices.SortFunc(cards, func(a, b Card) int { return a.Address().Compare(b.Address()) })
	return cards
}

// slot returns the functions of the device at an address, in order.
func slot(functions []iommu.Function, a iommu.Address) []iommu.Function {
	var found []iommu.Function
	for _, f := range functions {
		if f.Address.SameSlot(a) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b iommu.Function) int { return a.Address.Compare(b.Address) })
	return found
}

// CardAt returns the card that an address is a function of; ok is false if
// there is none.
func CardAt(functions []iommu.Function, a iommu.Address) (card Card, ok bool) {
	for _, c := range Cards(functions) {
		if c.Address().SameSlot(a) {
			return c, true
		}
	}
	return Card{}, false
}

// Display returns the card's display controller.
func (c Card) Display() iommu.Function {
	for _, f := range c.Functions {
		if f.Class.IsDisplay() {
			return f
		}
	}
	return iommu.Function{}
}

// Address returns the address of the card's display controller.
func (c Card) Address() iommu.Address { return c.Display().Address }

// Model returns the vendor and device number of the display controller.
func (c Card) Model() iommu.Model { return c.Display().Model }

// Name returns what to call the card: its name if one is known, else its
// family and number.
func (c Card) Name() string {
	d := c.Display()
	if d.Name != "" {
		return d.Name
	}
	return strings.TrimSpace(c.Family().String() + " " + d.Model.String())
}

// Integrated reports whether it is part of the processor: an Intel display
// controller at 0000:00:02.0, or one of AMD's that is.
func (c Card) Integrated() bool {
	if c.Model().Vendor == Intel {
		return c.Address().Slot() == "0000:00:02"
	}
	return c.Family() == AMDIntegrated
}
