package workstation

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// isQ35 reports whether a configuration has the machine type q35. PVE's default
// is i440fx.
func isQ35(config map[string]string) bool { return strings.Contains(config["machine"], "q35") }

// checkMachine warns of the effects that a new machine type has on the guest.
// It refuses arguments and disks that the new machine cannot have.
func (d *differ) checkMachine(vm VM, have VMFacts, will map[string]string) {
	for _, p := range d.argProblems(will) {
		if !slices.Contains(d.argProblems(have.Config), p) {
			d.find(proxstation.Finding{ID: "workstation.args", Severity: proxstation.Blocker, Subject: have.String(), Seen: "args: " + shown("args", p.arg), Why: p.why + ": QEMU does not start.",
				Fix: fmt.Sprintf("On the node as root, remove the argument from the line args of /etc/pve/qemu-server/%d.conf, or change it for the new machine, and plan again.", vm.ID)})
		}
	}
	if isQ35(have.Config) == isQ35(will) {
		return
	}
	seen := fmt.Sprintf("machine: %s becomes %s", orDefault(have.Config["machine"]), orDefault(will["machine"]))
	if !vm.Guest.IsMacOS() { // for macOS, the function macOS reports more
		why := "every device of the guest gets another PCI address: network interfaces get other names, and an address that was set for an old name is lost"
		if vm.Guest.IsWindows() {
			why = "every device of the guest gets another PCI address: Windows may have to be activated again, and sees a new network adapter, without the address that was set"
		}
		d.find(proxstation.Finding{ID: "workstation.machine", Severity: proxstation.Warning, Subject: have.String(), Seen: seen, Why: printable.Sentence(why),
			Fix: "Leave machine out of the Spec to keep the machine type. Otherwise use PVE's console for the first start."})
	}
	d.checkIDE(vm, have, will)
}

func orDefault(machine string) string {
	if machine == "" {
		return "pc (not set)"
	}
	return machine
}

// checkIDE judges disks in IDE slots. These are ports of an AHCI controller on
// q35, and of a PIIX controller on i440fx. macOS has no driver for PIIX.
// Windows starts only with the driver with which it was installed.
func (d *differ) checkIDE(vm VM, have VMFacts, will map[string]string) {
	system, order := systemDisk(will), qmconf.BootOrder(will)
	for _, slot := range qmconf.Disks(will) {
		if qmconf.Family(slot) != "ide" || slot != system && !slices.Contains(order, slot) {
			continue
		}
		f := proxstation.Finding{ID: "workstation.boot-ide", Severity: proxstation.Warning, Subject: have.String(), Seen: slot + ": " + will[slot] + ", machine: " + orDefault(will["machine"])}
		free := qmconf.FreeSlot("sata0", nil, have.Config, will)
		move := fmt.Sprintf("shut the VM down, and on the node as root rename the key %s to %s in /etc/pve/qemu-server/%d.conf, in the line boot too; then plan again", slot, free, vm.ID)
		switch {
		case vm.Guest.IsMacOS() && isQ35(will), vm.Guest == gpu.Linux, vm.Guest == gpu.AnyGuest:
			continue
		case slot == system && vm.Guest.IsMacOS():
			f.Severity, f.Why, f.Fix = proxstation.Blocker, "macOS has no driver for the IDE controller of i440fx, and its system is on that disk.", move
		case slot == system:
			f.Severity, f.Why, f.Fix = proxstation.Blocker, "On the new machine the slot belongs to another controller, for which the installed Windows loads no driver. Windows then stops during its start.", move
		case vm.Guest.IsMacOS():
			f.Why, f.Fix = "The firmware still starts the boot loader from this disk. But macOS has no driver for the IDE controller of i440fx and never sees the disk, so it cannot update or install anything from it.", move
		default:
			continue
		}
		d.find(f)
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

// argProblems returns the arguments because of which QEMU would refuse a
// configuration.
func (d *differ) argProblems(config map[string]string) []argProblem {
	var problems []argProblem
	made := map[string]bool{} // buses that the args create
	list := qmconf.SplitArgs(config["args"])
	for _, arg := range list {
		if id := arg.Property("id"); id != "" {
			made[id] = true
		}
	}
	for _, arg := range list {
		if why := d.argProblem(arg, config, made); why != "" {
			problems = append(problems, argProblem{strings.Join(arg, " "), why})
		}
	}
	return problems
}

func (d *differ) argProblem(arg qmconf.Arg, config map[string]string, made map[string]bool) string {
	q35, value := isQ35(config), arg.Value()
	bus := arg.Property("bus")
	busOf, _, _ := strings.Cut(bus, ".")
	switch arg.Name() {
	case "-device":
		switch {
		case d.idOfPVE(arg.Property("id"), config):
			return "PVE gives a device of its own the ID " + arg.Property("id")
		case made[bus] || made[busOf]:
		case !q35 && q35Bus.MatchString(bus) && !(bus == "ehci.0" && hasEHCI(config)):
			return "the bus " + bus + " is one of q35, and the machine is " + orDefault(config["machine"])
		case q35 && i440fxBus.MatchString(bus):
			return "the bus " + bus + " is one of i440fx, and the machine is " + config["machine"]
		case q35 && strings.HasPrefix(bus, "ide.") && arg.Property("unit") == "1":
			return "a port of q35's AHCI controller takes one drive, unit 0"
		}
	case "-set":
		name := strings.TrimPrefix(value, "device.")
		if key := setDevice.FindString(name); key != "" && strings.HasPrefix(value, "device.") {
			return d.setProblem(key, name[len(key):], config)
		}
	case "-usb":
		return "the machine then has the USB controller that PVE adds at the same place"
	case "-machine", "-M":
		if kind := strings.Contains(value, "q35"); strings.Contains(value, "pc") && kind != q35 {
			return "it names another machine type than the key machine, " + orDefault(config["machine"])
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
// Either the device does not exist, or it has another ID because it is one of
// several functions.
func (d *differ) setProblem(key, rest string, config map[string]string) string {
	if config[key] == "" {
		return "the VM has no " + key
	}
	h, err := gpu.ParseHostPCI(config[key])
	if qmconf.Family(key) != "hostpci" || err != nil {
		return ""
	}
	switch numbered, functions := numberedFunction.MatchString(rest), len(d.functions(h)); {
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
func (d *differ) idOfPVE(id string, config map[string]string) bool {
	key, function, numbered := strings.Cut(id, ".")
	if id == "" || config[key] == "" || !setDevice.MatchString(key) {
		return false
	}
	h, err := gpu.ParseHostPCI(config[key])
	if qmconf.Family(key) != "hostpci" || err != nil {
		return !numbered
	}
	functions := d.functions(h)
	n, err := strconv.Atoi(function)
	return numbered && err == nil && n < len(functions) && len(functions) > 1 || !numbered && len(functions) < 2
}

// hasEHCI reports whether PVE gives an i440fx machine the controller ehci. It
// does so for USB devices without usb3 if the guest does not get xHCI for all
// of them (qemu-server PVE/QemuServer/USB.pm, get_usb_controllers).
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

// checkTemplate adds a finding that a change of a template affects only later
// clones.
func (d *differ) checkTemplate(have VMFacts) {
	if have.Config["template"] == "1" {
		d.find(proxstation.Finding{ID: "workstation.template", Severity: proxstation.Warning, Subject: have.String(), Seen: "template: 1",
			Why: "A template never starts. Changes in it only affect clones that are made later; existing clones stay as they are.",
			Fix: "To change a VM that runs, name a clone in the Spec."})
	}
}
