package opencore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

// The CFBundleIdentifiers of the kernel extensions that the rules are about.
const (
	lilu         = "as.vit9696.Lilu"
	weg          = "as.vit9696.WhateverGreen"
	virtualSMC   = "as.vit9696.VirtualSMC"
	nootRX       = "com.chefkiss.NootRX"
	cryptexFixup = "com.khronokernel.CryptexFixup"
)

// The projects that release the kernel extensions.
var homes = map[string]string{lilu: "github.com/acidanthera/Lilu", weg: "github.com/acidanthera/WhateverGreen", virtualSMC: "github.com/acidanthera/VirtualSMC",
	nootRX: "github.com/ChefKissInc/NootRX", cryptexFixup: "github.com/acidanthera/CryptexFixup"}

// Returns the oldest version of a kernel extension that supports a release (the
// changelogs of Lilu, WhateverGreen and VirtualSMC).
func needed(id string, release gpu.Guest) Version {
	at := map[string]map[gpu.Guest]Version{
		lilu:       {gpu.MacOSVentura: {1, 6, 1}, gpu.MacOSSonoma: {1, 6, 6}, gpu.MacOSSequoia: {1, 6, 8}, gpu.MacOSTahoe: {1, 7, 1}},
		weg:        {gpu.MacOSVentura: {1, 6, 0}, gpu.MacOSSonoma: {1, 6, 5}, gpu.MacOSSequoia: {1, 6, 7}, gpu.MacOSTahoe: {1, 7, 0}},
		virtualSMC: {gpu.MacOSSequoia: {1, 3, 6}, gpu.MacOSTahoe: {1, 3, 7}}, // macOS 15.4 needs VirtualSMC 1.3.6
	}
	return at[id][release]
}

// kext returns the image's extension with the given identifier. If several
// extensions have it, kext returns the first that is switched on, if any is.
func (j *judge) kext(id string) (k Kext, there bool) {
	for _, other := range j.image.Kexts {
		if !strings.EqualFold(other.ID, id) {
			continue
		}
		if j.get("Kernel", "Add", strconv.Itoa(j.entry(other)), "Enabled").True() {
			return other, true
		}
		if !there {
			k, there = other, true
		}
	}
	return k, there
}

// Returns the index of a bundle in Kernel -> Add, or -1 if the bundle is
// missing there.
func (j *judge) entry(k Kext) int {
	for i, item := range j.get("Kernel", "Add").Items {
		if k.Path != "" && strings.EqualFold(item.Value.Get("BundlePath").Text, k.Path) {
			return i
		}
	}
	return -1
}

// Reports whether OpenCore loads an extension into the release's kernel.
func (j *judge) loaded(id string) bool {
	k, there := j.kext(id)
	i := j.entry(k)
	if !there || i < 0 {
		return false
	}
	entry := j.get("Kernel", "Add", strconv.Itoa(i))
	return entry.Get("Enabled").True() && inKernel(entry, j.machine.kernel())
}

// inKernel reports whether the entry's MinKernel and MaxKernel include a
// version of the kernel.
func inKernel(entry Value, kernel int) bool {
	least, hasLeast := ParseVersion(entry.Get("MinKernel").Text)
	most, hasMost := ParseVersion(entry.Get("MaxKernel").Text)
	return (!hasLeast || kernel >= least.Major) && (!hasMost || kernel <= most.Major)
}

// judgeKexts judges the extensions for the card and the system management
// controller (SMC).
func (j *judge) judgeKexts() {
	for _, k := range j.image.Kexts {
		if i := j.entry(k); k.Problem != "" && i >= 0 && j.get("Kernel", "Add", strconv.Itoa(i), "Enabled").True() {
			j.say("opencore.kext-damaged", proxstation.Blocker, folder+"/Kexts/"+k.Path+": "+k.Problem, "OpenCore stops at a kernel extension that is not complete", "take the bundle anew from its release", manual+", Kernel")
		}
	}
	amd := j.machine.Card.Model().Vendor == gpu.AMD
	switch {
	case amd && j.machine.Release == gpu.MacOSTahoe:
		j.unloaded("opencore.whatevergreen-amd", weg, proxstation.Blocker, "WhateverGreen's patch of AMD's connectors makes macOS 26 panic", installGuide+", extras/tahoe")
	case j.machine.Card.Family() == gpu.AMDNavi22:
		j.unloaded("opencore.whatevergreen-navi22", weg, proxstation.Blocker, "NootRX takes WhateverGreen's place for Navi 22, and both together do not work", buyersGuide)
		j.extension("opencore.nootrx", nootRX, proxstation.Blocker, "Apple's drivers do not know Navi 22 without NootRX", buyersGuide)
		j.extension("opencore.lilu", lilu, proxstation.Blocker, "NootRX needs Lilu", liluChanges)
	default:
		j.extension("opencore.lilu", lilu, j.atLeast(proxstation.Blocker, proxstation.Info), "WhateverGreen needs Lilu, which must be loaded first and know the release", liluChanges)
		j.extension("opencore.whatevergreen", weg, j.atLeast(proxstation.Blocker, proxstation.Info), "without WhateverGreen macOS ignores the properties that make it drive the card", wegChanges)
	}
	j.judgeOrder()
	j.judgeSMC()
}

// Judges whether an extension is present, new enough and loaded.
func (j *judge) extension(id, bundle string, severity proxstation.Severity, why, source string) {
	k, there := j.kext(bundle)
	need := needed(bundle, j.machine.Release)
	atLeast := ""
	if need != (Version{}) {
		atLeast = " " + need.String() + " or newer"
	}
	bring := fmt.Sprintf("download %s%s from %s/releases and give its folder or zip as a kernel extension", bundle, atLeast, homes[bundle])
	have, known := ParseVersion(k.Version)
	i := j.entry(k)
	switch {
	case !there:
		j.say(id, severity, "no "+bundle+" in "+folder+"/Kexts", why, bring, source)
		return
	case !known && need != (Version{}):
		j.say(id, min(severity, proxstation.Warning), fmt.Sprintf("%s/Kexts/%s has the version %q", folder, k.Path, k.Version), why+"; its version cannot be read", bring, source)
	case have.Before(need):
		j.say(id, severity, fmt.Sprintf("%s/Kexts/%s is version %s", folder, k.Path, k.Version), fmt.Sprintf("%s knows %s from version %s on", bundle, j.machine.Release, need), bring, source)
	}
	if i < 0 {
		key := Key{"Kernel", "Add", strconv.Itoa(len(j.get("Kernel", "Add").Items))}
		if bundle == lilu {
			key[2] = "0"
		}
		f := j.say(id, severity, configFile+": no entry of Kernel -> Add names "+k.Path, why, "add an entry for it", source)
		f.Key, f.Want, f.Changes = key, entryFor(k), []Change{{Key: key, Want: entryFor(k)}}
		return
	}
	entry := Key{"Kernel", "Add", strconv.Itoa(i)}
	j.want(id, severity, append(entry[:3:3], "Enabled"), BoolValue(true), why, source)
	if !inKernel(j.get(entry...), j.machine.kernel()) {
		for _, name := range []string{"MinKernel", "MaxKernel"} {
			j.want(id, severity, append(entry[:3:3], name), TextValue(""), fmt.Sprintf("OpenCore does not load it into kernel %d, the kernel of %s", j.machine.kernel(), j.machine.Release), source)
		}
	}
}

// Adds a finding if OpenCore loads an extension that it must not load.
func (j *judge) unloaded(id, bundle string, severity proxstation.Severity, why, source string) {
	if k, _ := j.kext(bundle); j.loaded(bundle) {
		j.want(id, severity, Key{"Kernel", "Add", strconv.Itoa(j.entry(k)), "Enabled"}, BoolValue(false), why, source)
	}
}

// entryFor returns the entry of Kernel -> Add that loads an extension.
func entryFor(k Kext) Value {
	return Value{Kind: Dict, Items: []Item{
		{Key: "Arch", Value: TextValue("x86_64")}, {Key: "BundlePath", Value: TextValue(k.Path)}, {Key: "Comment", Value: TextValue("")},
		{Key: "Enabled", Value: BoolValue(true)}, {Key: "ExecutablePath", Value: TextValue(k.Executable)}, {Key: "MaxKernel", Value: TextValue("")},
		{Key: "MinKernel", Value: TextValue("")}, {Key: "PlistPath", Value: TextValue(infoFile)},
	}}
}

// judgeOrder checks that OpenCore loads Lilu before WhateverGreen, which needs
// Lilu. OpenCore loads extensions in the order of the array.
func (j *judge) judgeOrder() {
	k, _ := j.kext(lilu)
	at := j.entry(k)
	if at < 0 || !j.loaded(lilu) {
		return
	}
	var behind []string
	for _, id := range []string{weg, virtualSMC, nootRX, cryptexFixup} {
		plugin, there := j.kext(id)
		if before := j.entry(plugin); there && before >= 0 && before < at && j.loaded(id) {
			behind = append(behind, strings.TrimSuffix(plugin.Path, ".kext"))
		}
	}
	if len(behind) == 0 {
		return
	}
	entry := j.get("Kernel", "Add", strconv.Itoa(at))
	f := j.say("opencore.kext-order", j.atLeast(proxstation.Blocker, proxstation.Warning), fmt.Sprintf("%s: Lilu is entry %d of Kernel -> Add, behind %s", configFile, at, strings.Join(behind, ", ")),
		"extensions are loaded in the array's order, and these need Lilu before them", "put Lilu's entry first", manual+", Kernel, Add")
	off := Key{"Kernel", "Add", strconv.Itoa(at), "Enabled"}
	f.Key, f.Now, f.Want = Key{"Kernel", "Add", "0"}, Value{}, entry
	f.Changes = []Change{{off, BoolValue(true), BoolValue(false)}, {Key: f.Key, Want: entry}}
}

// judgeSMC checks that macOS finds exactly one system management controller:
// either QEMU's, or VirtualSMC.
func (j *judge) judgeSMC() {
	k, there := j.kext(virtualSMC)
	on := j.loaded(virtualSMC)
	enabled := Key{"Kernel", "Add", strconv.Itoa(j.entry(k)), "Enabled"}
	switch need := needed(virtualSMC, j.machine.Release); {
	case on && j.machine.emulatedSMC():
		j.want("opencore.smc", proxstation.Warning, enabled, BoolValue(false), "the VM has isa-applesmc, and OpenCore loads VirtualSMC too: two system management controllers answer", isoReadme)
	case !on && !j.machine.emulatedSMC() && there && j.entry(k) >= 0:
		j.want("opencore.smc", proxstation.Blocker, enabled, BoolValue(true), "the VM has no isa-applesmc, and macOS does not start without a system management controller", isoReadme)
	case !on && !j.machine.emulatedSMC():
		j.say("opencore.smc", proxstation.Blocker, "args have no isa-applesmc, and Kernel -> Add loads no VirtualSMC", "macOS does not start without a system management controller",
			"give VirtualSMC from "+homes[virtualSMC]+"/releases as a kernel extension, or isa-applesmc with your key in the VM's args", isoReadme)
	case on:
		if have, known := ParseVersion(k.Version); known && have.Before(need) {
			j.say("opencore.smc-version", proxstation.Warning, fmt.Sprintf("%s/Kexts/%s is version %s", folder, k.Path, k.Version), fmt.Sprintf("%s freezes with VirtualSMC before %s", j.machine.Release, need),
				"give a newer one from "+homes[virtualSMC]+"/releases as a kernel extension", "VirtualSMC Changelog")
		}
	}
}
