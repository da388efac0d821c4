package iommu

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// firmwareFramebuffers holds the names under which /proc/iomem lists the
// firmware's picture. Each name belongs to a driver: efifb, vesafb, simpledrm
// (simplefb), or sysfb, which reserves BOOTFB until one of the other drivers is
// loaded.
var firmwareFramebuffers = []string{"efifb", "vesafb", "simplefb", "BOOTFB", "simpledrm"}

// The method "framebuffers" finds the framebuffers on PCI functions: regions of
// /proc/iomem inside a function's memory, and devices of /sys/class/graphics.
func (r *reader) framebuffers() {
	if lines, err := r.procLines("iomem"); err == nil {
		r.Framebuffers = r.iomemFramebuffers(lines)
	} else {
		r.unread("/proc/iomem", err)
	}
	names, err := sysfs.Names(r.Sys, "class/graphics")
	if err != nil {
		return // the kernel has no framebuffers
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

// A region is a line of /proc/iomem.
type region struct {
	start, end uint64 // both are zero if only root may read them
	name       string
}

// parseRegion parses a line and returns the depth of its indentation.
func parseRegion(line string) (r region, depth int, ok bool) {
	bounds, name, ok := strings.Cut(line, " : ")
	depth = (len(bounds) - len(strings.TrimLeft(bounds, " "))) / 2
	first, last, _ := strings.Cut(strings.TrimSpace(bounds), "-")
	r.name = name
	r.start, _ = strconv.ParseUint(first, 16, 64)
	r.end, _ = strconv.ParseUint(last, 16, 64)
	return r, depth, ok
}

// iomemFramebuffers walks the tree of regions, which /proc/iomem shows by
// indentation. Without root, the addresses read as zero, but the names are
// readable. If several regions are nested, the innermost region belongs to the
// driver.
func (r *reader) iomemFramebuffers(lines []string) []Framebuffer {
	var found []Framebuffer
	var above []region
	for _, line := range lines {
		here, depth, ok := parseRegion(line)
		if !ok || depth > len(above) {
			continue
		}
		above = append(above[:depth], here)
		if !slices.Contains(firmwareFramebuffers, here.name) {
			continue
		}
		for _, owner := range slices.Backward(above[:depth]) {
			address, err := ParseAddress(owner.name)
			if err != nil {
				continue
			}
			fb := Framebuffer{Address: address, Name: here.name, Firmware: true, BAR: r.barAt(address, owner),
				Seen: "/proc/iomem: " + here.name + " in the memory of " + owner.name}
			if last := len(found) - 1; depth > 0 && last >= 0 && found[last].Address == address && slices.Contains(firmwareFramebuffers, above[depth-1].name) {
				fb.Seen += ", in " + found[last].Name
				found[last] = fb
			} else {
				found = append(found, fb)
			}
			break
		}
	}
	return found
}

// barAt returns the number of the base address register whose memory is this
// region. This is the register with the same start. If no register has the same
// start, and exactly one has the same size, it is that register. Otherwise barAt
// returns nil.
func (r *reader) barAt(a Address, at region) *int {
	fn, _ := r.Function(a)
	if at.end == 0 {
		return nil
	}
	for _, bar := range fn.BARs {
		if bar.Start == at.start && !bar.IO {
			return &bar.Index
		}
	}
	var same []int
	for _, bar := range fn.BARs {
		if bar.Bytes == at.end-at.start+1 && !bar.IO {
			same = append(same, bar.Index)
		}
	}
	if len(same) != 1 {
		return nil
	}
	return &same[0]
}

// pciOf returns the PCI function of a device in sysfs: the device itself, or
// the function above it.
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
		for _, entry := range entries { // an entry such as nvme0 is a controller: a path to the disk
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
