package file

import (
	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Page describes the workstations of one node. What the page does not name is
// left alone.
type Page struct {
	// Node is the name of the PVE node; it is only needed in a cluster of
	// several nodes.
	Node string
	// Storage holds what the caller knows better about storages than their disks
	// tell, by the name of the storage.
	Storage map[string]Storage
	// Place says how far storages may be filled. Unset, the disks are promised
	// no more space than there is.
	Place *storage.PlaceOptions
	// Cards are the graphics cards that workstations use, by names of the page's
	// own.
	Cards map[string]Card
	// Host is what the host keeps for guests, and how.
	Host *Host
	// Workstations are the VMs, by their names.
	Workstations map[string]Workstation
	// DualBoot holds sets of workstations that take turns on a card, by names of
	// the page's own.
	DualBoot map[string]DualBoot
	// Remote says how the guests are reached from elsewhere.
	Remote *Remote
}

// Storage is what a storage is known to be.
type Storage struct {
	// Tier is the tier of the storage's disks: 1 for NVMe, 2 for SSDs, 3 for hard
	// disks.
	Tier storage.Tier
}

// A Card is a graphics card of the host.
type Card struct {
	// Address is the PCI address of the card or of a function of it:
	// "0000:01:00" or "0000:01:00.0". Unset, the Mapping has to exist on the node
	// and stays as it is.
	Address iommu.Address
	// Mapping is the name of the resource mapping by which VMs name the card;
	// unset, it is the card's name on the page.
	Mapping string
}

// A Host is what the machine itself does for its guests.
type Host struct {
	// Keep names the cards that the host keeps for guests from its next start on.
	Keep []string
	// Kernel holds kernel arguments to add, such as "iommu=pt".
	Kernel []string
	// Allow lists the uses of the host itself that it gives up with the cards.
	Allow []iommu.UseKind
}

// A DualBoot is a set of workstations that take turns on a card.
type DualBoot struct {
	workstation.DualBoot `omit:"Members,Up,Healthy,TakeOver"`
	// Members are the names of the workstations, two or more.
	Members []string
}

// Tiers returns the tiers that the page knows, for workstation.NodeOptions.
func (p Page) Tiers() map[string]storage.Tier {
	tiers := map[string]storage.Tier{}
	for name, s := range p.Storage {
		if s.Tier != storage.TierUnknown {
			tiers[name] = s.Tier
		}
	}
	return tiers
}

// A Resolver returns the text that a reference stands for. The package itself
// reads no environment and no file.
type Resolver func(Reference) (proxstation.Secret, error)
