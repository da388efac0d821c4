package profile

import (
	"strconv"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Tuning makes a workstation's VM faster or joins devices to it. The zero
// Tuning is fine: measure before you set any field. A setting that is removed
// from the Tuning stays in an existing VM until VM.Absent names its key.
type Tuning struct {
	// Pin is the list of the host's logical CPUs on which all of the VM's
	// threads run, such as "0-7,16"; empty lets the scheduler choose (PVE
	// manual, CPU: affinity; it is done with taskset). Only root@pam may set
	// it, logged in with a password.
	//
	// It helps where CPUs differ. On an Intel CPU of the 12th generation and
	// later, the P-cores come first, two logical CPUs each, then the E-cores:
	// a game that lands on E-cores stutters, so pin a gaming VM to P-cores, and
	// give it no more virtual CPUs than there are. lscpu --extended tells them
	// by MAXMHZ. On a Ryzen with two chiplets, keep a VM on one of them, the one
	// with the larger cache. Leave the host a core of its own.
	Pin string
	// HugePages is the page size of the guest's memory: 0 is the host's usual
	// pages, or 2 MiB or 1 GiB (qm.conf manual page, hugepages). The memory
	// must be a multiple of it. PVE takes the pages from the host all at once
	// when the VM starts, and that start fails if the memory is in too small
	// pieces by then: pages of 1 GiB want to be reserved when the host boots
	// (kernel command line, hugepagesz=1G hugepages=16). Only root@pam may set
	// it, logged in with a password.
	//
	// Without it Linux gives a VM transparent huge pages, which is nearly as
	// good and reserves nothing.
	HugePages storage.Size
	// USB are devices of the host that the VM gets, at most 14: each the name
	// of a resource mapping, a vendor and product ID ("046d:c52b": whichever
	// such device is plugged in) or a bus and port ("1-2.3": whatever is
	// plugged in there) (qm.conf manual page, usb). All but a mapping only
	// root@pam may set, logged in with a password. A VM that exists keeps its
	// other USB devices.
	USB []string
	// Devices are other PCI devices of the host that the VM gets whole, such as a
	// USB or an NVMe controller: each the name of a resource mapping, or an
	// address ("0000:06:00.0"), which only root@pam may set, logged in with a
	// password. Diff refuses the controller of the disks that the host runs from,
	// and tells what else is in the device's IOMMU group.
	Devices []string
	// Shares are directory mappings of the cluster (PVE manual, virtiofs) whose
	// files the guest sees, by their names. Linux mounts one with mount -t virtiofs
	// NAME DIR; Windows wants the driver of virtio-win and WinFsp.
	Shares []string
	// Audio adds an emulated sound card that leads nowhere. A graphics card
	// brings its own sound over HDMI; but where no monitor is at it, programs
	// that stream the desktop want some sound card to record.
	Audio bool
}

// into adds the options to a VM.
func (t Tuning) into(vm *workstation.VM) {
	if t.Pin != "" {
		vm.Config["affinity"] = t.Pin
	}
	if t.HugePages != 0 {
		vm.Config["hugepages"] = qmconf.MiB(t.HugePages)
		vm.Config["numa"] = "1" // PVE refuses the start without (PVE/QemuServer/Memory.pm)
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
