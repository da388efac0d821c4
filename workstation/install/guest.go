package install

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A Guest says how to set up the guest in one VM of a Spec. Either Linux or
// Windows must be set.
type Guest struct {
	// VMID names the VM.
	VMID int
	// Linux configures a cloud image. The image is in the VM's disk scsi0
	// (LinuxAI.Image of package profile).
	Linux *firstboot.LinuxAI
	// Windows holds the answers for Windows' installer. The VM must have
	// Windows' CD and the CD of virtio-win (Windows11.Install and Drivers of
	// package profile).
	Windows *firstboot.Windows11
	// Storage is a storage for ISO images that keeps the seed during the
	// set-up. The default is "local".
	Storage string
	// Card says when the VM gets its graphics card.
	Card CardTime
	// Set holds the VMs that take turns with the guest's VM, on any node of the
	// cluster. The guest does not start while another of them runs. Without
	// members, no other VM keeps the guest from starting.
	Set workstation.DualBoot
	// RustDesk is set up last. nil leaves RustDesk out.
	RustDesk *rustdesk.Setup
	// Again repeats the set-up of a guest whose VM exists. A set-up that has
	// not ended goes on without Again.
	// Completed work is not repeated, so a changed field only affects work that
	// is not completed. If the installation of Windows itself failed, Windows
	// needs a new VM.
	Again bool
}

// A CardTime says when a VM gets its graphics card.
type CardTime uint8

// These are the times at which a VM can get its card.
const (
	// CardLater gives the VM its card after the guest has reported. Until then
	// the set-up runs on the emulated display, which PVE's console shows. The
	// card cannot hang the set-up, and another VM may use the card, unless the
	// VMs take turns (see Set).
	CardLater CardTime = iota
	// CardAtOnce starts the VM with its card. It suits a VM whose card is its
	// only display.
	CardAtOnce
)

// cardText returns the reason for the guest's CardTime, as the plan shows it.
func (g Guest) cardText() string {
	switch {
	case g.Card == CardAtOnce:
		return "the card is there from the first start, as asked"
	case len(g.Set.Members) > 0:
		return "the set-up runs on the emulated display, and no VM that takes turns with it may run meanwhile"
	}
	return "the set-up runs on the emulated display, and another VM may use the card meanwhile"
}

// ErrGuest reports a guest that cannot be set up in its VM. The error is a
// [GuestError].
var ErrGuest = errors.New("guest cannot be set up")

// A GuestError says why a guest cannot be set up in its VM. Nothing was changed.
type GuestError struct {
	VMID int
	Why  string // what is wrong, and what to do
}

// Error implements error.
func (e *GuestError) Error() string { return printable.Sprintf("install: VM %d: %s", e.VMID, e.Why) }

// Is makes the error match [ErrGuest].
func (e *GuestError) Is(target error) bool { return target == ErrGuest }

func (g Guest) problem(format string, args ...any) error {
	return &GuestError{VMID: g.VMID, Why: fmt.Sprintf(format, args...)}
}

func (g Guest) storage() string { return cmp.Or(g.Storage, "local") }

// A system holds the differences between Windows and Linux guests.
type system struct {
	name       string   // the name that people read
	state, log string   // paths in the guest
	again      []string // the command that starts the guest's set-up once more
	os         rustdesk.OS
}

func (g Guest) system() system {
	if g.Windows != nil {
		return system{"Windows", firstboot.WindowsState, firstboot.WindowsLog, firstboot.WindowsAgain(), rustdesk.Windows}
	}
	return system{"Linux", firstboot.LinuxState, firstboot.LinuxLog, firstboot.LinuxAgain(), rustdesk.Linux}
}

// seed returns the guest's CD for its first boot.
func (g Guest) seed() (firstboot.Seed, error) {
	if g.Windows != nil {
		return g.Windows.Seed()
	}
	linux := *g.Linux
	linux.Network.MAC = g.mac()
	return linux.Seed()
}

// mac returns the hardware address of the VM's first network card. It returns
// nil if PVE may choose the address. With a fixed IP address, the set-up finds
// the card by its hardware address, so the address must be known before the VM
// is made. A made address begins with the prefix of Proxmox (IEEE, BC:24:11).
func (g Guest) mac() net.HardwareAddr {
	switch {
	case g.Linux == nil:
		return nil
	case g.Linux.Network.MAC != nil || !g.Linux.Network.Address.IsValid():
		return g.Linux.Network.MAC
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", g.VMID, g.Linux.HostName))
	return append(net.HardwareAddr{0xBC, 0x24, 0x11}, sum[:3]...)
}

// dataSlot returns the slot of the disk that the guest formats, or "" if there
// is no such disk.
func (g Guest) dataSlot() string {
	switch {
	case g.Linux != nil && g.Linux.Models != nil:
		return g.Linux.Models.Slot
	case g.Windows != nil && g.Windows.Games != nil:
		return g.Windows.Games.Slot
	}
	return ""
}
