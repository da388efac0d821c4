package file

import (
	"cmp"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A Workstation is one VM of a page. The key profile chooses its type:
// [Windows11], [LinuxAI], [MacOS], [RustDeskServer] or [Custom].
type Workstation interface {
	// Profile returns the value of the key profile, such as "windows11".
	Profile() string
	// VMID returns the VM's ID. If the page has no ID, VMID returns the default
	// of the profile.
	VMID() int
	// home returns the node that the workstation names, or "".
	home() string
	// ha returns the request to the HA manager, or nil.
	ha() *HA
	// card returns the page's name of the graphics card. It returns "" if there
	// is no card.
	card() string
	// guest returns the operating system in the VM.
	guest() gpu.Guest
	// made returns the profile that makes the VM.
	made(name string, c *conversion) maker
}

// A maker makes a VM, as a profile does.
type maker interface{ VM() workstation.VM }

// Windows11 is a [profile.Windows11] on the page. Its Card is the name of a
// card of the page.
type Windows11 struct {
	Home
	profile.Windows11
	// User is the account that the installation creates. With it, a new VM
	// installs Windows by itself. Without it, a person has to install Windows.
	User *Account
	// Setup holds further settings of the installation.
	Setup *WindowsSetup
}

// LinuxAI is a [profile.LinuxAI] on the page. Its Card is the name of a card of
// the page.
type LinuxAI struct {
	Home
	profile.LinuxAI `omit:"CloudInit"`
	// User is the person who may log in. With it, a new VM of a cloud image
	// sets itself up: the agent, the disk for models and the settings of Setup.
	User *Login
	// Network is the guest's network configuration in that set-up. Without it,
	// the guest uses DHCP.
	Network *Network
	// Setup holds further settings of the set-up.
	Setup *LinuxSetup
	// CloudInit is the data that PVE's own drive gives to the image. It
	// replaces User, Network and Setup.
	CloudInit *CloudInit
}

// RustDeskServer is a [profile.RustDeskServer] on the page.
type RustDeskServer struct {
	Home
	profile.RustDeskServer `omit:"CloudInit"`
	// User is the person who may log in. With it, a new VM of a cloud image
	// sets itself up, with the agent.
	User *Login
	// Network is the guest's network configuration in that set-up. Without it,
	// the guest uses DHCP.
	Network *Network
	// Setup holds further settings of the set-up.
	Setup *LinuxSetup
	// CloudInit is the data that PVE's own drive gives to the image. It
	// replaces User, Network and Setup.
	CloudInit *CloudInit
}

// MacOS is a [profile.MacOS] on the page. Its card's mapping comes from the
// page, and the processor from the node.
type MacOS struct {
	Home
	profile.MacOS `omit:"Mapping,HostCPU,Image"`
	// OpenCore is the boot loader: a volume that is used as it is, or an image
	// of which a copy is configured for the VM and its card.
	OpenCore OpenCore
	// Card is the name of the graphics card on the page.
	Card string
	// OSK refers to the key for which macOS asks the system management
	// controller.
	OSK Reference
}

// Custom is a VM in PVE's own notation. It is for VMs that no profile
// describes, such as a VM that existed before the page.
type Custom struct {
	Home
	workstation.VM `omit:"OSK,Password,Notes"`
	// Password refers to the password that cloud-init sets for the guest's
	// user.
	Password Reference
	// OSK refers to the key for which macOS asks the system management
	// controller.
	OSK Reference
}

// kinds holds, for each profile, a function that returns a new workstation.
var kinds = []func() Workstation{
	func() Workstation { return new(Windows11) },
	func() Workstation { return new(LinuxAI) },
	func() Workstation { return new(MacOS) },
	func() Workstation { return new(RustDeskServer) },
	func() Workstation { return new(Custom) },
}

// Profile implements [Workstation].
func (w *Windows11) Profile() string { return "windows11" }

// Profile implements [Workstation].
func (w *LinuxAI) Profile() string { return "linux-ai" }

// Profile implements [Workstation].
func (w *MacOS) Profile() string { return "macos" }

// Profile implements [Workstation].
func (w *RustDeskServer) Profile() string { return "rustdesk-server" }

// Profile implements [Workstation].
func (w *Custom) Profile() string { return "custom" }

// VMID implements [Workstation].
func (w *Windows11) VMID() int { return w.VM().ID }

// VMID implements [Workstation].
func (w *LinuxAI) VMID() int { return w.VM().ID }

// VMID implements [Workstation].
func (w *MacOS) VMID() int { return cmp.Or(w.ID, w.MacOS.VM().ID) }

// VMID implements [Workstation].
func (w *RustDeskServer) VMID() int { return w.VM().ID }

// VMID implements [Workstation].
func (w *Custom) VMID() int { return w.ID }

func (w *Windows11) card() string    { return w.Card }
func (w *LinuxAI) card() string      { return w.Card }
func (w *MacOS) card() string        { return w.Card }
func (*RustDeskServer) card() string { return "" }
func (*Custom) card() string         { return "" }

func (*Windows11) guest() gpu.Guest      { return gpu.Windows11 }
func (*LinuxAI) guest() gpu.Guest        { return gpu.Linux }
func (w *MacOS) guest() gpu.Guest        { return w.MacOS.VM().Guest }
func (*RustDeskServer) guest() gpu.Guest { return gpu.Linux }
func (w *Custom) guest() gpu.Guest       { return w.Guest }
