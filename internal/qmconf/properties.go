package qmconf

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
)

// Properties is a PVE property string, such as "virtio=BC:24:11:00:00:01,
// bridge=vmbr0", in the order in which it was written. The values of some keys
// are not property strings. Such a value is a single property without a key.
type Properties []Property

// A Property is a part of a property string. If the part has no key in the
// string, Key is the default key of the format. If the whole value is a single
// text, Key is "".
type Property struct{ Key, Value string }

// defaultKeys holds the keys that property strings leave out (qemu-server
// PVE/QemuServer.pm, default_key of each format).
var defaultKeys = map[string]string{
	"agent": "enabled", "cpu": "cputype", "efidisk": "file", "hostpci": "host", "ide": "file", "machine": "type",
	"memory": "current", "net": "model", "rng": "source", "sata": "file", "scsi": "file", "startup": "order",
	"tpmstate": "file", "unused": "file", "usb": "host", "vga": "type", "virtio": "file", "virtiofs": "dirid", "watchdog": "model",
}

// structured holds the keys whose property strings have no default key.
var structured = map[string]bool{
	"audio": true, "boot": true, "cicustom": true, "ipconfig": true, "ivshmem": true, "numa": true, "smbios": true, "spice_enhancements": true,
}

// whole holds the keys whose property strings cannot be merged, because all
// parts belong together.
var whole = map[string]bool{"boot": true, "startup": true}

// netModels holds the network models. PVE also writes a model as a key whose
// value is the MAC address: "virtio=BC:24:11:00:00:01" (qemu-server
// PVE/QemuServer/Network.pm, $nic_model_list).
var netModels = []string{
	"e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b", "i82559er", "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3",
}

// Family returns a key without its number, such as "scsi" for "scsi0".
func Family(key string) string { return strings.TrimRight(key, "0123456789") }

// Parse splits the value of a configuration key into its properties.
func Parse(key, value string) Properties {
	fam := Family(key)
	byDefault, known := defaultKeys[fam]
	if (!known && !structured[fam]) || whole[fam] {
		return Properties{{"", value}}
	}
	var p Properties
	for field := range strings.SplitSeq(value, ",") {
		name, text, found := strings.Cut(field, "=")
		switch {
		case !found:
			name, text = byDefault, field
		case fam == "net" && slices.Contains(netModels, name):
			p, name = append(p, Property{"model", name}), "macaddr"
		}
		p = append(p, Property{name, text})
	}
	return p
}

// Normal returns "1" or "0" for any of PVE's spellings of a boolean, and any
// other value unchanged. Use the result only for comparisons: some values, such
// as the "on" in discard=on, look like booleans but are not.
func Normal(value string) string {
	switch value {
	case "yes", "on", "true":
		return "1"
	case "no", "off", "false":
		return "0"
	}
	return value
}

// equal reports whether two values of a property have the same meaning.
func equal(key, a, b string) bool {
	switch {
	case Normal(a) == Normal(b):
		return true
	case key == "sshkeys":
		return slices.Equal(SSHKeys(a), SSHKeys(b))
	case key == "vmgenid" && b == "1": // with 1, PVE makes a new ID, so any ID satisfies it
		return a != ""
	case Family(key) == "hostpci":
		one, errOne := gpu.ParseHostPCI(a)
		two, errTwo := gpu.ParseHostPCI(b)
		return errOne == nil && errTwo == nil && len(one.Devices) > 0 && slices.Equal(one.Devices, two.Devices)
	case Family(key) == "usb": // the numbers are hexadecimal, with or without 0x
		return USBDevice(a) == USBDevice(b)
	case key == "tags": // PVE sorts tags, and writes them in lower case (pve-guest-common PVE/GuestHelpers.pm)
		return slices.Equal(tags(a), tags(b))
	case key == "description":
		return strings.TrimRight(a, " \t\n") == strings.TrimRight(b, " \t\n")
	case key == "affinity":
		one, errOne := ParseCPUs(a)
		two, errTwo := ParseCPUs(b)
		return errOne == nil && errTwo == nil && slices.Equal(one, two)
	}
	return false
}

// USBDevice returns a USB device, or the name of a mapping, in a form for
// comparisons. Different spellings of a device get the same form.
func USBDevice(value string) string { return strings.ReplaceAll(strings.ToLower(value), "0x", "") }

// tags returns the tags of a list in order, each tag once.
func tags(list string) []string {
	fields := strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return strings.ContainsRune(",; ", r) })
	slices.Sort(fields)
	return slices.Compact(fields)
}

// Same reports whether two values of a key have the same properties with the
// same values. The order of the properties does not matter.
func Same(key, a, b string) bool {
	if IsSlot(key) {
		return SameDrive(a, b)
	}
	p, q := Parse(key, a), Parse(key, b)
	return len(p) == len(q) && !slices.ContainsFunc(p, func(have Property) bool {
		value, found := q.Get(have.Key)
		return !found || !equal(key, have.Value, value)
	})
}

// Get returns the value of a property, and whether the string has it.
func (p Properties) Get(key string) (string, bool) {
	for _, have := range p {
		if have.Key == key {
			return have.Value, true
		}
	}
	return "", false
}

// Set returns the properties with a new value for one property. If the property
// is missing, it is added at the end.
func (p Properties) Set(key, value string) Properties {
	for i := range p {
		if p[i].Key == key {
			p[i].Value = value
			return p
		}
	}
	return append(p, Property{key, value})
}

// Drop returns the properties without the property of this key.
func (p Properties) Drop(key string) Properties {
	return slices.DeleteFunc(p, func(have Property) bool { return have.Key == key })
}

// Text writes the properties as PVE does: the value of the default key first.
func (p Properties) Text(key string) string {
	byDefault := defaultKeys[Family(key)]
	var fields []string
	for _, have := range p {
		field := have.Key + "=" + have.Value
		if have.Key == byDefault || have.Key == "" {
			field = have.Value
		}
		if have.Key == byDefault {
			fields = slices.Insert(fields, 0, field)
		} else {
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ",")
}

// exclusive holds pairs of properties that replace each other, because a
// hostpci or usb value names either an address of the host or a resource
// mapping.
var exclusive = map[string]string{"host": "mapping", "mapping": "host"}

// PinsMachine compares two machine types. It reports whether have is a pinned
// version of want. For Windows guests, PVE pins q35 to a version such as
// pc-q35-10.1.
func PinsMachine(key, have, want string) bool {
	return key == "machine" && (want == "q35" && strings.HasPrefix(have, "pc-q35-") || want == "pc" && strings.HasPrefix(have, "pc-i440fx-"))
}

// Merge merges two values of a key. The result has all settings in want, and
// the settings in have that want does not replace. If have already contains the
// settings in want, Merge returns have and true.
func Merge(key, have, want string) (merged string, ok bool) {
	if key == "args" {
		return MergeArgs(have, want)
	}
	p, changed := Parse(key, have), false
	for _, w := range Parse(key, want) {
		if have != "" && w.Key == "format" && IsSlot(key) {
			continue // PVE does not keep this property of a new volume
		}
		if value, found := p.Get(w.Key); found && (equal(key, value, w.Value) || PinsMachine(key, value, w.Value)) {
			continue
		}
		changed = true
		switch fam := Family(key); {
		case fam == "hostpci", fam == "usb":
			p = p.Drop(exclusive[w.Key])
		case w.Key == "file":
			p = p.Drop("size") // the size belongs to the old volume
		}
		p = p.Set(w.Key, w.Value)
	}
	if !changed {
		return have, true
	}
	return p.Text(key), false
}
