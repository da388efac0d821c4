// Package machine writes the files of a machine with any number of PCI
// functions: its sysfs, procfs and names database. Benchmarks read these files.
// The package also reads all files that iommu.Read reads, without parsing them.
package machine

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write writes the files of a machine below a directory. Each PCI function has
// its own IOMMU group, the attributes of a graphics card, and the driver
// vfio-pci.
func Write(dir string, functions int) error {
	w := writer{dir: dir}
	w.file("proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet\n")
	w.file("sys/bus/pci/drivers/vfio-pci/bind", "")
	w.file("sys/module/vfio_pci/initstate", "live\n")
	w.link("sys/bus/pci/drivers/vfio-pci/module", "sys/module/vfio_pci")
	w.file("usr/share/misc/pci.ids", "10de  NVIDIA Corporation\n\t2c05  GB203 [GeForce RTX 5070 Ti]\n")
	w.file("sys/devices/system/node/online", "0\n") // for ghw, which reads this file
	for i := range functions {
		address := fmt.Sprintf("0000:%02x:%02x.%d", i/256, i/8%32, i%8)
		device := "sys/devices/pci0000:00/0000:00:01.0/" + address
		for name, text := range attributes {
			w.file(device+"/"+name, text+"\n")
		}
		w.file(device+"/config", string(make([]byte, 256)))
		w.link(device+"/driver", "sys/bus/pci/drivers/vfio-pci")
		w.link(device+"/iommu_group", fmt.Sprintf("sys/kernel/iommu_groups/%d", i))
		w.link("sys/bus/pci/devices/"+address, device)
		w.link(fmt.Sprintf("sys/kernel/iommu_groups/%d/devices/%s", i, address), device)
		w.file(fmt.Sprintf("sys/kernel/iommu_groups/%d/type", i), "DMA-FQ\n")
	}
	return w.err
}

// attributes holds the attributes of an RTX 5070 Ti
// (Documentation/ABI/testing/sysfs-bus-pci).
var attributes = map[string]string{
	"class": "0x030000", "vendor": "0x10de", "device": "0x2c05", "subsystem_vendor": "0x1462", "subsystem_device": "0x5317", "revision": "0xa1",
	"driver_override": "(null)", "boot_vga": "0", "numa_node": "-1", "reset_method": "flr bus", "current_link_speed": "2.5 GT/s PCIe",
	"max_link_speed": "32.0 GT/s PCIe", "current_link_width": "16", "max_link_width": "16", "power_state": "D0", "d3cold_allowed": "1",
	"power/runtime_status": "active", "irq": "16", "enable": "1", "local_cpus": "ff", "modalias": "pci:v000010DEd00002C05sv00001462sd00005317bc03sc00i00",
	"resource": "0x0000000084000000 0x0000000087ffffff 0x0000000000040200\n0x0000006000000000 0x00000063ffffffff 0x000000000014220c\n" +
		"0x0000000000000000 0x0000000000000000 0x0000000000000000\n0x0000006400000000 0x0000006401ffffff 0x000000000014220c\n" +
		"0x0000000000000000 0x0000000000000000 0x0000000000000000\n0x0000000000004000 0x000000000000407f 0x0000000000040101",
}

// A writer writes files and keeps its first error.
type writer struct {
	dir string
	err error
}

func (w *writer) do(name string, make func(file string) error) {
	if w.err != nil {
		return
	}
	file := filepath.Join(w.dir, name)
	if w.err = os.MkdirAll(filepath.Dir(file), 0o755); w.err == nil {
		w.err = make(file)
	}
}

func (w *writer) file(name, text string) {
	w.do(name, func(file string) error { return os.WriteFile(file, []byte(text), 0o600) })
}

func (w *writer) link(name, target string) {
	w.do(name, func(file string) error {
		relative, err := filepath.Rel(filepath.Dir(file), filepath.Join(w.dir, target))
		if err != nil {
			return err
		}
		return os.Symlink(relative, file)
	})
}
