package iommu

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// The method "groups" reads /sys/kernel/iommu_groups, which exists but is empty
// while the IOMMU is off. A member that is not among the functions is added as
// a function without details, so that no group looks emptier than it is.
func (r *reader) groups() {
	const dir = "kernel/iommu_groups"
	names, err := sysfs.Names(r.Sys, dir)
	if err != nil {
		r.unread("/sys/"+dir, err)
		return
	}
	r.GroupsKnown = proxstation.Yes
	r.index = newIndex(r.Functions)
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil || n < 0 {
			continue
		}
		r.Groups = append(r.Groups, r.group(n, dir+"/"+name))
	}
	slices.SortFunc(r.Groups, func(a, b GroupFacts) int { return a.ID - b.ID })
	if len(r.strays) > 0 {
		r.Functions = append(r.Functions, r.strays...)
		slices.SortStableFunc(r.Functions, func(a, b Function) int { return a.Address.Compare(b.Address) })
		r.Functions = slices.CompactFunc(r.Functions, func(a, b Function) bool { return a.Address == b.Address })
	}
}

func (r *reader) group(n int, dir string) GroupFacts {
	g := GroupFacts{ID: n, Devices: []Address{}}
	entries, listErr := sysfs.Names(r.Sys, dir)
	text := func(name string) string {
		if listErr == nil && !slices.Contains(entries, name) {
			return ""
		}
		value, _, _ := sysfs.Optional(r.Sys, dir+"/"+name)
		return value
	}
	g.Type, g.NoIOMMU = text("type"), text("name") == "vfio-noiommu"
	regions := text("reserved_regions")
	for line := range strings.Lines(regions) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] == "direct" {
			g.Direct = strings.Join(fields, " ")
		}
	}
	members, err := sysfs.Names(r.Sys, dir+"/devices")
	if err != nil {
		r.unread("/sys/"+dir+"/devices", err)
		r.GroupsKnown = proxstation.Unknown
	}
	for _, member := range members {
		address, err := ParseAddress(member)
		if err != nil {
			continue // a platform device, such as an ACPI device
		}
		g.Devices = append(g.Devices, address)
		r.member(address, n)
	}
	slices.SortFunc(g.Devices, Address.Compare)
	return g
}

// The method "member" puts the function at an address into group n. If the
// function is unknown, member records it as a stray.
func (r *reader) member(address Address, n int) {
	if i := r.position(address); i >= 0 {
		r.Functions[i].Group = Group(n)
		return
	}
	r.strays = append(r.strays, Function{Address: address, Group: Group(n)})
}

// The method "units" reads /sys/class/iommu.
func (r *reader) units() {
	names, err := sysfs.Names(r.Sys, "class/iommu")
	if err != nil {
		r.unread("/sys/class/iommu", err)
		return
	}
	r.UnitsKnown = proxstation.Yes
	for _, name := range names {
		unit := Unit{Name: name}
		text, _, _ := sysfs.Optional(r.Sys, "class/iommu/"+name+"/intel-iommu/ecap")
		if n, err := strconv.ParseUint(text, 16, 64); err == nil {
			unit.Extended = &n
		}
		text, _, _ = sysfs.Optional(r.Sys, "class/iommu/"+name+"/intel-iommu/cap")
		if n, err := strconv.ParseUint(text, 16, 64); err == nil {
			unit.AddressBits = int(n>>16&0x3f) + 1
		}
		r.Units = append(r.Units, unit)
	}
}

// acpi looks for the firmware's tables. Everybody may list the tables, but only
// root may read them. If the list is empty or cannot be read, it is not known
// which tables exist.
func (r *reader) acpi() {
	const dir = "firmware/acpi/tables"
	names, err := sysfs.Names(r.Sys, dir)
	if err != nil || len(names) == 0 {
		r.unread("/sys/"+dir, err)
		return
	}
	r.ACPI.DMAR = proxstation.AnswerOf(slices.Contains(names, "DMAR"))
	r.ACPI.IVRS = proxstation.AnswerOf(slices.Contains(names, "IVRS"))
	if r.ACPI.DMAR != proxstation.Yes {
		return
	}
	table, err := fs.ReadFile(r.Sys, dir+"/DMAR")
	if err != nil {
		r.unread("/sys/"+dir+"/DMAR", err)
		return
	}
	if len(table) >= 48 && string(table[:4]) == "DMAR" {
		flags := table[37]
		r.ACPI.Flags = &flags
	}
}

// The method "interrupts" looks for chips whose names begin with "IR-". The
// kernel gives such names to interrupts that go through a remapping IOMMU
// (IR-PCI-MSI, IR-IO-APIC). An AMD IOMMU's own interrupt and Intel's DMAR-MSI
// are not remapped.
func (r *reader) interrupts() {
	lines, err := r.procLines("interrupts")
	if err != nil {
		r.unread("/proc/interrupts", err)
		return
	}
	for _, line := range lines {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "IR-") {
				r.Interrupts = Interrupts{Remapped: proxstation.Yes, Seen: strings.Join(strings.Fields(line), " ")}
				return
			}
			plain := strings.HasPrefix(word, "PCI-MSI") || strings.HasPrefix(word, "IO-APIC")
			if plain && r.Interrupts.Remapped == proxstation.Unknown {
				r.Interrupts = Interrupts{Remapped: proxstation.No, Seen: strings.Join(strings.Fields(line), " ")}
			}
		}
	}
}

// The list "watched" holds the modules whose state matters for passthrough.
var watched = []string{"vfio", "vfio_pci", "vfio_pci_core", "vfio_iommu_type1", "vfio_virqfd", "iommufd",
	"pci_stub", "vendor_reset", "nvidia", "nvidia_drm", "nvidia_uvm", "nouveau", "nova_core", "amdgpu", "radeon", "i915", "xe", "snd_hda_intel"}

// The method "modules" reads /sys/module. Built-in modules appear in it only if
// they have parameters.
func (r *reader) modules() {
	for _, name := range watched {
		if _, err := fs.Stat(r.Sys, "module/"+name); err != nil {
			continue
		}
		_, loaded, err := sysfs.Optional(r.Sys, "module/"+name+"/initstate")
		m := Module{Name: name, BuiltIn: !loaded && err == nil}
		if count, err := sysfs.Uint(r.Sys, "module/"+name+"/refcnt", 31); err == nil {
			holders, _ := sysfs.Names(r.Sys, "module/"+name+"/holders")
			m.Users = max(0, int(count)-len(holders))
		}
		parameters, _ := sysfs.Names(r.Sys, "module/"+name+"/parameters")
		for _, parameter := range parameters {
			if value, ok, err := sysfs.Optional(r.Sys, "module/"+name+"/parameters/"+parameter); ok && err == nil {
				if m.Parameters == nil {
					m.Parameters = map[string]string{}
				}
				m.Parameters[parameter] = value
			}
		}
		r.Modules = append(r.Modules, m)
	}
}
