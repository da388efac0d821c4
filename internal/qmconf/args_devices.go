package qmconf

import (
	"path"
	"strings"

	"github.com/proxstation/proxstation/gpu"
)

// ArgDevices returns the PCI devices of the host that args give to a VM without
// PVE's knowledge, such as "-device vfio-pci,host=0000:01:00.0". PVE neither
// binds these devices to vfio-pci nor reserves them. unread holds devices whose
// address cannot be read, such as a mediated device. QEMU accepts the host's
// address or the device's directory in sysfs, and both in JSON too (QEMU
// hw/vfio/pci.c).
func ArgDevices(args string) (devices []gpu.HostPCI, unread []string) {
	for _, arg := range SplitArgs(args) {
		driver := arg.Property("driver")
		if arg.Name() != "-device" || driver != "vfio-pci" && driver != "vfio-pci-nohotplug" {
			continue
		}
		host := arg.Property("host")
		if dir := arg.Property("sysfsdev"); host == "" && !strings.Contains(dir, "mdev") {
			host = path.Base(dir)
		}
		h, err := gpu.ParseHostPCI(host)
		if err != nil || len(h.Devices) != 1 || h.String() == "" {
			unread = append(unread, "args: "+arg.Text())
			continue
		}
		devices = append(devices, h)
	}
	return devices, unread
}

// ArgUUID returns the UUID that args set for a VM, as in "-uuid 0000…", in
// lower case. A vGPU's driver identifies the VM by this UUID.
func ArgUUID(args string) string {
	uuid := ""
	for _, arg := range SplitArgs(args) {
		if arg.Name() == "-uuid" {
			uuid = strings.ToLower(arg.Value())
		}
	}
	return uuid
}
