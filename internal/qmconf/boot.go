package qmconf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Slots returns the drive slots that a configuration uses. They are in the
// order in which PVE looks for a first disk (qemu-server
// PVE/QemuServer/Drive.pm, valid_drive_names).
func Slots(config map[string]string) []string {
	var slots []string
	for _, bus := range []struct {
		name  string
		count int
	}{{"ide", 4}, {"scsi", 31}, {"virtio", 16}, {"sata", 6}, {"efidisk", 1}, {"tpmstate", 1}} {
		for i := range bus.count {
			if slot := fmt.Sprint(bus.name, i); config[slot] != "" {
				slots = append(slots, slot)
			}
		}
	}
	return slots
}

// BootOrder returns the devices from which the firmware starts the VM, in the
// firmware's order. It reads "order=scsi0;net0". It also reads an old notation
// with letters: c stands for the bootdisk, d for the CD drives and n for the
// network. PVE wrote this notation before version 6.3, and still uses it for a
// VM without the key boot (qemu-server PVE/QemuServer.pm, device_bootorder and
// bootorder_from_legacy). The firmware tries no other device (-boot strict=on).
// If the order is empty, the firmware finds the first disk by itself.
func BootOrder(config map[string]string) []string {
	order, ordered := orderOf(config["boot"])
	if !ordered {
		order = byLetters(config)
	}
	if len(order) == 0 {
		disks := Disks(config)
		return disks[:min(1, len(disks))]
	}
	return order
}

func orderOf(boot string) (order []string, ordered bool) {
	for field := range strings.SplitSeq(boot, ",") {
		if order, found := strings.CutPrefix(field, "order="); found {
			return strings.FieldsFunc(order, func(r rune) bool { return r == ';' }), true
		}
	}
	return nil, false
}

func byLetters(config map[string]string) (order []string) {
	letters := strings.TrimPrefix(config["boot"], "legacy=")
	if letters == "" {
		letters = "cdn"
	}
	for _, letter := range letters {
		switch letter {
		case 'c':
			if disk := config["bootdisk"]; config[disk] != "" && !IsCD(config[disk]) {
				order = append(order, disk)
			}
		case 'd':
			order = append(order, drives(config, IsCD)...)
		case 'n':
			for _, key := range slices.Sorted(maps.Keys(config)) {
				if Family(key) == "net" {
					order = append(order, key)
				}
			}
		}
	}
	return order
}

// drives returns the slots of the drives whose values the function "such"
// accepts. It skips the EFI disk and the TPM's state.
func drives(config map[string]string, such func(value string) bool) []string {
	return slices.DeleteFunc(Slots(config), func(slot string) bool { return IsFirmware(slot) || !such(config[slot]) })
}

// IsDisk reports whether a drive value is a disk of the guest. CD drives and
// the drive of cloud-init are not disks of the guest.
func IsDisk(slot, value string) bool {
	return IsSlot(slot) && !IsFirmware(slot) && value != "" && !IsCD(value) && !IsCloudInit(value)
}

// Disks returns the slots with disks of the guest.
func Disks(config map[string]string) []string {
	return drives(config, func(value string) bool { return IsDisk("scsi0", value) })
}

// FreeSlot returns a slot that none of the configurations uses, or "" if all
// slots are used. It first looks in the family of the given slot, and then in
// the other families.
func FreeSlot(like string, families []string, used ...map[string]string) string {
	most := map[string]int{"ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "hostpci": 16, "usb": 14, "virtiofs": 10}
	for _, family := range append([]string{Family(like)}, families...) {
		for i := range most[family] {
			slot := fmt.Sprint(family, i)
			if !slices.ContainsFunc(used, func(config map[string]string) bool { _, there := config[slot]; return there }) {
				return slot
			}
		}
	}
	return ""
}
