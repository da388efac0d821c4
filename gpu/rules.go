package gpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// A Rule is one of PVE's rules for the hostpci values of a VM. Some rules also
// concern other settings of the VM. PVE saves a VM that breaks a rule, but then
// refuses to start it.
type Rule string

// These are PVE's rules (parse_hostpci_devices in qemu-server
// PVE/QemuServer/PCI.pm).
const (
	RulePCIeNeedsQ35        Rule = "pcie=1 needs the machine type q35"
	RuleIGDNeedsI440FX      Rule = "legacy-igd needs the machine type pc (i440fx)"
	RuleIGDNeedsNoVGA       Rule = "legacy-igd needs vga: none"
	RuleIGDNeedsROMBar      Rule = "legacy-igd needs the ROM bar"
	RuleIGDWithoutXVGA      Rule = "legacy-igd does not go with x-vga"
	RuleIGDWithoutMDev      Rule = "legacy-igd does not go with a mediated device"
	RuleIGDAlone            Rule = "legacy-igd is for one function without alternatives"
	RuleIGDAddress          Rule = "legacy-igd is for the iGPU at 0000:00:02.0"
	RuleIGDOnce             Rule = "only one device can be in legacy-igd mode"
	RuleMDevOneFunction     Rule = "a mediated device is of one function"
	RuleDeviceAssignedTwice Rule = "a device can be assigned to a VM once"
)

// ErrRule reports hostpci values that break one of PVE's rules.
var ErrRule = errors.New("PVE refuses to start the VM")

// A RuleError names the value and the rule that it breaks. It matches
// [ErrRule].
type RuleError struct {
	Value HostPCI
	Rule  Rule
	Seen  string // what breaks it, such as "machine: q35"
}

// Error names the value, the rule, and the part of the value that breaks the
// rule.
func (e *RuleError) Error() string {
	return printable.Sprintf("gpu: hostpci %q: %v: %s, not %s", e.Value, ErrRule, e.Rule, e.Seen)
}

// Is reports whether target is [ErrRule].
func (e *RuleError) Is(target error) bool { return target == ErrRule }

// igdAddress is the address of Intel's integrated graphics.
var igdAddress = must(iommu.ParseAddress("0000:00:02.0"))

func must(a iommu.Address, err error) iommu.Address {
	if err != nil {
		panic(err)
	}
	return a
}

// CheckRules returns nil if PVE would start a VM with these hostpci values.
// Otherwise it returns all rules that the values break, each as a [*RuleError].
// The parameters machine and vga are the values of the keys machine and vga in
// the VM's configuration, or "" if such a key is not set. [Node.Check] checks
// the values against the node's devices.
func CheckRules(values []HostPCI, machine, vga string) error {
	var broken []error
	legacy, seen := 0, []Device(nil)
	for _, h := range values {
		refuse := func(breaks bool, rule Rule, seen string) {
			if breaks {
				broken = append(broken, &RuleError{Value: h, Rule: rule, Seen: seen})
			}
		}
		q35 := strings.Contains(machine, "q35")
		refuse(h.PCIe && !q35, RulePCIeNeedsQ35, show("machine", machine))
		refuse(h.MDev != "" && len(h.Devices) > 1, RuleMDevOneFunction, joinDevices(h.Devices))
		for _, d := range h.Devices {
			for _, other := range seen {
				refuse(h.MDev == "" && (d.Covers(other.Address) || other.Covers(d.Address)), RuleDeviceAssignedTwice, d.String()+" twice")
			}
		}
		if h.MDev == "" {
			seen = append(seen, h.Devices...)
		}
		if !h.LegacyIGD {
			continue
		}
		legacy++
		refuse(legacy > 1, RuleIGDOnce, fmt.Sprintf("%d", legacy))
		refuse(!isI440FX(machine), RuleIGDNeedsI440FX, show("machine", machine))
		refuse(vga != "none", RuleIGDNeedsNoVGA, show("vga", vga))
		refuse(h.NoROMBar, RuleIGDNeedsROMBar, "rombar=0")
		refuse(h.PrimaryVGA, RuleIGDWithoutXVGA, "x-vga=1")
		refuse(h.MDev != "", RuleIGDWithoutMDev, "mdev="+h.MDev)
		refuse(len(h.Devices) > 1, RuleIGDAlone, joinDevices(h.Devices))
		refuse(len(h.Devices) == 1 && h.Devices[0].Address != igdAddress, RuleIGDAddress, joinDevices(h.Devices))
	}
	return errors.Join(broken...)
}

// isI440FX reports whether a machine value means i440fx, PVE's default on
// x86-64: "", "pc", "pc-i440fx-9.0" or the pinned "pc-9.0".
func isI440FX(machine string) bool {
	machineType, _, _ := strings.Cut(machine, ",")
	machineType = strings.TrimPrefix(machineType, "type=")
	if strings.Contains(machineType, "=") { // the value has no type, so the type is the default
		machineType = ""
	}
	return !strings.Contains(machine, "q35") && (machineType == "" || strings.HasPrefix(machineType, "pc"))
}

func show(key, value string) string {
	if value == "" {
		return key + " not set"
	}
	return key + ": " + value
}
