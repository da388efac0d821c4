package iommu

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// firmwareFramebuffers are the owners in /proc/iomem of the picture that the
// firmware left: drivers efifb and vesafb, simpledrm's simplefb, and BOOTFB,
// which sysfb reserves before one of them is there.
var firmwareFramebuffers = []string{"efifb", "vesafb", "simplefb", "BOOTFB", "simpledrm"}

// framebuffers finds the ones that lie on PCI functions: regions of
// /proc/iomem inside a function's, and the devices of /sys/class/graphics.
func (r *reader) framebuffers() {
	if lines, err := r.procLines("iomem"); err == nil {
		r.Framebuffers = iomemFramebuffers(lines)
	} else {
		r.unread("/proc/iomem", err)
	}
	names, err := sysfs.Names(r.Sys, "class/graphics")
	if err != nil {
		return // a kernel without framebuffers
	}
	for _, name := range names {
		file := "class/graphics/" + name
		address, ok := pciOf(r.Sys, file+"/device")
		if !ok || !strings.HasPrefix(name, "fb") {
			continue
		}
		driver, _, _ := sysfs.Optional(r.Sys, file+"/name")
		firmware := slices.Contains([]string{"EFI VGA", "VESA VGA", "simple", "simpledrmdrmfb", "simpledrmfb"}, driver)
		fb := Framebuffer{Address: address, Name: driver, Firmware: firmware, Seen: "/sys/" + file + "/name: " + driver}
		r.Framebuffers = append(r.Framebuffers, fb)
	}
}

// iomemFramebuffers walks the tree of regions, which is written by
// indentation. Without root the addresses read as zero; the names are there.
func iomemFramebuffers(lines []string) []Framebuffer {
	var found []Framebuffer
	var above []string
	for _, line := range lines {
		region, name, ok := strings.Cut(line, " : ")
		depth := (len(region) - len(strings.TrimLeft(region, " "))) / 2
		if !ok || depth > len(above) {
			continue
		}
		above = append(above[:depth], name)
		if !slices.Contains(firmwareFramebuffers, name) {
			continue
		}
		for _, owner := range slices.Backward(above[:depth]) {
			if address, err := ParseAddress(owner); err == nil {
				found = append(found, Framebuffer{Address: address, Name: name, Firmware: true,
					Seen: "/proc/iomem: " + name + " in the memory of " + owner})
				break
			}
		}
	}
	return found
}

// pciOf returns the PCI function that a device of sysfs is, or is below.
func pciOf(sys fs.FS, name string) (Address, bool) {
	path := pciPath(sys, name)
	if len(path) == 0 {
		return Address{}, false
	}
	return path[len(path)-1], true
}

// pciPath returns the PCI functions on the way to a device, bridges included.
func pciPath(sys fs.FS, name string) []Address {
	place, err := sysfs.Real(sys, name)
	if err != nil {
		return nil
	}
	if before, _, ok := strings.Cut(place, "/nvme-subsystem/"); ok && strings.HasSuffix(before, "virtual") {
		parts := strings.Split(place, "/")
		subsystem := strings.Join(parts[:slices.Index(parts, "nvme-subsystem")+2], "/")
		entries, _ := sysfs.Names(sys, subsystem)
		var found []Address
		for _, entry := range entries { // nvme0, a link to the controller; every path to the disk counts
			if real, err := sysfs.Real(sys, subsystem+"/"+entry); err == nil && !strings.HasPrefix(real, subsystem) && strings.HasPrefix(entry, "nvme") {
				found = append(found, pciPath(sys, subsystem+"/"+entry)...)
			}
		}
		return found
	}
	var found []Address
	for element := range strings.SplitSeq(place, "/") {
		if address, err := ParseAddress(element); err == nil && strings.Count(element, ":") == 2 {
			found = append(found, address)
		}
	}
	return found
}
