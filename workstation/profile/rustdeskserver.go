package profile

import (
	"cmp"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// RustDeskServer is the profile of a small VM for your own RustDesk server: a
// cloud image of Debian or Ubuntu, without a card. rustdesk.SetUpServer then
// installs the server on it. The VM starts with the host (onboot). It has no
// startup order, which would need Sys.Modify on / (qemu-server
// PVE/API2/Qemu.pm). It needs no order either: clients reconnect when the
// server is up.
//
// Cloud images contain no guest agent, but the set-up needs the agent. Either
// put the agent into the image (virt-customize -a IMAGE --install
// qemu-guest-agent), or let cloud-init install it at the first boot. For
// cloud-init, put this snippet on the node by hand, because PVE's API cannot
// upload snippets:
//
//	#cloud-config
//	packages: [qemu-guest-agent]
//	runcmd: [systemctl start qemu-guest-agent]
//
// Then set Config["cicustom"] = "vendor=local:snippets/agent.yaml" in the VM.
type RustDeskServer struct {
	// ID is the VMID; 0 is 120.
	ID int
	// Name is the VM's name; the default is "rustdesk-server".
	Name string
	// Cores is the number of virtual CPUs; 0 is 1.
	Cores int
	// Memory is the guest's memory; 0 is 1 GiB.
	Memory storage.Size
	// System is the size of the disk; 0 is 8 GiB.
	System storage.Size
	// Bridge is the network bridge; the default is "vmbr0".
	Bridge string
	// Image is the volume of a cloud image ("local:import/...").
	Image string
	// CloudInit configures the image at its first boot. Clients have to find
	// the server again, so give it a fixed Address, or a DHCP lease that stays.
	CloudInit CloudInit
}

// VM returns the VM that the profile describes.
func (p RustDeskServer) VM() workstation.VM {
	vm := LinuxAI{ID: cmp.Or(p.ID, 120), Name: cmp.Or(p.Name, "rustdesk-server"), Cores: p.Cores, Memory: p.Memory, System: p.System,
		Bridge: p.Bridge, Image: p.Image, CloudInit: p.CloudInit}.VM()
	vm.Defaults["cores"], vm.Defaults["memory"], vm.Defaults["onboot"] = "1", qmconf.MiB(storage.GiB), "1"
	vm.Disks[0].NewSize = 8 * storage.GiB
	return vm
}
