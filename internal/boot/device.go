package boot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// A startup holds the devices from which a VM starts, now and after a change.
type startup struct {
	*judgement
	order, after []string // the devices in the boot orders now and after the change
}

// start judges a change of the devices from which a VM starts. It reports a
// change after which the VM may not start any more. It warns if the VM will
// start from another device.
func (j *judgement) start() {
	s := startup{judgement: j, order: Order(j.Now), after: Order(j.Will)}
	if len(s.order) == 0 {
		return
	}
	s.emptyFirst()
	s.lost()
	s.another()
	s.firmware()
	s.controller()
}

// empty reports whether a device is a new disk with nothing on it.
func (s startup) empty(device string) bool {
	return s.Now[device] == "" && slices.Contains(s.Empty, device)
}

// emptyFirst refuses a boot order in which a new, empty disk comes before a
// disk with data.
func (s startup) emptyFirst() {
	for i, device := range s.after {
		if s.empty(device) && slices.ContainsFunc(s.after[i:], func(other string) bool { return !s.empty(other) }) {
			s.tell("workstation.boot-empty", proxstation.Blocker, "boot: "+s.Will["boot"]+", and "+device+" is a new disk",
				"a new disk has no system to start from", "name "+s.order[0]+" first in boot, or leave boot out of the Spec: the VM then starts as it does today")
			return
		}
	}
}

// The method "lost" refuses a boot order in which the VM's present first device
// is missing, if all devices in the order are new, empty disks. It also refuses
// a boot order in which the disk with the boot loader is missing.
func (s startup) lost() {
	full := slices.ContainsFunc(s.after, func(device string) bool { return !s.empty(device) })
	if first := s.order[0]; !slices.Contains(s.after, first) && !full {
		s.tell("workstation.boot-lost", proxstation.Blocker, fmt.Sprintf("the VM starts from %s (%s); after the plan boot is %q", first, s.Now[first], s.Will["boot"]),
			"no device in that order has a system on it", "keep "+first+" in boot, or leave boot out of the Spec")
	}
	if loader := Loader(s.Now); loader != "" && slices.Contains(s.order, loader) && !slices.Contains(s.after, loader) {
		s.tell("workstation.boot-loader", proxstation.Blocker, fmt.Sprintf("%s (%s) holds the boot loader; after the plan boot is %q", loader, s.Now[loader], s.Will["boot"]),
			"the firmware only tries drives in the order, and the guest does not start without its loader",
			fmt.Sprintf("keep %s in boot; if the loader is on the system disk by now, take this drive out of boot by hand: qm set %d --boot '%s'", loader, s.VM, s.Will["boot"]))
	}
}

// The method "another" warns that a VM will start from another device, or from
// another medium in the same device.
func (s startup) another() {
	first := s.order[0]
	if len(s.after) > 0 && s.after[0] != first && !s.empty(s.after[0]) {
		s.tell("workstation.boot-changed", proxstation.Warning, fmt.Sprintf("the VM starts from %s today, and from %s after the plan", first, s.after[0]),
			"another guest system may start", fmt.Sprintf("if you do not mean that, leave boot out of the Spec; the way back: qm set %d --boot 'order=%s'", s.VM, strings.Join(s.order, ";")))
	}
	if s.Will[first] == "" || !slices.Contains(s.after, first) {
		return
	}
	if qmconf.Family(first) == "hostpci" {
		now, errNow := gpu.ParseHostPCI(s.Now[first])
		will, errWill := gpu.ParseHostPCI(s.Will[first])
		if errNow == nil && errWill == nil && !slices.Equal(s.Functions(now), s.Functions(will)) {
			s.tell("workstation.boot-lost", proxstation.Blocker, fmt.Sprintf("the VM starts from %s: %s, which becomes %s", first, s.Now[first], s.Will[first]),
				"the system is on a disk of that controller", "name the new device under another hostpci key")
		}
		return
	}
	now, errNow := storage.ParseDrive(s.Now[first])
	will, errWill := storage.ParseDrive(s.Will[first])
	if errNow == nil && errWill == nil && now.Volume != will.Volume && !qmconf.IsCloudInit(s.Now[first]) {
		s.tell("workstation.boot-changed", proxstation.Warning, fmt.Sprintf("the VM starts from %s, where %s takes the place of %s", first, will.Volume, now.Volume),
			"another guest system may start", "if you do not mean that, name another slot for "+will.Volume)
	}
}

// The method "firmware" refuses a change of the firmware if the VM has an
// installed system.
func (s startup) firmware() {
	kind := func(config map[string]string) string {
		if config["bios"] == "ovmf" {
			return "ovmf"
		}
		return "seabios"
	}
	if now, will := kind(s.Now), kind(s.Will); now != will {
		s.tell("workstation.boot-firmware", proxstation.Blocker, fmt.Sprintf("bios: %s becomes %s, and %s was installed under %s", now, will, s.order[0], now),
			"a system that was installed for BIOS has no EFI boot loader, and a system for EFI has no boot loader for BIOS",
			fmt.Sprintf("leave bios out of the Spec; if the disk is converted (mbr2gpt in Windows), set it by hand: qm set %d --bios %s", s.VM, will))
	}
}

// The method "controller" warns of a disk controller for which the guest may
// have no driver.
func (s startup) controller() {
	first := s.order[0]
	now, will := s.Now["scsihw"], s.Will["scsihw"]
	if now == will || qmconf.Family(first) != "scsi" || strings.HasPrefix(now, "virtio") && strings.HasPrefix(will, "virtio") {
		return
	}
	severity, fix := proxstation.Warning, "first make sure that the guest's initial RAM disk has virtio_scsi"
	if s.Guest.IsWindows() {
		severity = proxstation.Blocker
		fix = fmt.Sprintf("leave scsihw out of the Spec; or first add a small disk on that controller, let Windows install the driver, and change it by hand: qm set %d --scsihw %s", s.VM, will)
	}
	s.tell("workstation.boot-controller", severity, fmt.Sprintf("scsihw: %s becomes %s, and the system is on %s", cmp.Or(now, "lsi"), cmp.Or(will, "lsi"), first),
		"a system without the new controller's driver stops while it starts", fix)
}
