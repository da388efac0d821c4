package cluster

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Spec describes what should exist on a cluster. Everything else is left
// alone.
type Spec struct {
	// Cards holds the graphics cards that workstations name, each with its
	// resource mapping.
	Cards []Card
	// Workstations holds the VMs with their needs. They are placed in this
	// order, after the VMs that exist.
	Workstations []Needs
	// Images holds the images that the chosen node may lack, and their sources.
	Images []Image
	// Place says how far storages may be filled. If it is nil, the disks may
	// fill a storage, but together they get no more space than the storage has.
	Place *storage.PlaceOptions
}

// Needs holds the requirements that a workstation has of its node. Most of them
// are in the VM: the size and the tier of its disks, its memory, its
// processors, its bridges and its images. If the VM names a mapping in a
// hostpci key, it needs a card. The [Card] of that name in the Spec, or the
// existing mapping, says which nodes have such a card.
type Needs struct {
	// VM is the VM as a profile makes it.
	VM workstation.VM
	// On returns the VM for a node. Set it for a VM that depends on its node. A
	// Mac, for example, depends on the card and on the processor. The mappings
	// in the facts include the entries that the plan will make. On also returns
	// the images that the VM needs on this node, in addition to the images of
	// the Spec. If On is set, VM only has to contain the ID and the name. If On
	// is nil, VM fits every node.
	On func(node workstation.Facts) (workstation.VM, []Image, error)
	// Node is the only node on which a new VM is placed. If it is empty, every
	// node is allowed. A VM that exists stays on its node in any case.
	Node string
}

// Returns the VM as it should be on a node, and the images that it needs there.
func (n Needs) on(node workstation.Facts) (workstation.VM, []Image, error) {
	if n.On == nil {
		return n.VM, nil, nil
	}
	vm, images, err := n.On(node)
	if err == nil && vm.ID != n.VM.ID {
		err = fmt.Errorf("cluster: %w: VM %d is VM %d on node %s", workstation.ErrInvalid, n.VM.ID, vm.ID, node.Node)
	}
	return vm, images, err
}

// A Card is a kind of graphics card, together with the resource mapping by
// which VMs name it. Each node that has such a card gets an entry in the
// mapping.
type Card struct {
	// Mapping is the mapping's name. It begins with a letter. Letters, digits,
	// "-" and "_" may follow.
	Mapping string
	// Kind says which cards are meant. If it is zero, the mapping must exist
	// already, and the models in its entries say which cards are meant.
	Kind Kind
}

// A Kind says which graphics cards are meant. A card is of the kind if it
// matches every field that is set. The zero Kind matches no card.
type Kind struct {
	// Name is a part of the card's name in PVE's list of PCI devices, such as
	// "RTX 5070". All words of Name must be in the card's name, in any order
	// and case: "RTX 5070" also matches an RTX 5070 Ti. A card whose name PVE
	// does not know matches no Name.
	Name string
	// Family is the family of the card's chip.
	Family gpu.Family
	// Model is the vendor and device number of the display: 10de:2c05.
	Model iommu.Model
	// Address is the PCI address of one function of the card. On each node,
	// only the card at this address matches.
	Address iommu.Address
}

// Is reports whether a card is of the kind.
func (k Kind) Is(card gpu.Card) bool {
	name, want := words(card.Name()), words(k.Name)
	for word := range want {
		if !name[word] {
			return false
		}
	}
	return k != Kind{} &&
		(k.Name == "" || len(want) > 0) &&
		(k.Family == gpu.UnknownFamily || k.Family == card.Family()) &&
		(k.Model == iommu.Model{} || k.Model == card.Model()) &&
		(k.Address == iommu.Address{} || k.Address.SameSlot(card.Address()))
}

// words returns the words of a name in lower case. Brackets separate words:
// "GB203 [GeForce RTX 5070 Ti]".
func words(name string) map[string]bool {
	found := map[string]bool{}
	for word := range strings.FieldsFuncSeq(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" \t[](),/", r) }) {
		found[word] = true
	}
	return found
}

// String describes the kind: "RTX 5070, NVIDIA Blackwell".
func (k Kind) String() string {
	var parts []string
	if k.Name != "" {
		parts = append(parts, k.Name)
	}
	if k.Family != gpu.UnknownFamily {
		parts = append(parts, k.Family.String())
	}
	if k.Model != (iommu.Model{}) {
		parts = append(parts, k.Model.String())
	}
	if k.Address != (iommu.Address{}) {
		parts = append(parts, "at "+k.Address.Slot())
	}
	if len(parts) == 0 {
		return "no card"
	}
	return printable.Line(strings.Join(parts, ", "))
}
