package storage

import (
	"path"
	"regexp"
	"strings"
)

// A Bus says how a disk is connected. The zero Bus is unknown.
type Bus string

// The buses that matter for a disk's tier.
const (
	NVMe   Bus = "nvme"
	SATA   Bus = "sata"
	SAS    Bus = "sas"
	USB    Bus = "usb"
	Virtio Bus = "virtio"
	RAID   Bus = "raid" // a controller that hides the disks behind it
	MMC    Bus = "mmc"
	// Network stands for iSCSI and Fibre Channel.
	Network Bus = "network"
)

// A Disk is a physical disk.
type Disk struct {
	// Path is the device: "/dev/nvme0n1".
	Path string `json:"path"`
	// ByID is a path that stays the same when disks are moved:
	// "/dev/disk/by-id/nvme-...". It is empty if it is not known.
	ByID   string `json:"byID,omitempty"`
	Model  string `json:"model,omitempty"`
	Serial string `json:"serial,omitempty"`
	WWN    string `json:"wwn,omitempty"`
	Size   Size   `json:"size"` // in bytes
	Bus    Bus    `json:"bus,omitempty"`
	// Rotates is true for a hard disk. It is nil if the kind of disk is not
	// known.
	Rotates *bool `json:"rotates,omitempty"`
	// RPM is the speed of a hard disk in revolutions per minute. It is nil if
	// it is not known.
	RPM *int `json:"rpm,omitempty"`
	// LifeLeft is the part of an SSD's life that is left, in percent (PVE calls
	// it wearout). It is nil if it is not known.
	LifeLeft *int `json:"lifeLeft,omitempty"`
	// Health is SMART's verdict: "PASSED", "OK" or "FAILED". It is empty or
	// "UNKNOWN" if it is not known.
	Health string `json:"health,omitempty"`
	// The field Use says what the disk is used for: "LVM", "ZFS", "partitions".
	// It is empty for an unused disk, and if the use is not known.
	Use string `json:"use,omitempty"`
	// Partitions holds the paths of the disk's partitions: "/dev/nvme0n1p3".
	Partitions []string `json:"partitions,omitempty"`
}

// Name returns the device's name without its directory: "nvme0n1".
func (d Disk) Name() string { return path.Base(d.Path) }

// Failing reports whether SMART expects the disk to fail.
func (d Disk) Failing() bool { return strings.HasPrefix(strings.ToUpper(d.Health), "FAIL") }

// Tier returns the disk's tier and the evidence for the tier. For [TierUnknown]
// it returns the reason why the tier is not known.
func (d Disk) Tier() (tier Tier, why string) {
	switch d.Bus {
	case NVMe:
		if strings.HasPrefix(d.WWN, "uuid.") { // such a WWN is from Linux's NVMe target (drivers/nvme/target); the WWN of a drive begins with eui. or nvme.
			return TierUnknown, "its name " + d.WWN + " is a name of NVMe over a network, which does not show the disk behind it"
		}
		return Tier1, "NVMe"
	case Virtio:
		return TierUnknown, "a virtio disk does not show the disk behind it, and always claims to rotate"
	case USB:
		return TierUnknown, "a USB bridge may report an SSD as a hard disk, and is the bottleneck for both"
	case RAID:
		return TierUnknown, "a RAID controller hides the disks behind it"
	case Network:
		return TierUnknown, "a disk over the network does not show the disk behind it"
	case MMC:
		return TierUnknown, "flash on an MMC bus is slower than other flash"
	}
	switch {
	case d.Rotates == nil:
		return TierUnknown, "it is not known whether it rotates"
	case *d.Rotates:
		return Tier3, "it rotates"
	case d.Bus == "":
		return Tier2, "it does not rotate"
	}
	return Tier2, "it does not rotate and is on " + strings.ToUpper(string(d.Bus))
}

// The method "holds" reports whether a device is the disk or a part of it.
func (d Disk) holds(device string) bool {
	if device == d.Path || device == d.ByID {
		return true
	}
	for _, p := range d.Partitions {
		if p == device {
			return true
		}
	}
	// The kernel appends a number to the disk's name, as in sda1 or nvme0n1p3,
	// and udev appends -part1.
	for _, prefix := range []string{d.Path, d.ByID} {
		rest, found := strings.CutPrefix(device, prefix)
		if prefix == "" || !found {
			continue
		}
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "-part"), "p")
		if isDigits(rest) {
			return true
		}
	}
	return d.linked(device)
}

var partSuffix = regexp.MustCompile(`-part\d+$`)

// The method "linked" reports whether a link in /dev/disk/by-id leads to the
// disk or to a partition of the disk. udev makes several such links: with the
// WWN, with model and serial number, and for NVMe with the namespace
// (60-persistent-storage.rules). ZFS may remember another link than PVE
// reports.
func (d Disk) linked(device string) bool {
	name, found := strings.CutPrefix(partSuffix.ReplaceAllString(device, ""), "/dev/disk/by-id/")
	if !found {
		return false
	}
	if strings.Trim(d.WWN, "0x.eui") != "" && (name == "wwn-"+d.WWN || name == "nvme-"+d.WWN) {
		return true
	}
	return len(d.Serial) >= 6 && (strings.HasSuffix(name, "_"+d.Serial) || strings.HasSuffix(name, "_"+d.Serial+"_1"))
}
