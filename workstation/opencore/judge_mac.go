package opencore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

var generic = Key{"PlatformInfo", "Generic"}

func genericKey(name string) Key { return Key{generic[0], generic[1], name} }

// judgeMac judges which Mac model OpenCore presents to macOS.
func (j *judge) judgeMac() {
	j.want("opencore.platform-info", proxstation.Warning, Key{"PlatformInfo", "Automatic"}, BoolValue(true), "PlatformInfo -> Generic, with the Mac's model, has no effect without it", manual+", PlatformInfo")
	key, want := genericKey("SystemProductName"), TextValue(gpu.MacModel(j.machine.Release, j.machine.Card))
	now := j.get(key...)
	model, known := macs[now.Text]
	integrated := j.mode == Display || j.mode == Headless
	switch {
	case want.Text == "":
	case now.Text == "":
		j.want("opencore.model", proxstation.Blocker, key, want, "macOS starts only on a model that Apple gives it to", appleModels)
	case !known:
		j.want("opencore.model", proxstation.Warning, key, want, "the releases of macOS for Intel do not know this model", appleModels)
	case j.machine.Release < model.first || j.machine.Release > model.last:
		j.want("opencore.model", proxstation.Blocker, key, want, "Apple gives "+now.Text+" the releases from "+model.first.String()+" to "+model.last.String()+" only", appleModels)
	case integrated && !model.igpu:
		j.want("opencore.model", proxstation.Warning, key, want, now.Text+" has no integrated graphics, and macOS manages graphics by the model", installGuide+", extras/smbios-support")
	}
	if j.get(key...).Text == "MacPro7,1" {
		if _, there := j.kext("as.vit9696.RestrictEvents"); !there {
			j.say("opencore.mac-pro", proxstation.Info, configFile+": SystemProductName is MacPro7,1", "macOS warns of memory modules in wrong slots; this has no other effect",
				"give RestrictEvents from github.com/acidanthera/RestrictEvents/releases as a kernel extension, which stops the warning", "RestrictEvents README")
		}
	}
	j.judgeIdentity()
}

// The identities of OpenCore's Sample.plist and of the public images of
// KVM-Opencore and OSX-KVM. Each entry is the first half of an identity's
// SHA-256. Everybody who uses such an image has the same identity.
var published = []string{
	"9cecbb218a601676", "f4c028331c4fa6a5", "5d5a70a2d7887983", "12b9377cbe7e5c94",
	"bec8aaba48af1089", "e0858d49c856c66e", "3a96f58f7c9e1d27", "b31b86e514dc4155",
	"62505f34e729a6bb", "469d8c3cf6cf1b14", "1acea18e3f8587b0", "4fd67f8dc37d1598",
}

func isPublished(text string) bool {
	sum := sha256.Sum256([]byte(strings.ToUpper(text)))
	return slices.Contains(published, hex.EncodeToString(sum[:8]))
}

// An identityKey is a key of config.plist whose value differs from VM to VM.
type identityKey struct {
	name string
	kind Kind
	form *regexp.Regexp
	want string // the value's form in words
}

var identity = []identityKey{
	{"SystemSerialNumber", Text, regexp.MustCompile(`^[0-9A-Z]{10,12}$`), "12 letters and digits"},
	{"MLB", Text, regexp.MustCompile(`^[0-9A-Z]{13}([0-9A-Z]{4})?$`), "17 letters and digits"},
	{"SystemUUID", Text, regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`), "a UUID"},
	{"ROM", Data, regexp.MustCompile(`^[0-9A-F]{12}$`), "6 bytes of data"},
}

// judgeIdentity looks for serial numbers that are missing, malformed or
// published. No finding shows a serial number.
func (j *judge) judgeIdentity() {
	faults := []struct{ seen, why string }{
		{"missing", "macOS has no such number, and iMessage, FaceTime and the App Store refuse it"},
		{"of a published image or sample", "others have the same numbers: iMessage and FaceTime refuse them, and an Apple account may be locked"},
		{"not of the form that a Mac has", "OpenCore or macOS does not take it"},
	}
	found := make([][]string, len(faults))
	for _, id := range identity {
		switch now := j.get(genericKey(id.name)...); {
		case now.Kind == Absent || now.Text == "":
			found[0] = append(found[0], id.name)
		case isPublished(now.Text):
			found[1] = append(found[1], id.name)
		case now.Kind != id.kind || !id.form.MatchString(now.Text):
			found[2] = append(found[2], fmt.Sprintf("%s (a %s, want %s)", id.name, now.Kind, id.want))
		}
	}
	for i, names := range found {
		if len(names) > 0 {
			f := j.say("opencore.identity", proxstation.Warning, fmt.Sprintf("%s: %s -> %s: %s", configFile, generic, strings.Join(names, ", "), faults[i].seen), faults[i].why,
				"give an identity of your own, or have one made up; look the serial number up on checkcoverage.apple.com: it must be unknown there", postInstall+", universal/iservices")
			f.Key = generic
		}
	}
	rom := j.get(genericKey("ROM")...)
	if _, address := j.machine.network(); address != "" && rom.Kind == Data && rom.Text != strings.ToUpper(strings.ReplaceAll(address, ":", "")) && !isPublished(rom.Text) {
		f := j.say("opencore.rom", proxstation.Info, configFile+": ROM is not the address of net0", "on a Mac both are the same, and iMessage looks at it", "set ROM to the address of net0", postInstall+", universal/iservices")
		f.Key = genericKey("ROM")
	}
}
