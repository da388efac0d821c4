package lab

import (
	"fmt"
	"os"
	"path/filepath"
)

// A Machine is what QEMU emulates.
type Machine struct {
	Name   string
	IOMMU  string // QEMU's device, empty for none
	Append string // kernel arguments
}

// Machines returns the four machines of the lab.
func Machines() []Machine {
	const intel = "intel-iommu,intremap=on,caching-mode=on"
	return []Machine{
		{Name: "intel", IOMMU: intel, Append: "intel_iommu=on iommu=pt"},
		{Name: "amd", IOMMU: "amd-iommu", Append: "amd_iommu=on iommu=pt"},
		{Name: "intel-quiet", IOMMU: intel},
		{Name: "none", Append: "intel_iommu=on"},
	}
}

// diskSize is the size of each emulated disk.
const diskSize = 64 << 20

// arguments returns QEMU's arguments. The disks are sparse files in dir.
func (m Machine) arguments(dir, kernel, initrd string) ([]string, error) {
	args := []string{"-accel", "tcg", "-M", "q35,kernel-irqchip=split", "-cpu", "max", "-m", "1024", "-nodefaults", "-display", "none",
		"-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 quiet loglevel=3 no_timer_check " + m.Append}
	if m.IOMMU != "" {
		args = append(args, "-device", m.IOMMU)
	}
	for i := range 3 {
		args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=rp%d,chassis=%d,slot=%d,bus=pcie.0,addr=%d.0", i+1, i+1, i+1, i+3))
	}
	for _, device := range []string{
		"secondary-vga,bus=rp1,addr=0.0,multifunction=on", "ich9-intel-hda,bus=rp1,addr=0.1",
		"pcie-pci-bridge,id=br1,bus=rp2", "secondary-vga,bus=br1,addr=1.0", "e1000,bus=br1,addr=2.0",
		"qemu-xhci,id=usb,bus=pcie.0,addr=7.0",
	} {
		args = append(args, "-device", device)
	}
	for id, device := range map[string]string{
		"nvme": "nvme,drive=nvme,serial=NVME1,bus=rp3", "ssd": "ide-hd,drive=ssd,bus=ide.0,rotation_rate=1,serial=SSD1",
		"hdd": "ide-hd,drive=hdd,bus=ide.1,rotation_rate=7200,serial=HDD1", "virtio": "virtio-blk-pci,drive=virtio,bus=pcie.0,addr=6.0",
		"stick": "usb-storage,drive=stick,bus=usb.0",
	} {
		file := filepath.Join(dir, id+".raw")
		f, err := os.Create(file)
		if err != nil {
			return nil, err
		}
		if err := f.Truncate(diskSize); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		args = append(args, "-drive", "if=none,format=raw,id="+id+",file="+file, "-device", device)
	}
	return args, nil
}
