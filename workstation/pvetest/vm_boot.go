package pvetest

import (
	"slices"
	"strings"
)

// badBoot returns PVE's refusal of a boot order with a device that will not be
// there.
func badBoot(v *vm, value string, ch change) error {
	next := v.next()
	for device := range strings.FieldsFuncSeq(strings.TrimPrefix(value, "order="), func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
		if strings.HasPrefix(value, "order=") && next[device] == "" && ch.set[device] == "" || slices.Contains(ch.remove, device) {
			return refuse("invalid bootorder: device '%s' does not exist'", device)
		}
	}
	return nil
}

// appendBoot puts a new CD at the end of the boot order. The drive of
// cloud-init is none of those (PVE/QemuServer/Drive.pm, drive_is_cdrom).
func (v *vm) appendBoot(key, value string) {
	order, listed := strings.CutPrefix(v.next()["boot"], "order=")
	d := parseDrive(value)
	if listed && d.media() == "cdrom" && !d.cloudinit() && !slices.Contains(strings.Split(order, ";"), key) {
		v.pending["boot"] = "order=" + order + ";" + key
	}
}

// defaultBoot returns the boot order of a new VM: its first disk, CD and
// network card.
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
	if len(order) == 0 {
		return " " // PVE writes an empty order
	}
	return "order=" + strings.Join(order, ";")
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
