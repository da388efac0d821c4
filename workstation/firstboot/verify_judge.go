package firstboot

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// Compares the report with the wanted guest. The method does not run anything
// in the guest.
func (w Wanted) judge(s sight) []Check {
	checks := []Check{s.agent()}
	if w.Driver || w.Card {
		checks = append(checks, s.driver())
	}
	if w.Card {
		checks = append(checks, s.card())
	}
	for _, d := range w.Disks {
		checks = append(checks, s.disk(d))
	}
	if w.RustDesk {
		checks = append(checks, s.rustdesk())
	}
	return checks
}

func yes(id, subject, seen string) Check {
	return Check{proxstation.Yes, proxstation.Finding{ID: id, Severity: proxstation.Info, Subject: subject, Seen: seen}}
}

func no(id, subject, seen, why, fix string) Check {
	return Check{proxstation.No, proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)}}
}

func unseen(id, subject, reason, why, fix string) Check {
	return Check{proxstation.Unknown, proxstation.Finding{ID: id, Severity: proxstation.Warning, Subject: subject, Seen: reason, Why: printable.Sentence(why), Fix: printable.Sentence(fix)}}
}

func (s sight) agent() Check {
	const subject = "guest agent"
	state, reason := s.get("qemu-guest-agent")
	switch {
	case reason != "":
		return unseen(CheckAgent, subject, reason, "It is not known whether the guest agent runs after the next boot.", "Run systemctl status qemu-guest-agent in the guest.")
	case state == "active":
		return yes(CheckAgent, subject, "qemu-guest-agent.service: active")
	}
	return no(CheckAgent, subject, "qemu-guest-agent.service: "+state,
		"Without the guest agent nobody sees the guest's addresses, and PVE cannot shut the guest down cleanly.",
		"Run systemctl start qemu-guest-agent in the guest; the VM needs agent: enabled=1, set while it is off.")
}

func (s sight) driver() Check {
	const subject = "driver"
	loaded, _ := s.get("driver.loaded")
	installed, reason := s.get("driver.installed")
	cards, cardsReason := s.get("cards.pci")
	flavour, _ := s.get("driver.flavour")
	switch {
	case loaded != "":
		seen := "/sys/module/nvidia/version: " + loaded
		if flavour != "" {
			seen += "; /proc/driver/nvidia/version: " + flavour
		}
		return yes(CheckDriver, subject, seen)
	case reason != "":
		return unseen(CheckDriver, subject, reason, "It is not known whether the driver is installed.", "Run modinfo nvidia in the guest.")
	case installed == "":
		return no(CheckDriver, subject, "modinfo nvidia: no such module for the running kernel",
			"Without the driver no program can use the card.", "Read "+LinuxLog+" in the guest, then run systemctl start "+linuxUnit+".")
	case cards != "":
		return no(CheckDriver, subject, "modinfo nvidia: "+installed+"; /sys/module/nvidia: absent; cards at "+cards,
			"The driver is installed and the card is there, but the kernel has not loaded the driver.",
			"Run modprobe nvidia in the guest, and read dmesg: a module that is not signed needs a VM without Secure Boot.")
	}
	seen := "modinfo nvidia: " + installed + "; no card on the PCI bus"
	if cardsReason != "" {
		seen = "modinfo nvidia: " + installed + "; " + cardsReason
	}
	return unseen(CheckDriver, subject, seen, "The driver is installed; without a card it is not known whether it works.", "Attach the card to the VM and look again.")
}

func (s sight) card() Check {
	const subject, why = "card", "No program in the guest can use a card."
	driven, reason := s.get("cards.driven")
	cards, cardsReason := s.get("cards.pci")
	switch {
	case reason == "" && strings.Trim(driven, "; ") != "":
		return yes(CheckCard, subject, "nvidia-smi: "+driven)
	case cardsReason == "" && cards == "":
		return no(CheckCard, subject, "/sys/bus/pci/devices: no display controller of vendor 0x10de", why,
			"Attach the card, as hostpci0 of the VM with mapping=NAME,pcie=1, and start the VM anew; another VM may have the card.")
	case strings.Contains(reason, "is not installed"):
		return unseen(CheckCard, subject, join(reason, "cards at "+cards, cards), "Only the driver's own tool shows whether the driver works with the card.",
			"Install nvidia-utils or nvidia-driver-cuda of the driver's version in the guest.")
	case reason != "":
		return no(CheckCard, subject, join(reason, "cards at "+cards, cards), why,
			"Read dmesg in the guest for NVRM: a card of the RTX 50 series needs the open kernel modules, 570 or newer; after a driver's update restart the guest.")
	}
	return no(CheckCard, subject, "nvidia-smi lists no card", why, "Read dmesg in the guest for NVRM.")
}

func join(a, b, condition string) string {
	if condition == "" {
		return a
	}
	return a + "; " + b
}

// A mount is a line of findmnt: the mounted device, its label, and the mount
// options.
type mount struct{ source, label, options string }

// parseMount parses a line of findmnt --raw, which separates columns by a
// blank.
func parseMount(line string) mount {
	columns := append(strings.Split(line, " "), "", "")
	return mount{columns[0], columns[1], columns[2]}
}

func (s sight) disk(d ModelsDisk) Check {
	subject := d.Slot
	line, reason := s.get("disk." + d.Slot)
	place, _ := s.get("place." + d.Slot)
	want := fmt.Sprintf("The disk in %s with the label %s belongs at %s", d.Slot, d.Label, d.Mount)
	seen, m := d.Mount+": "+line, parseMount(line)
	switch {
	case reason != "":
		return unseen(CheckDisk, subject, reason, want+".", "Run findmnt "+d.Mount+" in the guest.")
	case line == "" && place == "":
		return no(CheckDisk, subject, "/dev/disk/by-id: no drive-"+d.Slot, want+".", "Attach the disk to the VM in "+d.Slot+", as a disk of virtio-scsi.")
	case line == "":
		return no(CheckDisk, subject, d.Mount+": not mounted; the disk is "+place, want+": data that is written there now fills the system's disk.",
			"Run mount "+d.Mount+" in the guest, and read journalctl -b; lsblk -f shows the labels.")
	case place == "":
		return unseen(CheckDisk, subject, seen+"; /dev/disk/by-id: no drive-"+d.Slot, "It is not known whether this is the disk in "+d.Slot+".",
			"Run lsblk -o NAME,SERIAL,LABEL,MOUNTPOINTS in the guest.")
	case !strings.HasPrefix(m.source, place):
		return no(CheckDisk, subject, seen+"; the disk in "+d.Slot+" is "+place, want+", and another disk is there.",
			"Run umount "+d.Mount+" in the guest, and give the label "+d.Label+" to one file system only.")
	case m.label != d.Label:
		return no(CheckDisk, subject, seen, want+": with another label it is not mounted at the next boot.",
			"Run e2label "+m.source+" "+d.Label+" in the guest.")
	case m.options == "ro" || strings.HasPrefix(m.options, "ro,"):
		return no(CheckDisk, subject, seen, "The disk is read-only, probably after an error.", "Read dmesg in the guest, and run fsck on the disk while it is not mounted.")
	}
	return yes(CheckDisk, subject, seen)
}

func (s sight) rustdesk() Check {
	const subject, why = "RustDesk", "Nobody can connect to the guest with RustDesk."
	version, reason := s.get("rustdesk.version")
	state, stateReason := s.get("rustdesk")
	id, _ := s.get("rustdesk.id")
	switch {
	case reason != "":
		return unseen(CheckRustDesk, subject, reason, "It is not known whether RustDesk is installed.", "Run rustdesk --version in the guest.")
	case version == "":
		return no(CheckRustDesk, subject, "rustdesk: not installed", why, "Set RustDesk up in the guest.")
	case stateReason != "":
		return unseen(CheckRustDesk, subject, "rustdesk "+version+"; "+stateReason, "It is not known whether RustDesk's service runs.", "Run systemctl status rustdesk in the guest.")
	case state != "active":
		return no(CheckRustDesk, subject, "rustdesk "+version+"; rustdesk.service: "+state, why, "Run systemctl enable --now rustdesk in the guest.")
	case id == "":
		return unseen(CheckRustDesk, subject, "rustdesk "+version+"; rustdesk --get-id: nothing", "The service runs, but its ID is not known.", "Run rustdesk --get-id in the guest, a minute after its start.")
	}
	return yes(CheckRustDesk, subject, "rustdesk "+version+"; rustdesk.service: active; ID "+id)
}
