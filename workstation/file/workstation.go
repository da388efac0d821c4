package file

import (
	"cmp"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A Workstation is one VM of a page: [Windows11], [LinuxAI], [MacOS],
// [RustDeskServer] or [Custom]. The key profile says which.
type Workstation interface {
	// Profile is the value of the key profile: "windows11".
	Profile() string
	// VMID is the VM's ID, also if the page leaves it to the profile.
	VMID() int
	// card is the page's name of the graphics card, "" for none.
	card() string
	// guest is the system in the VM.
	guest() gpu.Guest
	// made is the profile as it is made into a VM.
	made(name string, c *conversion) maker
}

// A maker is a profile.
type maker interface{ VM() workstation.VM }

// Windows11 is a [profile.Windows11] of the page. Its Card is a card's name on
// the page.
type Windows11 struct {
	profile.Windows11
	// User is the account that the installation makes. With it, a new VM installs
	// Windows by itself; without it, a person installs Windows.
	User *Account
	// Setup says more of that installation.
	Setup *WindowsSetup
}

// LinuxAI is a [profile.LinuxAI] of the page. Its Card is a card's name on the
// page.
type LinuxAI struct {
	profile.LinuxAI `omit:"CloudInit"`
	// User is the person who may log in. With it, a new VM of a cloud image sets
	// itself up: the agent, the disk for models and what Setup says.
	User *Login
	// Network is the guest's own address in that set-up; unset, it asks DHCP.
	Network *Network
	// Setup says more of that set-up.
	Setup *LinuxSetup
	// CloudInit is what PVE's own drive tells the image instead.
	CloudInit *CloudInit
}

// RustDeskServer is a [profile.RustDeskServer] of the page.
type RustDeskServer struct {
	profile.RustDeskServer `omit:"CloudInit"`
	// User is the person who may log in. With it, a new VM of a cloud image sets
	// itself up, with the agent.
	User *Login
	// Network is the guest's own address in that set-up; unset, it asks DHCP.
	Network *Network
	// Setup says more of that set-up.
	Setup *LinuxSetup
	// CloudInit is what PVE's own drive tells the image instead.
	CloudInit *CloudInit
}

// MacOS is a [profile.MacOS] of the page. The mapping of its card and the host's
// processor come from the page and the node; the image of OpenCore is one that is
// configured already, as examples/macos does it.
type MacOS struct {
	profile.MacOS `omit:"Mapping,HostCPU,Image"`
	// Card is the name of the graphics card on the page.
	Card string
	// OSK refers to the key that macOS asks the system management controller for.
	OSK Reference
}

// Custom is a VM in PVE's own notation, for what no profile describes, such as
// a VM that existed before the page.
type Custom struct {
	workstation.VM `omit:"OSK,Password,Notes"`
	// Password refers to the password that cloud-init gives the guest's user.
	Password Reference
	// OSK refers to the key that macOS asks the system management controller for.
	OSK Reference
}

// kinds makes a new workstation by its profile.
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
