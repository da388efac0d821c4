package workstation

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
)

// properties is a PVE property string, such as "virtio=BC:24:11:00:00:01,
// bridge=vmbr0", in the order it was written. Configuration keys that are no
// property strings are one property without a key.
type properties []property

type property struct{ key, value string }

// defaultKeys names the key that a property string leaves out (qemu-server
// PVE/QemuServer.pm, default_key of each format).
var defaultKeys = map[string]string{
	"agent": "enabled", "cpu": "cputype", "efidisk": "file", "hostpci": "host", "ide": "file", "machine": "type",
	"memory": "current", "net": "model", "rng": "source", "sata": "file", "scsi": "file", "startup": "order",
	"tpmstate": "file", "unused": "file", "usb": "host", "vga": "type", "virtio": "file", "watchdog": "model",
}

// structured names property strings that have no default key.
var structured = map[string]bool{
	"audio": true, "boot": true, "cicustom": true, "ipconfig": true, "ivshmem": true, "numa": true, "smbios": true, "spice_enhancements": true,
}

// whole names keys whose property string says one thing that cannot be merged.
var whole = map[string]bool{"boot": true, "startup": true}

// netModels are network models, which PVE also writes as a key whose value is
// the MAC address: "virtio=BC:24:11:00:00:01" (qemu-server
// PVE/QemuServer/Network.pm, $nic_model_list).
var netModels = []string{
	"e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b", "i82559er", "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3",
}

// family returns a key without its number: "scsi" for "scsi0".
func family(key string) string { return strings.TrimRight(key, "0123456789") }

func parseProperties(key, value string) properties {
	fam := family(key)
	byDefault, known := defaultKeys[fam]
	if (!known && !structured[fam]) || whole[fam] {
		return properties{{"", value}}
	}
	var p properties
	for field := range strings.SplitSeq(value, ",") {
		name, text, found := strings.Cut(field, "=")
		switch {
		case !found:
			name, text = byDefault, field
		case fam == "net" && slices.Contains(netModels, name):
			p, name = append(p, property{"model", name}), "macaddr"
		}
		p = append(p, property{name, text})
	}
	return p
}

// normal gives PVE's spellings of a boolean one form, to compare them. What is
// written keeps its own: discard=on is no boolean.
func normal(value string) string {
	switch value {
	case "yes", "on", "true":
		return "1"
	case "no", "off", "false":
		return "0"
	}
	return value
}

// equal reports whether two values of a property say the same.
func equal(key, a, b string) bool {
	switch {
	case normal(a) == normal(b):
		return true
	case key == "sshkeys":
		return slices.Equal(sshKeys(a), sshKeys(b))
	case key == "vmgenid" && b == "1": // "make one", of which PVE makes another each time
		return a != ""
	case family(key) == "hostpci":
		one, errOne := gpu.ParseHostPCI(a)
		two, errTwo := gpu.ParseHostPCI(b)
		return errOne == nil && errTwo == nil && len(one.Devices) > 0 && slices.Equal(one.Devices, two.Devices)
	case key == "tags": // which PVE sorts, and writes in lower case (pve-guest-common PVE/GuestHelpers.pm)
		return slices.Equal(tags(a), tags(b))
	case key == "description":
		return strings.TrimRight(a, " \t\n") == strings.TrimRight(b, " \t\n")
	case key == "affinity":
		one, errOne := parseCPUs(a)
		two, errTwo := parseCPUs(b)
		return errOne == nil && errTwo == nil && slices.Equal(one, two)
	}
	return false
}

// tags returns the tags of a list, each once, in order.
func tags(list string) []string {
	fields := strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return strings.ContainsRune(",; ", r) })
	slices.Sort(fields)
	return slices.Compact(fields)
}

// sameValue reports whether two values of a key say the same, with nothing
// beside it in either.
func sameValue(key, a, b string) bool {
	if slotFormat.MatchString(key) {
		return sameDrive(a, b)
	}
	p, q := parseProperties(key, a), parseProperties(key, b)
	return len(p) == len(q) && !slices.ContainsFunc(p, func(have property) bool {
		value, found := q.get(have.key)
		return !found || !equal(key, have.value, value)
	})
}

func (p properties) get(key string) (string, bool) {
	for _, have := range p {
		if have.key == key {
			return have.value, true
		}
	}
	return "", false
}

func (p properties) set(key, value string) properties {
	for i := range p {
		if p[i].key == key {
			p[i].value = value
			return p
		}
	}
	return append(p, property{key, value})
}

func (p properties) drop(key string) properties {
	return slices.DeleteFunc(p, func(have property) bool { return have.key == key })
}

// text writes the properties as PVE does, the default key's value first.
func (p properties) text(key string) string {
	byDefault := defaultKeys[family(key)]
	var fields []string
	for _, have := range p {
		field := have.key + "=" + have.value
		if have.key == byDefault || have.key == "" {
			field = have.value
		}
		if have.key == byDefault {
			fields = slices.Insert(fields, 0, field)
		} else {
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ",")
}

// exclusive names properties of which one replaces the other: the host's own
// address and a resource mapping say the same of a hostpci and a usb value.
var exclusive = map[string]string{"host": "mapping", "mapping": "host"}

// pinned reports whether a machine type is a version of the wanted one: PVE
// pins q35 to pc-q35-10.1 for Windows guests.
func pinned(key, have, want string) bool {
	return key == "machine" && (want == "q35" && strings.HasPrefix(have, "pc-q35-") || want == "pc" && strings.HasPrefix(have, "pc-i440fx-"))
}

// mergeValue returns what a key's value must become so that it says what want
// says and keeps what it says beside it. ok is true if it says so already.
func mergeValue(key, have, want string) (merged string, ok bool) {
	if key == "args" {
		return mergeArgs(have, want)
	}
	p, changed := parseProperties(key, have), false
	for _, w := range parseProperties(key, want) {
		if have != "" && w.key == "format" && slotFormat.MatchString(key) {
			continue // of a new volume, which PVE does not keep
		}
		if value, found := p.get(w.key); found && (equal(key, value, w.value) || pinned(key, value, w.value)) {
			continue
		}
		changed = true
		switch fam := family(key); {
		case fam == "hostpci", fam == "usb":
			p = p.drop(exclusive[w.key])
		case w.key == "file":
			p = p.drop("size") // of the volume that was there
		}
		p = p.set(w.key, w.value)
	}
	if !changed {
		return have, true
	}
	return p.text(key), false
}
