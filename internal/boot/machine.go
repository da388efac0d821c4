package boot

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// isQ35 reports whether a configuration has the machine type q35. PVE's default
// is i440fx.
func isQ35(config map[string]string) bool { return strings.Contains(config["machine"], "q35") }

// The method "machine" warns of the effects that a new machine type has on the
// guest. It refuses arguments and disks that the new machine cannot have.
func (j *judgement) machine() {
	before := j.argProblems(j.Now)
	for _, p := range j.argProblems(j.Will) {
		if !slices.Contains(before, p) {
			j.tell("workstation.args", proxstation.Blocker, "args: "+macos.HideOSK(p.arg), "QEMU does not start: "+p.why,
				fmt.Sprintf("On the node as root, remove the argument from the line args of /etc/pve/qemu-server/%d.conf, or change it for the new machine, and plan again", j.VM))
		}
	}
	if isQ35(j.Now) == isQ35(j.Will) {
		return
	}
	if !j.Guest.IsMacOS() { // for macOS, package macos reports the change (macos.machine)
		why := "every device of the guest gets another PCI address: network interfaces get other names, and an address that was set for an old name is lost"
		if j.Guest.IsWindows() {
			why = "every device of the guest gets another PCI address: Windows may have to be activated again, and sees a new network adapter, without the address that was set"
		}
		j.tell("workstation.machine", proxstation.Warning, fmt.Sprintf("machine: %s becomes %s", orDefault(j.Now["machine"]), orDefault(j.Will["machine"])), why,
			"Leave machine out of the Spec to keep the machine type. Otherwise use PVE's console for the first start")
	}
	j.ide()
}

func orDefault(machine string) string {
	if machine == "" {
		return "pc (not set)"
	}
	return machine
}

// ide judges disks in IDE slots. These are ports of an AHCI controller on
// q35, and of a PIIX controller on i440fx. macOS has no driver for PIIX.
// Windows starts only with the driver with which it was installed.
func (j *judgement) ide() {
	system, order := SystemDisk(j.Will), qmconf.BootOrder(j.Will)
	for _, slot := range qmconf.Disks(j.Will) {
		if qmconf.Family(slot) != "ide" || slot != system && !slices.Contains(order, slot) {
			continue
		}
		severity, why := proxstation.Blocker, ""
		switch {
		case j.Guest.IsMacOS() && isQ35(j.Will), j.Guest == gpu.Linux, j.Guest == gpu.AnyGuest:
			continue
		case slot == system && j.Guest.IsMacOS():
			why = "macOS has no driver for the IDE controller of i440fx, and its system is on that disk"
		case slot == system:
			why = "On the new machine the slot belongs to another controller, for which the installed Windows loads no driver. Windows then stops during its start"
		case j.Guest.IsMacOS():
			severity, why = proxstation.Warning, "The firmware still starts the boot loader from this disk. But macOS has no driver for the IDE controller of i440fx and never sees the disk, so it cannot update or install anything from it"
		default:
			continue
		}
		j.tell("workstation.boot-ide", severity, slot+": "+j.Will[slot]+", machine: "+orDefault(j.Will["machine"]), why,
			fmt.Sprintf("shut the VM down, and on the node as root rename the key %s to %s in /etc/pve/qemu-server/%d.conf, in the line boot too; then plan again", slot, qmconf.FreeSlot("sata0", nil, j.Now, j.Will), j.VM))
	}
}

// An argProblem is an argument for QEMU that does not fit a configuration.
type argProblem struct{ arg, why string }

var (
	// q35Bus holds the buses that PVE's q35 has and its i440fx lacks
	// (qemu-server pve-q35-4.0.cfg). The companion controllers uhci-1 and up
	// have no bus of their own.
	q35Bus = regexp.MustCompile(`^(pcie\.0|pcidmi|ich9-pcie-port-\d+|ide\.[2-5]|ehci\.0|ehci-2\.0|audio0\.0)$`)
	// i440fxBus holds the buses that only i440fx has.
	i440fxBus = regexp.MustCompile(`^uhci\.0$`)
	setDevice = regexp.MustCompile(`^(?:hostpci|net|scsi|sata|virtio|ide)\d+`)
)

// argProblems returns the arguments in a configuration that QEMU would refuse.
func (j *judgement) argProblems(config map[string]string) []argProblem {
	var problems []argProblem
	made := map[string]bool{} // buses that the args create
	list := qmconf.SplitArgs(config["args"])
	for _, arg := range list {
		if id := arg.Property("id"); id != "" {
			made[id] = true
		}
	}
	for _, arg := range list {
		if why := j.argProblem(arg, config, made); why != "" {
			problems = append(problems, argProblem{strings.Join(arg, " "), why})
		}
	}
	return problems
}

func (j *judgement) argProblem(arg qmconf.Arg, config map[string]string, made map[string]bool) string {
	q35, value := isQ35(config), arg.Value()
	bus := arg.Property("bus")
	busOf, _, _ := strings.Cut(bus, ".")
	switch arg.Name() {
	case "-device":
		switch {
		case j.idOfPVE(arg.Property("id"), config):
			return "PVE gives a device of its own the ID " + arg.Property("id")
		case made[bus] || made[busOf]:
		case !q35 && q35Bus.MatchString(bus) && !(bus == "ehci.0" && hasEHCI(config)):
			return "only q35 has the bus " + bus + ", and the machine is " + orDefault(config["machine"])
		case q35 && i440fxBus.MatchString(bus):
			return "only i440fx has the bus " + bus + ", and the machine is " + config["machine"]
		case q35 && strings.HasPrefix(bus, "ide.") && arg.Property("unit") == "1":
			return "a port of q35's AHCI controller takes one drive, unit 0"
		}
	case "-set":
		name := strings.TrimPrefix(value, "device.")
		if key := setDevice.FindString(name); key != "" && strings.HasPrefix(value, "device.") {
			return j.setProblem(key, name[len(key):], config)
		}
	case "-usb":
		return "QEMU then adds a USB controller at a place where PVE adds another controller"
	case "-machine", "-M":
		if kind := strings.Contains(value, "q35"); strings.Contains(value, "pc") && kind != q35 {
			return "it names a machine type that differs from the key machine, " + orDefault(config["machine"])
		}
	case "-drive", "-pflash":
		if (arg.Name() == "-pflash" || arg.Property("if") == "pflash") && config["bios"] == "ovmf" {
			return "bios: ovmf gives the VM its firmware already, and there is no place for a second firmware"
		}
		if slot, ours := strings.CutPrefix(arg.Property("id"), "drive-"); ours && config[slot] != "" {
			return "PVE gives the drive of " + slot + " the same ID"
		}
	}
	return ""
}

// setProblem returns the reason why -set cannot set a property of a device.
// Either the VM lacks the device, or the device has another ID. The ID of a
// passed-through device depends on whether the device has several functions.
func (j *judgement) setProblem(key, rest string, config map[string]string) string {
	if config[key] == "" {
		return "the VM has no " + key
	}
	h, err := gpu.ParseHostPCI(config[key])
	if qmconf.Family(key) != "hostpci" || err != nil {
		return ""
	}
	switch numbered, functions := numberedFunction.MatchString(rest), len(j.Functions(h)); {
	case functions > 1:
		return key + " has several functions, and -set reads the ID of a device only up to the first dot, so it cannot name " + key + ".0"
	case numbered && functions == 1:
		return key + " has one function, which PVE does not number"
	}
	return ""
}

var numberedFunction = regexp.MustCompile(`^\.\d+\.`)

// idOfPVE reports whether PVE itself gives the ID to a device of the
// configuration.
func (j *judgement) idOfPVE(id string, config map[string]string) bool {
	key, function, numbered := strings.Cut(id, ".")
	if id == "" || config[key] == "" || !setDevice.MatchString(key) {
		return false
	}
	h, err := gpu.ParseHostPCI(config[key])
	if qmconf.Family(key) != "hostpci" || err != nil {
		return !numbered
	}
	functions := j.Functions(h)
	n, err := strconv.Atoi(function)
	return numbered && err == nil && n < len(functions) && len(functions) > 1 || !numbered && len(functions) < 2
}

// hasEHCI reports whether PVE gives an i440fx machine the controller ehci. PVE
// adds it if a USB device lacks usb3=1. PVE does not add it if the guest gets
// an xHCI controller for all USB devices (qemu-server PVE/QemuServer/USB.pm,
// get_usb_controllers).
func hasEHCI(config map[string]string) bool {
	if qmconf.ModernUSB(config["ostype"]) && !beforeXHCI.MatchString(config["machine"]) {
		return false
	}
	for key, value := range config {
		if qmconf.Family(key) == "usb" && !strings.Contains(value, "usb3=1") {
			return true
		}
	}
	return false
}

// beforeXHCI matches machine versions before 7.1.
var beforeXHCI = regexp.MustCompile(`^pc-(q35|i440fx)-([0-6]\.|7\.0)`)
