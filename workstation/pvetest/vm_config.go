package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// getConfig serves GET config. The answer includes pending changes, unless the
// caller asks for the current values. Numbers are sent as numbers, and all
// other values as text.
func (n *Node) getConfig(c *call, v *vm) (any, error) {
	config := v.next()
	switch name := c.get("snapshot"); {
	case name != "" && c.get("current") == "1":
		const both = "cannot use 'snapshot' parameter with 'current'"
		return nil, invalid(map[string]string{"snapshot": both, "current": both})
	case name != "":
		i := slices.IndexFunc(v.snaps, func(s snapshot) bool { return s.name == name })
		if i < 0 {
			return nil, refuse("snapshot '%s' does not exist", name)
		}
		config = v.snaps[i].config
	case c.get("current") == "1":
		config = v.config
	default:
		for key := range v.drop { // PVE hides only values that are true in Perl (PVE/AbstractConfig.pm, load_current_config)
			if v.config[key] == "0" {
				config[key] = "0"
			}
		}
	}
	object := map[string]any{"digest": v.digest()}
	for key, value := range config {
		object[key] = typed(key, value)
	}
	return object, nil
}

// The function "typed" returns a value in the form in which PVE sends it.
// Integers and booleans become numbers, and all other values text. A password
// is hidden. White space at the end of a description is removed.
func typed(key, value string) any {
	switch {
	case key == "cipassword":
		return "**********"
	case key == "description":
		return strings.TrimRight(value, " \t\r\n")
	}
	if p := pveschema.Key(key); p != nil && (p.Kind == pveschema.Integer || p.Kind == pveschema.Boolean) {
		if n, err := strconv.Atoi(value); err == nil {
			return n
		}
	}
	return value
}

// The function "exists" reports whether a key is allowed in a configuration.
func exists(key string) bool { return pveschema.Key(key) != nil }

// The variable "steering" lists the parameters of a change that are not keys of
// the configuration.
var steering = []string{
	"node", "vmid", "digest", "delete", "revert", "skiplock", "force", "background_delay", "import-working-storage",
	"pool", "start", "storage", "unique", "archive", "bwlimit", "live-restore", "ha-managed",
}

// The method "settings" returns those parameters of a call that are also keys
// of a configuration.
func (c *call) settings() map[string]string {
	settings := map[string]string{}
	for name := range c.values {
		if !slices.Contains(steering, name) {
			settings[name] = c.get(name)
		}
	}
	return settings
}

func (n *Node) getPending(_ *call, v *vm) (any, error) {
	list := []map[string]any{{"key": "digest", "value": v.digest()}}
	keys := slices.Concat(slices.Collect(maps.Keys(v.config)), slices.Collect(maps.Keys(v.pending)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		entry := map[string]any{"key": key}
		if value, there := v.config[key]; there {
			entry["value"] = typed(key, value)
		}
		if value, there := v.pending[key]; there {
			entry["pending"] = typed(key, value)
		}
		if force, dropped := v.drop[key]; dropped {
			entry["delete"] = 1 + bit(force)
		}
		list = append(list, entry)
	}
	return n.anyOrder(list), nil
}

// The method "network" converts the value of a network card to PVE's form,
// which begins with the model and the MAC address.
func (n *Node) network(value string) string {
	keys, err := pveschema.ParseProperties("@net[n]", value)
	if err != nil {
		return value
	}
	mac := cmp.Or(keys["macaddr"], fmt.Sprintf("BC:24:11:%02X:%02X:%02X", n.random.IntN(256), n.random.IntN(256), n.random.IntN(256)))
	fields := []string{keys["model"] + "=" + mac}
	for _, key := range sorted(keys) {
		if key != "model" && key != "macaddr" {
			fields = append(fields, key+"="+keys[key])
		}
	}
	return strings.Join(fields, ",")
}

// The function "tags" converts a list of tags to PVE's form: in lower case,
// sorted, without duplicates.
func tags(value string) string {
	list := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return strings.ContainsRune(" ,;", r) })
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ";")
}

// The method "pinned" returns the machine type for a guest. PVE pins the
// version for a Windows guest, so that its hardware does not change with an
// upgrade.
func (n *Node) pinned(machine, ostype string) string {
	kind, options, more := strings.Cut(machine, ",")
	if !strings.HasPrefix(ostype, "w") {
		return machine
	}
	version := n.qemu()[:strings.LastIndex(n.qemu(), ".")]
	switch kind {
	case "", "pc":
		kind = "pc-i440fx-" + version
	case "q35":
		kind = "pc-q35-" + version
	}
	if more {
		kind += "," + options
	}
	return kind
}

// A change is a requested change of a VM's configuration.
type change struct {
	set    map[string]string
	remove []string
	revert []string // keys whose pending changes are dropped
	force  bool     // whether removed disks are destroyed instead of kept as unused
}

// String returns the change in the form of PVE's log.
func (ch change) String() string {
	var fields []string
	if len(ch.remove) > 0 {
		fields = append(fields, "-delete "+strings.Join(ch.remove, ","))
	}
	for _, key := range sorted(ch.set) {
		value := ch.set[key]
		if key == "cipassword" {
			value = "<hidden>"
		}
		fields = append(fields, fmt.Sprintf("-%s %s", key, value))
	}
	return strings.Join(fields, " ")
}
