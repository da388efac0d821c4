package file

import (
	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Page describes the workstations of a node, or of the nodes of a cluster.
// VMs, cards and storages that the page does not name are left alone.
type Page struct {
	// Node is the name of the PVE node, if all workstations are on one node of a
	// cluster. Without it, each workstation names its node, or is placed where
	// its card, its storages and its memory are.
	Node string
	// Storage holds facts about storages that their disks do not show, by the
	// name of the storage.
	Storage map[string]Storage
	// Place says how far storages may be filled. Without it, disks may promise
	// no more space than a storage has.
	Place *storage.PlaceOptions
	// Cards holds the graphics cards that workstations use. Their names are
	// only used on the page.
	Cards map[string]Card
	// Host says what the host keeps for guests, and how.
	Host *Host
	// Workstations holds the VMs by their names.
	Workstations map[string]Workstation
	// DualBoot holds sets of workstations that take turns on a card. The names
	// of the sets are only used on the page.
	DualBoot map[string]DualBoot
	// Remote says how the guests are reached from other machines.
	Remote *Remote
}

// Storage holds the known facts about a storage.
type Storage struct {
	// Tier is the tier of the storage's disks: 1 for NVMe, 2 for SSDs, 3 for hard
	// disks.
	Tier storage.Tier
}

// A Card is a graphics card of the host. If neither Address nor Model is set,
// the Mapping must exist on the node, and it is not changed.
type Card struct {
	// Address is the PCI address of the card or of one of its functions:
	// "0000:01:00" or "0000:01:00.0".
	Address iommu.Address
	// Model names the card by its kind, wherever it is: words of its name, such
	// as "RTX 5070", or its vendor and device number, such as "10de:2c05".
	Model string
	// Mapping is the name of the resource mapping by which VMs name the card.
	// Without it, the mapping has the card's name on the page.
	Mapping string
}

// A Host says how the machine itself is prepared for its guests.
type Host struct {
	// Keep names the cards that the host keeps for guests from its next start on.
	Keep []string
	// Kernel holds kernel arguments to add, such as "iommu=pt".
	Kernel []string
	// Allow lists the uses of the cards by the host itself that may end.
	Allow []iommu.UseKind
}

// A DualBoot is a set of workstations that take turns on a card.
type DualBoot struct {
	workstation.DualBoot `omit:"Members,Up,Healthy,TakeOver,NodesOff"`
	// Members holds the names of the workstations, at least two.
	Members []string
}

// Tiers returns the tiers of storages on the page, for workstation.NodeOptions.
func (p Page) Tiers() map[string]storage.Tier {
	tiers := map[string]storage.Tier{}
	for name, s := range p.Storage {
		if s.Tier != storage.TierUnknown {
			tiers[name] = s.Tier
		}
	}
	return tiers
}

// A Resolver returns the secret that a reference names. This package itself
// reads neither the environment nor files of secrets.
type Resolver func(Reference) (proxstation.Secret, error)
