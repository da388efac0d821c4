package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// steering are parameters of a change that are no keys of the configuration.
var steering = []string{
	"node", "vmid", "digest", "delete", "revert", "skiplock", "force", "background_delay", "import-working-storage",
	"pool", "start", "storage", "unique", "archive", "bwlimit", "live-restore", "ha-managed",
}

func (c *call) keys() map[string]string {
	keys := map[string]string{}
	for name := range c.values {
		if !slices.Contains(steering, name) {
			keys[name] = c.get(name)
		}
	}
	return keys
}

// getConfig is GET config: numbers are numbers, the rest is text, and what
// waits for the next start is in force unless current is asked for.
func (n *Node) getConfig(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	config := v.next()
	if c.get("current") == "1" {
		config = v.config
	}
	object := map[string]any{"digest": v.digest()}
	for key, value := range config {
		object[key] = typed(key, value)
	}
	return ok(object)
}

// typed gives a value the JSON type that PVE sends: integers and booleans as
// numbers, everything else as text.
func typed(key, value string) any {
	if kinds()[strings.TrimRight(key, "0123456789")] || kinds()[key] {
		if n, err := strconv.Atoi(value); err == nil {
			return n
		}
	}
	return value
}

// kinds holds the configuration keys that are integers or booleans.
func kinds() map[string]bool {
	numeric := map[string]bool{}
	endpoint, _, _ := pveschema.Lookup(http.MethodPost, "/nodes/pve/qemu")
	for _, p := range endpoint.Params {
		numeric[p.Name] = p.Kind == pveschema.Integer || p.Kind == pveschema.Boolean
	}
	return numeric
}

func (n *Node) getPending(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
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
		if v.drop[key] {
			entry["delete"] = 1
		}
		list = append(list, entry)
	}
	return ok(list)
}

// A change is a wanted change of a VM's configuration.
type change struct {
	set    map[string]string
	remove []string
	force  bool // destroy disks that are removed instead of keeping them unused
}

// putConfig is PUT and POST config. Everything that can be refused is refused
// before anything changes; POST then does the work in a task.
func (n *Node) putConfig(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	ch := change{set: c.keys(), force: c.get("force") == "1"}
	for key := range strings.FieldsFuncSeq(c.get("delete"), func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
		ch.remove = append(ch.remove, key)
	}
	if a, allowed := n.mayChange(c, v.id, ch); !allowed {
		return a
	}
	for _, key := range ch.remove {
		if _, both := ch.set[key]; both {
			return invalid(map[string]string{"delete": fmt.Sprintf("duplicate parameter: '-%s' and '-delete %s'", key, key)})
		}
	}
	if c.has("digest") && c.get("digest") != v.digest() {
		return fail(http.StatusInternalServerError, "detected modified configuration - file changed by other user? Try again.")
	}
	if problem := cmp.Or(n.held(v, nil), locked(v)); problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem)
	}
	if len(ch.set)+len(ch.remove) == 0 {
		return invalid(map[string]string{"": "no options specified"})
	}
	if c.endpoint.Method == http.MethodPut {
		if problem := n.change(v, ch); problem != "" {
			return fail(http.StatusInternalServerError, "%s", problem)
		}
		return ok(nil)
	}
	t := n.begin("qmconfig", text(v.id), c.who.user)
	t.say("update VM %d: %s", v.id, strings.Join(sorted(ch.set), " "))
	return n.run(t, n.taskTime(), func() string { return n.change(v, ch) })
}

// change changes a configuration: all of it, or nothing.
func (n *Node) change(v *vm, ch change) string {
	made := map[string]string{}
	for _, key := range sorted(ch.set) {
		value, problem := n.value(v, key, ch.set[key])
		if problem != "" {
			for other, volume := range made {
				if parseDrive(ch.set[other]).volume != parseDrive(volume).volume {
					n.free(parseDrive(volume).volume)
				}
			}
			return problem
		}
		made[key] = value
	}
	for _, key := range ch.remove {
		n.remove(v, key, ch.force)
	}
	for key, value := range made {
		n.put(v, key, value)
	}
	return ""
}

// value returns what becomes of a value when PVE writes it: disks allocated,
// missing MAC addresses made up.
func (n *Node) value(v *vm, key, value string) (string, string) {
	switch {
	case isDrive(key):
		return n.driveValue(v, key, value)
	case strings.HasPrefix(key, "net"):
		return n.network(value), ""
	case key == "hookscript":
		if s, name, ok := n.volume(value); !ok || s == nil || !strings.HasPrefix(name, "snippets/") {
			return "", fmt.Sprintf("unable to parse volume ID '%s'", value)
		}
	}
	return value, ""
}

// network writes a network value as PVE does: the model with its MAC address
// first.
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

// fast are keys that take effect at once in a running VM (qemu-server
// PVE/QemuServer.pm, $fast_plug_option).
var fast = []string{"description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection",
	"shares", "startup", "tags", "template", "vmstatestorage"}

// immediate reports whether a change of a key takes effect at once.
func (v *vm) immediate(key string) bool {
	stem := strings.TrimRight(key, "0123456789")
	_, there := v.config[key]
	switch {
	case !v.running || slices.Contains(fast, key) || stem == "unused" || stem == "net":
		return true
	case stem == "scsi" || stem == "virtio":
		return !there // hot-plugged; changes of its options wait
	}
	return false
}

func (n *Node) put(v *vm, key, value string) {
	old := v.next()[key]
	delete(v.drop, key)
	if v.immediate(key) {
		v.config[key] = value
		delete(v.pending, key)
	} else if v.config[key] == value {
		delete(v.pending, key)
	} else {
		v.pending[key] = value
	}
	if isDrive(key) && old != "" && parseDrive(old).volume != parseDrive(value).volume {
		n.setAside(v, parseDrive(old))
	}
}

// remove takes a key out. A disk that goes is kept as unused, an unused disk
// is destroyed.
func (n *Node) remove(v *vm, key string, force bool) {
	value, there := v.next()[key]
	if !there {
		return
	}
	delete(v.pending, key)
	if v.immediate(key) || (v.running && isDrive(key) && (strings.HasPrefix(key, "scsi") || strings.HasPrefix(key, "virtio"))) {
		delete(v.config, key)
	} else if _, inForce := v.config[key]; inForce {
		v.drop[key] = true
		return
	}
	switch d := parseDrive(value); {
	case strings.HasPrefix(key, "unused"), isDrive(key) && force && d.media() != "cdrom":
		n.free(d.volume)
	case isDrive(key):
		n.setAside(v, d)
	}
}

// setAside keeps a disk that is no longer attached as unusedN.
func (n *Node) setAside(v *vm, d drive) {
	if d.media() == "cdrom" || d.volume == "none" || d.volume == "" {
		return
	}
	for i := range 256 {
		key := "unused" + text(i)
		if _, taken := v.config[key]; !taken {
			v.config[key] = d.volume
			return
		}
	}
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
