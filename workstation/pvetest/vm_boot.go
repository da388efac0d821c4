package pvetest

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// setBoot converts a boot order to PVE's form. It returns a refusal if the
// order names a device that the VM will not have.
func (v *vm) setBoot(value string, ch change) (string, error) {
	order := bootOrder(value)
	if len(order) == 0 {
		return value, nil
	}
	for _, device := range order {
		_, now := v.config[device]
		_, waits := v.pending[device]
		_, comes := ch.set[device]
		if !now && !waits && !comes || slices.Contains(ch.remove, device) {
			return "", refuse("invalid bootorder: device '%s' does not exist'", device)
		}
	}
	if _, there := v.config["bootdisk"]; there {
		v.drop["bootdisk"] = false
	}
	return printBoot(order), nil
}

// bootOrder returns the devices in a value of the key boot. It returns nil for
// a value in the legacy form.
func bootOrder(value string) []string {
	keys, err := pveschema.ParseProperties("pve-qm-boot", value)
	if err != nil {
		return nil
	}
	return pveschema.SplitList(keys["order"])
}

// printBoot formats a boot order. For an empty order PVE writes an empty value,
// which is read back as a blank.
func printBoot(order []string) string {
	if len(order) == 0 {
		return " "
	}
	return "order=" + strings.Join(order, ";")
}

// appendBoot appends a key to the boot order if the key is a new CD. It reports
// whether it has done so. Here the cloud-init drive does not count as a CD
// (PVE/QemuServer/Drive.pm, drive_is_cdrom).
func (v *vm) appendBoot(key, value string) bool {
	order := bootOrder(v.next()["boot"])
	d := parseDrive(value)
	if len(order) == 0 || d.media() != "cdrom" || d.cloudinit() || slices.Contains(order, key) {
		return false
	}
	v.pending["boot"] = printBoot(append(order, key))
	return true
}

// leaveBoot removes a device from the boot order. It reports whether the device
// was in the boot order.
func (v *vm) leaveBoot(key string) bool {
	order := bootOrder(v.next()["boot"])
	if !slices.Contains(order, key) {
		return false
	}
	v.pending["boot"] = printBoot(slices.DeleteFunc(order, func(device string) bool { return device == key }))
	return true
}

// defaultBoot returns the boot order of a new VM: the first disk, the first CD
// and the first network card.
func defaultBoot(config map[string]string) string {
	var order []string
	for _, cdrom := range []bool{false, true} {
		if first := firstDrive(config, cdrom); first != "" {
			order = append(order, first)
		}
	}
	for i := range 32 {
		if config["net"+text(i)] != "" {
			order = append(order, "net"+text(i))
			break
		}
	}
	return printBoot(order)
}

func firstDrive(config map[string]string, cdrom bool) string {
	for _, bus := range []string{"ide", "scsi", "virtio", "sata"} {
		for i := range 31 {
			key := bus + text(i)
			if value := config[key]; value != "" && (parseDrive(value).media() == "cdrom") == cdrom {
				return key
			}
		}
	}
	return ""
}
