package iommu

import (
	"slices"

	"github.com/proxstation/proxstation"
)

// Facts holds the observed state of a machine. [Read] fills it from the machine
// itself. If a caller has other sources, such as the PVE API, the field
// Functions alone is enough. Answers that the caller does not set stay
// [proxstation.Unknown].
type Facts struct {
	// Functions holds all PCI functions, in the order of their addresses.
	Functions []Function `json:"functions"`
	// Groups holds the IOMMU groups, in the order of their numbers, from
	// /sys/kernel/iommu_groups. It includes empty groups.
	Groups []GroupFacts `json:"groups"`
	// GroupsKnown is Yes if the groups were observed, either in Groups or in
	// the Group of each function. A function without a group then really has no
	// group.
	GroupsKnown proxstation.Answer `json:"groupsKnown"`
	// Units holds the IOMMUs in use, from /sys/class/iommu.
	Units []Unit `json:"units"`
	// UnitsKnown is Yes if Units was observed.
	UnitsKnown proxstation.Answer `json:"unitsKnown"`
	// ACPI holds the firmware's tables about the IOMMU.
	ACPI ACPI `json:"acpi"`
	// Interrupts holds the kernel's report about interrupt remapping.
	Interrupts Interrupts `json:"interrupts"`
	// Kernel is the running kernel's release (/proc/sys/kernel/osrelease).
	Kernel string `json:"kernel,omitempty"`
	// KernelModules says whether the running kernel's modules are installed
	// (/usr/lib/modules/RELEASE). It is Unknown if no modules of any kernel are
	// visible.
	KernelModules proxstation.Answer `json:"kernelModules"`
	// AddressBits is the width of physical addresses in bits ("address sizes"
	// in /proc/cpuinfo). It is 0 if it is not known.
	AddressBits int `json:"addressBits,omitempty"`
	// Vendor is the processor's vendor_id in /proc/cpuinfo: "GenuineIntel",
	// "AuthenticAMD" or empty.
	Vendor string `json:"vendor,omitempty"`
	// Virtual says whether the machine is a virtual machine itself.
	Virtual Virtual `json:"virtual"`
	// KVM says whether the processor can run virtual machines.
	KVM KVM `json:"kvm"`
	// Running holds the kernel command line in force (/proc/cmdline). It is nil
	// if it is not known.
	Running *Cmdline `json:"running"`
	// Loader holds the boot loader's configuration.
	Loader LoaderFacts `json:"loader"`
	// Modules holds the loaded modules of VFIO and of graphics drivers, with
	// their parameters (/sys/module).
	Modules []Module `json:"modules,omitempty"`
	// Modprobe holds the files of /etc/modprobe.d, /run/modprobe.d,
	// /usr/local/lib/modprobe.d and /usr/lib/modprobe.d that kmod reads, in the
	// order in which kmod reads them (modprobe.d(5)).
	Modprobe []HostFile `json:"modprobe,omitempty"`
	// ModprobeUnread holds the files of /etc/modprobe.d that kmod skips because
	// their names do not end in ".conf". Backup copies are left out.
	ModprobeUnread []HostFile `json:"modprobeUnread,omitempty"`
	// ModulesLoad holds /etc/modules and /etc/modules-load.d/*.conf.
	ModulesLoad []HostFile `json:"modulesLoad,omitempty"`
	// Initramfs holds /etc/initramfs-tools/modules, which lists the modules
	// that are loaded before the root file system is mounted.
	Initramfs []HostFile `json:"initramfs,omitempty"`
	// NewerThanInitramfs names the files of modprobe.d and of Initramfs that
	// were changed after the running kernel's initramfs was made
	// (/boot/initrd.img-RELEASE).
	NewerThanInitramfs []string `json:"newerThanInitramfs,omitempty"`
	// Network holds the network interfaces and their configuration.
	Network Network `json:"network"`
	// Framebuffers holds the framebuffers in PCI functions' memory.
	Framebuffers []Framebuffer `json:"framebuffers,omitempty"`
	// Uses holds the functions that the machine itself needs.
	Uses []Use `json:"uses,omitempty"`
	// UsesKnown is Yes if Uses is complete. Otherwise the findings say which
	// uses may be missing.
	UsesKnown proxstation.Answer `json:"usesKnown"`
	// Findings names the parts that could not be read.
	Findings []proxstation.Finding `json:"findings,omitempty"`

	index *index
}

// Function returns the function at an address.
func (f Facts) Function(a Address) (Function, bool) {
	i := f.position(a)
	if i < 0 {
		return Function{}, false
	}
	return f.Functions[i], true
}

// Slot returns all functions of a device. a is the address of any of these
// functions. An SR-IOV virtual function is a device of its own, in any slot.
func (f Facts) Slot(a Address) []Function {
	if fn, _ := f.Function(a); fn.VirtualOf != nil {
		return []Function{fn}
	}
	var functions []Function
	for _, i := range f.slot(a) {
		if fn := f.Functions[i]; fn.VirtualOf == nil {
			functions = append(functions, fn)
		}
	}
	return functions
}

// Module returns a loaded module by its name with underscores.
func (f Facts) Module(name string) (Module, bool) {
	i := slices.IndexFunc(f.Modules, func(m Module) bool { return m.Name == name })
	if i < 0 {
		return Module{}, false
	}
	return f.Modules[i], true
}

// usesOf returns the machine's own uses of a function; see [Facts].
func (f Facts) usesOf(a Address) []Use {
	var uses []Use
	for _, use := range f.Uses {
		if use.Address == a {
			uses = append(uses, use)
		}
	}
	return uses
}

// GroupFacts describes an IOMMU group: the smallest set of functions that the
// IOMMU can tell apart from all other functions
// (Documentation/driver-api/vfio.rst).
type GroupFacts struct {
	ID int `json:"id"`
	// Type is the kind of the default domain: "DMA-FQ", "DMA", "identity" or
	// "blocked" (Documentation/ABI/testing/sysfs-kernel-iommu_groups). It is
	// empty if it is not known.
	Type string `json:"type,omitempty"`
	// NoIOMMU is set for groups that VFIO makes on a machine without an IOMMU.
	// They isolate nothing (module parameter enable_unsafe_noiommu_mode).
	NoIOMMU bool `json:"noIOMMU,omitempty"`
	// Direct is a line of reserved_regions of the type "direct": memory that
	// the firmware keeps for the group's devices. It is empty if there is no
	// such line.
	Direct string `json:"direct,omitempty"`
	// Devices holds the addresses of the group's functions, in order.
	Devices []Address `json:"devices"`
}

// A Unit is an IOMMU that a driver has taken into use.
type Unit struct {
	Name string `json:"name"` // dmar0 for Intel, ivhd0 for AMD
	// Extended is Intel's extended capability register, or nil if there is no
	// such register. Bit 3 says that the IOMMU can remap interrupts (VT-d
	// specification 11.4.3; intel-iommu/ecap).
	Extended *uint64 `json:"extended,omitempty"`
	// AddressBits is the number of address bits that the IOMMU translates
	// (Intel's capability register, bits 16 to 21, plus one; intel-iommu/cap).
	// It is 0 if it is not known.
	AddressBits int `json:"addressBits,omitempty"`
}

// ACPI holds facts from the firmware's tables in /sys/firmware/acpi/tables.
type ACPI struct {
	DMAR proxstation.Answer `json:"dmar"` // Intel's table exists: VT-d is on in the firmware
	IVRS proxstation.Answer `json:"ivrs"` // AMD's table exists
	// Flags is the flags byte of DMAR. Bit 0 says that the platform can remap
	// interrupts (VT-d specification 8.1). Only root can read the byte. Flags
	// is nil if it is not known.
	Flags *uint8 `json:"flags,omitempty"`
}

// Interrupts holds facts from /proc/interrupts. The names of the interrupt
// chips begin with "IR-" if interrupt remapping is on.
type Interrupts struct {
	Remapped proxstation.Answer `json:"remapped"`
	Seen     string             `json:"seen,omitempty"` // a line of the file
}

// A Module is a kernel module that is loaded or built in.
type Module struct {
	Name       string            `json:"name"`                 // with underscores
	Parameters map[string]string `json:"parameters,omitempty"` // the readable parameters
	// Users counts the open files and other users of the module, without the
	// modules that build on it (refcnt minus the number of holders). It is 0 if
	// it is not known.
	Users int `json:"users,omitempty"`
	// BuiltIn is set if the module is part of the kernel. Only loaded modules
	// have the file initstate (Documentation/ABI/testing/sysfs-module). A
	// built-in module takes its parameters from the kernel's arguments and
	// ignores /etc/modprobe.d.
	BuiltIn bool `json:"builtIn,omitempty"`
}

// A Framebuffer is a console picture that lies in a function's memory.
type Framebuffer struct {
	Address Address `json:"address"`
	// Name is efifb, vesafb, simplefb or BOOTFB (/proc/iomem), or the content
	// of /sys/class/graphics/fbN/name.
	Name string `json:"name"`
	// Firmware is set if the firmware left this framebuffer. The framebuffer's
	// driver then holds memory of the function without being the function's
	// driver.
	Firmware bool   `json:"firmware"`
	BAR      *int   `json:"bar,omitempty"` // the base address register that holds the picture; nil if it is not known
	Seen     string `json:"seen"`          // the file that shows the framebuffer
}

// A UseKind says for which purpose a machine needs a function.
type UseKind string

// The kinds of use.
const (
	UseRoot    UseKind = "root"    // holds the root file system, the boot files or swap
	UseStorage UseKind = "storage" // holds another mounted file system or active volume
	UseNetwork UseKind = "network" // carries the default route
	UseConsole UseKind = "console" // is the only display of the machine
	UseInput   UseKind = "input"   // has the keyboard
)

// A Use says that the machine itself needs a function, and for which purpose.
type Use struct {
	Address Address `json:"address"`
	Kind    UseKind `json:"kind"`
	// Seen is the chain from the use to the function, such as "/ on dm-1 on
	// nvme0n1p3 on nvme0n1".
	Seen string `json:"seen"`
}
