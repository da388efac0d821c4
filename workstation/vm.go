package workstation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// A Spec describes what should exist on a node. Everything else on the node is
// left alone.
type Spec struct {
	// Mappings holds the PCI resource mappings by which VMs name a card.
	Mappings []CardMapping `json:"mappings,omitempty"`
	// VMs holds the virtual machines.
	VMs []VM `json:"vms,omitempty"`
	// Place says how far storages may be filled. With nil, disks are promised
	// no more space than there is.
	Place *storage.PlaceOptions `json:"place,omitempty"`
}

// A CardMapping is a PCI resource mapping for a whole card. An API token can
// change a VM that names the mapping instead of an address. PVE refuses to
// start such a VM if another device now has the address (PVE manual, Resource
// Mapping).
type CardMapping struct {
	// ID is the mapping's name: a letter, then letters, digits, "-" and "_".
	ID string `json:"id"`
	// Card is the address of any function of the card.
	Card iommu.Address `json:"card"`
}

// A VM describes how one virtual machine should be. The profiles of package
// profile make VMs, and every part can be changed afterwards.
type VM struct {
	// ID is the VMID, 100 to 999999999.
	ID int `json:"id"`
	// Name is the VM's name, a DNS name. If the node's VM with this ID has
	// another name, it is assumed to belong to somebody else, and the error is
	// a [TakenError].
	Name string `json:"name"`
	// Guest is the operating system inside the VM; it decides which cards the
	// VM can use.
	Guest gpu.Guest `json:"guest"`
	// Config holds the keys of PVE's VM configuration in PVE's own notation
	// (qm.conf manual page). Keys that are missing here stay as they are. A
	// property string names only the wanted properties: other properties of the
	// same key stay too.
	Config map[string]string `json:"config,omitempty"`
	// Defaults holds values, in the notation of Config, for keys that Config
	// does not name. They are for new VMs: an existing VM keeps its values. If
	// Config names the key too, the properties of the default are added to its
	// value, such as "pcie=1" to "mapping=rtx". This also holds for a key that
	// is new to an existing VM.
	Defaults map[string]string `json:"defaults,omitempty"`
	// Absent holds keys that must not be in the configuration. This is how a
	// card is detached. A name such as "hostpci0.legacy-igd" is a property that
	// must not be in a key's value. Keys that hold a disk are refused here.
	Absent []string `json:"absent,omitempty"`
	// Disks holds the drives.
	Disks []Disk `json:"disks,omitempty"`
	// Notes holds findings about the parts of the VM, such as the image of its
	// boot loader. A plan that makes or changes the VM repeats them, and a
	// blocker among them blocks the plan.
	Notes []proxstation.Finding `json:"notes,omitempty"`
	// OSK is the key that macOS reads from the system management controller. It
	// is sent in place of "osk=[secret]" in Config["args"]. If it is unset, the
	// VM keeps its key. MacOS.OSK of package profile says who can see the key.
	OSK proxstation.Secret `json:"-"`
	// Password is the password that cloud-init gives the guest's user. It is
	// set only if the VM has no password: PVE never shows a password, so the
	// two cannot be compared.
	Password proxstation.Secret `json:"-"`
}

var (
	nameFormat = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$`)
)

const notDNS = "a VM's name is a DNS name"

// The VMIDs that PVE accepts (pve-common PVE/JSONSchema.pm, pve-vmid).
const minVMID, maxVMID = 100, 999999999

// Validate reports every reason why the VM is impossible on any node: an ID or
// a slot that does not exist, too few resources for the guest, a machine type
// that excludes the card's mode. Each error is an [InvalidError]. Validate
// judges the VM as a new VM, with its Defaults. [Diff] judges an existing VM by
// the configuration that it will have.
func (vm VM) Validate() error {
	vm = vm.AsNew()
	problems := vm.checkForm()
	return append(problems, vm.checkRules(vm.whole(), nil)...).err()
}

// checkForm reports values that PVE could not read. It judges each key alone,
// without the other keys of the VM.
func (vm VM) checkForm() problems {
	var problems problems
	if vm.ID < minVMID || vm.ID > maxVMID {
		problems.add(vm, "vmid", fmt.Sprint(vm.ID), "VMIDs go from 100 to 999999999")
	}
	if !nameFormat.MatchString(vm.Name) {
		problems.add(vm, "name", vm.Name, notDNS)
	}
	if _, err := gpu.ParseGuest(vm.Guest.String()); err != nil {
		problems.add(vm, "guest", vm.Guest.String(), "no such guest")
	}
	vm.checkDisks(&problems)
	vm.checkKeys(&problems)
	vm.checkAbsent(&problems)
	problems.addFaults(vm, rules.CheckValues(vm.Guest, vm.Config))
	vm.checkSecrets(&problems)
	return problems
}

// checkDisks reports slots that do not exist or are named twice.
func (vm VM) checkDisks(problems *problems) {
	seen := map[string]Disk{}
	for _, disk := range vm.Disks {
		if !qmconf.IsSlot(disk.Slot) {
			problems.add(vm, "disk", disk.Slot, "PVE has no such drive")
		}
		switch other, twice := seen[disk.Slot]; {
		case twice && disk.cloudInit() != other.cloudInit():
			problems.add(vm, "disk", disk.Slot, "an installer and cloud-init both need this slot: a VM begins either with an installer (Install) or with a cloud image (Image)")
		case twice:
			problems.add(vm, "disk", disk.Slot, "named twice")
		}
		seen[disk.Slot] = disk
		disk.check(vm, problems)
		if disk.allocates() && disk.Size <= 0 && !disk.isDefault() && disk.Import == "" && !qmconf.IsFirmware(disk.Slot) {
			problems.add(vm, disk.Slot, disk.Size.String(), "a new disk needs a size")
		}
	}
}

// checkKeys reports keys that are not settings.
func (vm VM) checkKeys(problems *problems) {
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		switch {
		case qmconf.IsSlot(key):
			problems.add(vm, key, "", "drives belong in Disks, so that no drive is dropped by accident")
		case key == "name":
			problems.add(vm, key, vm.Config[key], "the name belongs in Name")
		case slices.Contains(qmconf.NoSettings, key):
			problems.add(vm, key, vm.Config[key], "it is not a setting of a VM: it is a parameter of a request, or a key that only PVE writes")
		case vm.Config[key] == "":
			problems.add(vm, key, "", "it has no value: to remove a key, name it in Absent")
		}
	}
}
