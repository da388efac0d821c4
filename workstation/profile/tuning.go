package profile

import (
	"strconv"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Tuning makes a workstation's VM faster or joins devices to it. The zero
// Tuning is fine: measure before you set any field. If you remove a setting
// from the Tuning, it stays in an existing VM until VM.Absent names its key.
type Tuning struct {
	// Pin is the list of the host's logical CPUs on which all of the VM's
	// threads run, such as "0-7,16". If it is empty, the scheduler chooses (PVE
	// manual, CPU: affinity; PVE uses taskset). Only root@pam may set it,
	// logged in with a password.
	//
	// Pinning helps where CPUs differ. An Intel CPU of the 12th generation or later
	// has its P-cores first, with two logical CPUs each, then its E-cores. A
	// game on E-cores stutters, so pin a gaming VM to P-cores, and give it no
	// more virtual CPUs than you pin. lscpu --extended shows the kinds of cores
	// by MAXMHZ. On a Ryzen with two chiplets, keep a VM on the chiplet with
	// the larger cache. Leave the host a core of its own.
	Pin string
	// HugePages is the page size of the guest's memory: 2 MiB, 1 GiB, or 0 for
	// the host's usual pages (qm.conf manual page, hugepages). The guest's
	// memory must be a multiple of the page size. PVE takes all pages from the
	// host when the VM starts. The start fails if the host's memory is too
	// fragmented by then. Pages of 1 GiB should therefore be reserved when the
	// host boots (kernel command line, hugepagesz=1G hugepages=16). Only
	// root@pam may set HugePages, logged in with a password.
	//
	// Without HugePages Linux gives a VM transparent huge pages, which are
	// nearly as good and reserve nothing.
	HugePages storage.Size
	// USB holds the devices of the host that the VM gets, at most 14. Each is
	// the name of a resource mapping, a vendor and product ID ("046d:c52b": any
	// such device that is plugged in) or a bus and port ("1-2.3": any device
	// that is plugged in there) (qm.conf manual page, usb). Only root@pam,
	// logged in with a password, may set an ID or a port. An existing VM keeps
	// its other USB devices.
	USB []string
	// Devices holds other PCI devices of the host that the VM gets whole, such
	// as a USB or an NVMe controller. Each is the name of a resource mapping,
	// or an address ("0000:06:00.0"). Only root@pam, logged in with a password,
	// may set an address. Diff refuses the controller of the disks that the
	// host runs from, and reports other devices in the device's IOMMU group.
	Devices []string
	// Shares holds the names of directory mappings of the cluster (PVE manual,
	// virtiofs). The guest sees the files in these directories. Linux mounts a
	// share with mount -t virtiofs NAME DIR. Windows needs the driver of
	// virtio-win and WinFsp.
	Shares []string
	// Audio adds an emulated sound card without an output. A graphics card
	// brings its own sound over HDMI. But without a monitor on the card,
	// programs that stream the desktop need some sound card to record from.
	Audio bool
}

// The method "into" adds the options to a VM.
func (t Tuning) into(vm *workstation.VM) {
	if t.Pin != "" {
		vm.Config["affinity"] = t.Pin
	}
	if t.HugePages != 0 {
		vm.Config["hugepages"] = qmconf.MiB(t.HugePages)
		vm.Config["numa"] = "1" // without numa PVE refuses the start (PVE/QemuServer/Memory.pm)
	}
	for i, device := range t.USB {
		kind := "host="
		if qmconf.IsMappingID(device) {
			kind = "mapping="
		}
		vm.Config["usb"+strconv.Itoa(i)] = kind + device
	}
	for i, device := range t.Devices {
		key, kind := "hostpci"+strconv.Itoa(i+1), ""
		if qmconf.IsMappingID(device) {
			kind = "mapping="
		}
		vm.Config[key], vm.Defaults[key] = kind+device, "pcie=1"
	}
	for i, share := range t.Shares {
		vm.Config["virtiofs"+strconv.Itoa(i)] = "dirid=" + share
	}
	if t.Audio {
		vm.Config["audio0"] = "device=ich9-intel-hda,driver=none"
	}
}
