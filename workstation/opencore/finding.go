package opencore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Finding describes why an image and a VM do not work together: a fault of
// the image, or a fault of the VM.
type Finding struct {
	proxstation.Finding
	// Key is the key of config.plist that has the fault. It is nil if the fault
	// is in a file or in the VM.
	Key Key
	// Now is the key's present value. Want is the wanted value.
	Now, Want Value
	// Source is the document that states the rule.
	Source string
	// Changes holds the changes of config.plist that carry out Fix. It is empty
	// if changes of config.plist alone cannot remove the fault.
	Changes []Change
}

// The documents that state the rules.
const (
	manual       = "OpenCore Configuration 1.0.8"
	changelog    = "OpenCorePkg Changelog"
	wegFAQ       = "WhateverGreen FAQ.IntelHD"
	wegReadme    = "WhateverGreen README"
	wegChanges   = "WhateverGreen Changelog"
	liluChanges  = "Lilu Changelog"
	liluCPU      = "Lilu Sources/kern_cpu.cpp"
	liluDevices  = "Lilu Sources/kern_devinfo.cpp"
	appleModels  = "OpenCorePkg AppleModels"
	installGuide = "Dortania OpenCore Install Guide"
	postInstall  = "Dortania OpenCore Post-Install"
	buyersGuide  = "Dortania GPU Buyers Guide"
	igpuPassthru = "LongQT-sea intel-igpu-passthru macOS_README"
	isoReadme    = "LongQT-sea OpenCore-ISO README"
	darwinKVM    = "royalgraphx DarwinKVM"
)

// The vendor GUID of Apple's NVRAM variables.
const variables = "7C436110-AB2A-4BBB-A880-FE41995C9F82"

var bootArgs = Key{"NVRAM", "Add", variables, "boot-args"}

// A judge compares an image with a machine and collects findings.
type judge struct {
	image   Image
	machine Machine
	mode    Mode
	path    string
	found   []Finding
	misfits []misfit // values of a wrong type, which are not in image.Config

	drop []string // boot arguments to remove
	add  []string // boot arguments to add
}

// judgeOf returns a judge for an image. Values of a wrong type are taken out of
// the judge's copy of config.plist, because OpenCore leaves them out too.
func judgeOf(image Image) *judge {
	j := &judge{image: image}
	j.image.Config, j.misfits = configShape.fitting(image.Config, nil)
	return j
}

// Judge returns the faults of an image that keep macOS from starting in a VM,
// or from accelerating its card. The most serious findings come first.
func Judge(image Image, machine Machine) []Finding {
	j := judgeOf(image)
	j.machine, j.mode, j.path = machine, machine.Mode(), machine.Path()
	if !machine.Release.IsMacOS() {
		j.say("opencore.release", proxstation.Blocker, machine.Release.String(), "OpenCore images start macOS.", "Choose a release of macOS.", manual)
		return j.found
	}
	for _, rules := range []func(){j.judgeShape, j.judgeImage, j.judgeMac, j.judgeKexts, j.judgeSecurity, j.judgeProcessor, j.judgeCard, j.judgeNetwork, j.judgeNVRAM} {
		rules()
	}
	j.finishBootArgs()
	if machine.CardLater {
		j.lower()
	}
	for i, f := range j.found {
		j.found[i].Why, j.found[i].Fix = printable.Sentence(f.Why), printable.Sentence(f.Fix)
	}
	slices.SortStableFunc(j.found, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
	return j.found
}

// Turns some blockers into warnings: those that the VM only has because of its
// card.
func (j *judge) lower() {
	without := j.machine
	without.Card, without.CardLater = gpu.Card{}, false
	still := map[string]bool{}
	for _, f := range Judge(j.image, without) {
		still[f.ID] = still[f.ID] || f.Severity == proxstation.Blocker
	}
	for i, f := range j.found {
		if f.Severity == proxstation.Blocker && !still[f.ID] {
			j.found[i].Severity = proxstation.Warning
		}
	}
}

// Adds a finding that is not about a key of config.plist.
func (j *judge) say(id string, severity proxstation.Severity, seen, why, fix, source string) *Finding {
	j.found = append(j.found, Finding{Source: source, Finding: proxstation.Finding{
		ID: id, Severity: severity, Subject: "OpenCore for " + j.machine.Release.String(), Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)}})
	return &j.found[len(j.found)-1]
}

func (j *judge) get(key ...string) Value { return j.image.Config.Get(key...) }

// Adds a finding if the key does not have the wanted value.
func (j *judge) want(id string, severity proxstation.Severity, key Key, want Value, why, source string) {
	now := j.get(key...)
	if now.Equal(want) {
		return
	}
	fix := fmt.Sprintf("set %s to %s in %s", key, want, configFile)
	if want.Kind == Absent {
		fix = fmt.Sprintf("delete %s from %s", key, configFile)
	}
	f := j.say(id, severity, fmt.Sprintf("%s: %s is %s", configFile, key, now), why, fix, source)
	f.Key, f.Now, f.Want, f.Changes = key, now, want, []Change{{key, now, want}}
}

// Returns the boot arguments in config.plist. The value is a string, or data
// that holds the characters and may end with a zero byte.
func (j *judge) arguments() []string {
	v := j.get(bootArgs...)
	if v.Kind == Data {
		text, _, _ := strings.Cut(string(v.Bytes()), "\x00")
		return strings.Fields(text)
	}
	return strings.Fields(v.Text)
}

// Adds a finding about boot arguments. It wants the argument "drop" to be
// removed, or the argument "add" to be set. The other of the two is "".
func (j *judge) argument(id string, severity proxstation.Severity, drop, add, why, source string) {
	f := j.say(id, severity, fmt.Sprintf("%s: %s is %s", configFile, bootArgs, j.get(bootArgs...)), why, "", source)
	f.Key, f.Now = bootArgs, j.get(bootArgs...)
	if drop != "" && severity >= proxstation.Warning {
		j.drop = append(j.drop, drop)
	}
	if drop != "" {
		f.Fix = fmt.Sprintf("take %s out of %s in %s", drop, bootArgs, configFile)
	}
	if add != "" {
		j.add = append(j.add, add)
		f.Fix = fmt.Sprintf("add %s to %s in %s", add, bootArgs, configFile)
	}
}

// finishBootArgs sets the wanted value of all findings about boot arguments.
// They get the same value: it has all arguments to add, and none of the
// arguments to remove.
func (j *judge) finishBootArgs() {
	if len(j.drop)+len(j.add) == 0 {
		return
	}
	list := slices.DeleteFunc(j.arguments(), func(a string) bool { return slices.Contains(j.drop, a) })
	for _, a := range j.add {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	want := TextValue(strings.Join(list, " "))
	for i, f := range j.found {
		if f.Key.String() == bootArgs.String() && f.Severity >= proxstation.Warning {
			j.found[i].Want, j.found[i].Changes = want, []Change{{bootArgs, f.Now, want}}
		}
	}
}

// atLeast returns its first argument if macOS should drive a card. It returns
// its second argument if the VM has only a virtual display.
func (j *judge) atLeast(card, none proxstation.Severity) proxstation.Severity {
	if j.mode == NoCard {
		return none
	}
	return card
}
