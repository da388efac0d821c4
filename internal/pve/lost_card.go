package pve

import "regexp"

// lostCard matches messages about a device that does not come back from a reset or
// a power state, or whose configuration space reads ff. They come from QEMU,
// from vfio-pci and from the kernel's PCI code (QEMU hw/vfio/pci.c; Linux
// drivers/pci/pci.c, drivers/vfio/pci). lostCard does not match PVE's "failed to
// reset PCI device", because PVE goes on after this message and most cards
// still work.
var lostCard = regexp.MustCompile(`(?i)stuck in D3|change power state from D3|not ready \d+ms after|device inaccessible|` +
	`header type '?(127|0?x?7f)|expecting 0xaa55, got 0xffff|config(uration)? space.*\bf{2,}\b|reads? (all )?(0x)?f{2,}\b|` +
	`device from group \d+: (Input/output error|No such device)|vfio.*(reset failed|failed to reset|failed reset)|fell off the bus|fallen off the bus`)

// LostCard returns the first line of a task that reports a lost card.
func LostCard(lines []string) (line string, gone bool) {
	for _, line := range lines {
		if lostCard.MatchString(line) {
			return line, true
		}
	}
	return "", false
}
