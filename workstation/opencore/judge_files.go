package opencore

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// judgeFiles looks for files that the image lacks, although config.plist names
// them or the firmware needs them.
func (j *judge) judgeFiles() {
	if j.image.Starts == proxstation.No {
		j.say("opencore.boot-file", proxstation.Blocker, bootFile+" is missing", "the firmware of a VM starts only this file from a drive that it does not know",
			"put X64/"+bootFile+" of OpenCore's release into the image", "UEFI specification, section 3.5.1.1")
	}
	severity, why := proxstation.Warning, "OpenCore leaves out what is missing"
	if j.halts() {
		severity, why = proxstation.Blocker, "OpenCore stops there, because HaltLevel makes it stop at errors such as a missing file"
	}
	for i, item := range j.get("Kernel", "Add").Items {
		name := item.Value.Get("BundlePath").Text
		has := slices.ContainsFunc(j.image.Kexts, func(k Kext) bool { return strings.EqualFold(k.Path, name) })
		if name != "" && !has && item.Value.Get("Enabled").True() {
			j.want("opencore.kext-missing", severity, Key{"Kernel", "Add", strconv.Itoa(i), "Enabled"}, BoolValue(false), name+" is not in "+folder+"/Kexts, and "+why, mainLib+"/OpenCoreKernel.c")
		}
	}
	for i, item := range j.get("UEFI", "Drivers").Items {
		key, name := Key{"UEFI", "Drivers", strconv.Itoa(i), "Enabled"}, item.Value.Get("Path").Text
		on, want := item.Value.Get("Enabled").True(), BoolValue(false)
		if item.Value.Kind == Text { // before OpenCore 0.7.3 an entry was a string
			key, name, on, want = key[:3], item.Value.Text, !strings.HasPrefix(item.Value.Text, "#"), TextValue("#"+item.Value.Text)
		}
		has := slices.ContainsFunc(j.image.Drivers, func(d Driver) bool { return strings.EqualFold(d.Name, name) })
		if name != "" && !has && on {
			j.want("opencore.driver-missing", severity, key, want, name+" is not in "+folder+"/Drivers, and "+why, mainLib+"/OpenCoreUefi.c")
		}
	}
	for i, item := range j.get("ACPI", "Add").Items {
		name := item.Value.Get("Path").Text
		has := slices.ContainsFunc(j.image.ACPI, func(table string) bool { return strings.EqualFold(table, name) })
		if name != "" && !has && item.Value.Get("Enabled").True() {
			j.want("opencore.acpi-missing", proxstation.Info, Key{"ACPI", "Add", strconv.Itoa(i), "Enabled"}, BoolValue(false), name+" is not in "+folder+"/ACPI, and OpenCore leaves it out", mainLib+"/OpenCoreAcpi.c")
		}
	}
}

const mainLib = "OpenCorePkg Library/OcMainLib"

// OpenCore stops at an error if two bits are set: haltAtErrors in Misc ->
// Security -> HaltLevel, and logEnabled in Misc -> Debug -> Target (OpenCore
// Configuration, Debug and Security; OpenCorePkg OcLog.c). If HaltLevel is
// missing, OpenCore takes haltAtErrors as set.
const (
	haltAtErrors = 1 << 31
	logEnabled   = 1 << 0
)

// Reports whether OpenCore stops at the first error that it logs.
func (j *judge) halts() bool {
	level, known := j.get("Misc", "Security", "HaltLevel").Int()
	target, _ := j.get("Misc", "Debug", "Target").Int()
	return (!known || level&haltAtErrors != 0) && target&logEnabled != 0
}
