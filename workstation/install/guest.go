package install

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A Guest says how the guest in one VM of a Spec is set up. One of Linux and
// Windows is given.
type Guest struct {
	// VMID names the VM.
	VMID int
	// Linux is what a cloud image is told, in the disk scsi0 of the VM (LinuxAI.Image
	// of package profile).
	Linux *firstboot.LinuxAI
	// Windows is what Windows' installer is told; the VM has its CD and that of
	// virtio-win (Windows11.Install and Drivers of package profile).
	Windows *firstboot.Windows11
	// Storage is where the seed lies meanwhile, a storage for ISO images; the
	// default is "local".
	Storage string
	// Card says when the VM gets its graphics card.
	Card CardTime
	// RustDesk is set up at the end; nil leaves it out.
	RustDesk *rustdesk.Setup
	// Again sets up a guest once more whose VM is there, after a failure. What was
	// done is left alone: a field that has changed since counts only for what was
	// not. A Windows whose installation itself broke off needs a new VM.
	Again bool
}

// A CardTime is when a VM gets its graphics card.
type CardTime uint8

// The times.
const (
	// CardLater gives the VM its card when the guest has reported. The long part is
	// done on the emulated display, which PVE's console shows, with no card that
	// could hang the set-up, and while another VM uses it.
	CardLater CardTime = iota
	// CardAtOnce starts the VM with its card: for a VM whose card is its only
	// display.
	CardAtOnce
)

// why is the reason for the time, for the plan.
func (c CardTime) why() string {
	if c == CardAtOnce {
		return "the card is there from the first start, as asked"
	}
	return "the set-up runs on the emulated display, and another VM may use the card meanwhile"
}

// ErrGuest reports a guest that cannot be set up in its VM. The error is a
// [GuestError].
var ErrGuest = errors.New("guest cannot be set up")

// A GuestError says why a guest cannot be set up in its VM. Nothing was changed.
type GuestError struct {
	VMID int
	Why  string // and what to do
}

// Error implements error.
func (e *GuestError) Error() string { return printable.Sprintf("install: VM %d: %s", e.VMID, e.Why) }

// Is makes the error match [ErrGuest].
func (e *GuestError) Is(target error) bool { return target == ErrGuest }

func (g Guest) problem(format string, args ...any) error {
	return &GuestError{VMID: g.VMID, Why: fmt.Sprintf(format, args...)}
}

func (g Guest) storage() string { return cmp.Or(g.Storage, "local") }

// A system holds what differs between the two kinds of guests.
type system struct {
	name       string   // for people
	state, log string   // files in the guest
	again      []string // starts the set-up in the guest once more
	os         rustdesk.OS
}

func (g Guest) system() system {
	if g.Windows != nil {
		return system{"Windows", firstboot.WindowsState, firstboot.WindowsLog, firstboot.WindowsAgain(), rustdesk.Windows}
	}
	return system{"Linux", firstboot.LinuxState, firstboot.LinuxLog, firstboot.LinuxAgain(), rustdesk.Linux}
}

// seed returns the CD for the first boot.
func (g Guest) seed() (firstboot.Seed, error) {
	if g.Windows != nil {
		return g.Windows.Seed()
	}
	linux := *g.Linux
	linux.Network.MAC = g.mac()
	return linux.Seed()
}

// mac returns the hardware address of the VM's first network card, or nil for one
// that PVE chooses: an address of the guest's own belongs to a card that is known
// before the VM is made. The first bytes are Proxmox's own (IEEE, BC:24:11).
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

// dataSlot returns the slot of the disk that the guest itself makes ready, or "".
func (g Guest) dataSlot() string {
	switch {
	case g.Linux != nil && g.Linux.Models != nil:
		return g.Linux.Models.Slot
	case g.Windows != nil && g.Windows.Games != nil:
		return g.Windows.Games.Slot
	}
	return ""
}
