package lab

// A Machine describes the emulated hardware and the kernel arguments.
type Machine struct {
	Name    string
	Kernel  []string // kernel arguments
	Devices []string // values of QEMU's -device, in order
	Disks   []Disk
	Modules []string // in the order in which they are loaded; kernel.sh lists the available modules
}

// A Disk is a disk or a CD of a machine. The programs start only when all disks
// and CDs of the machine are there.
type Disk struct {
	ID      string // QEMU's name for the disk
	Device  string // the value of QEMU's -device, without the drive
	Bytes   int64  // the disk's size; at least the size of Content
	Content string // the beginning of the disk; the rest is zeros
}

// Machines returns the four machines that differ in their IOMMU; see the
// package's documentation.
func Machines() []Machine {
	const intel = "intel-iommu,intremap=on,caching-mode=on"
	var machines []Machine
	for _, m := range []struct {
		name, iommu string
		kernel      []string
	}{
		{"intel", intel, []string{"intel_iommu=on", "iommu=pt"}},
		{"amd", "amd-iommu,intremap=on", []string{"amd_iommu=on", "iommu=pt"}},
		{"intel-quiet", intel, nil},
		{"none", "", []string{"intel_iommu=on"}},
	} {
		devices := workstation
		if m.iommu != "" {
			devices = append([]string{m.iommu}, devices...)
		}
		machines = append(machines, Machine{Name: m.name, Kernel: m.kernel, Devices: devices, Disks: disks, Modules: modules})
	}
	return machines
}

var workstation = []string{
	"pcie-root-port,id=rp1,chassis=1,slot=1,bus=pcie.0,addr=3.0",
	"pcie-root-port,id=rp2,chassis=2,slot=2,bus=pcie.0,addr=4.0",
	"pcie-root-port,id=rp3,chassis=3,slot=3,bus=pcie.0,addr=5.0",
	"pcie-root-port,id=rp4,chassis=4,slot=4,bus=pcie.0,addr=8.0",
	"secondary-vga,bus=rp1,addr=0.0,multifunction=on",
	"ich9-intel-hda,bus=rp1,addr=0.1",
	"pcie-pci-bridge,id=br1,bus=rp2",
	"secondary-vga,bus=br1,addr=1.0",
	"e1000,bus=br1,addr=2.0",
	"qemu-xhci,id=usb,bus=pcie.0,addr=7.0",
	"nvme-subsys,id=sub1", // an NVMe controller that has no disk but makes virtual functions
	"nvme,serial=SRIOV1,subsys=sub1,bus=rp4,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=7",
}

// Btrfs needs at least 109 MiB to make a file system.
var disks = []Disk{
	{ID: "nvme", Device: "nvme,serial=NVME1,bus=rp3", Bytes: 128 << 20},
	{ID: "ssd", Device: "ide-hd,bus=ide.0,rotation_rate=1,serial=SSD1", Bytes: 128 << 20},
	{ID: "hdd", Device: "ide-hd,bus=ide.1,rotation_rate=7200,serial=HDD1", Bytes: 128 << 20},
	{ID: "virtio", Device: "virtio-blk-pci,bus=pcie.0,addr=6.0", Bytes: 128 << 20},
	{ID: "stick", Device: "usb-storage,bus=usb.0", Bytes: 128 << 20},
}

var modules = []string{
	"vfio-pci", "vfio_iommu_type1", "snd-hda-intel", "bochs", "e1000",
	"nvme", "ahci", "sd_mod", "virtio_pci", "virtio_blk", "xhci_pci", "usb-storage",
	"dm-thin-pool", "btrfs", "ext4",
}
