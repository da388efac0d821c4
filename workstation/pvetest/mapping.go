package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// mapped returns the paths behind a mapping on this node, or PVE's words if
// there is none or the hardware is not what it was.
func (n *Node) mapped(id string) (paths []string, problem string) {
	m := n.mappings[id]
	if m != nil {
		for _, entry := range m.Map {
			if property(entry, "node") != n.host.Name {
				continue
			}
			if problem := n.drift(id, entry, m.MDev); problem != "" {
				return nil, "PCI device mapping invalid (hardware probably changed): " + problem
			}
			paths = append(paths, property(entry, "path"))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Sprintf("PCI device mapping not found for '%s'", id)
	}
	return paths, ""
}

// drift returns in what a device is not what its mapping says (pve-guest-common
// PVE/Mapping/PCI.pm, assert_valid).
func (n *Node) drift(id, entry string, mdev bool) string {
	for i, path := range strings.Split(property(entry, "path"), ";") {
		if !strings.Contains(path, ".") {
			path += ".0"
		}
		found := n.functions(path)
		if len(found) == 0 {
			return fmt.Sprintf("pci device '%s' not found", path)
		}
		for _, p := range n.properties(found[0], mdev) {
			if p.name == "iommugroup" && i > 0 {
				continue
			}
			have := property(entry, p.name)
			if p.name == "mdev" {
				have = p.have
			}
			switch have = strings.ReplaceAll(have, "0x", ""); {
			case have == p.want:
			case have == "":
				return fmt.Sprintf("missing expected property '%s' for device '%s'", p.name, path)
			case p.want == "":
				return fmt.Sprintf("unexpected property '%s' configured for device '%s'", p.name, path)
			default:
				return fmt.Sprintf("'%s' does not match for '%s' (%s != %s)", p.name, id, p.want, have)
			}
		}
	}
	return ""
}

type expected struct{ name, want, have string }

// properties returns what a mapping must say of a function, in the order in
// which PVE looks.
func (n *Node) properties(f PCI, mdev bool) []expected {
	group := ""
	if f.Group >= 0 && !n.host.NoIOMMU {
		group = text(f.Group)
	}
	return []expected{
		{name: "id", want: fmt.Sprintf("%04x:%04x", f.Vendor, f.Device)},
		{name: "iommugroup", want: group},
		{name: "mdev", want: text(bit(f.MDev)), have: text(bit(mdev))},
		{name: "subsystem-id", want: fmt.Sprintf("%04x:%04x", f.SubVendor, f.SubDevice)},
	}
}

// mappingDigest is the SHA-1 of the cluster's mapping configuration.
func (n *Node) mappingDigest() string {
	var file strings.Builder
	for _, id := range slices.Sorted(maps.Keys(n.mappings)) {
		fmt.Fprintf(&file, "%s %v\n%s\n", id, n.mappings[id].MDev, strings.Join(n.mappings[id].Map, "\n"))
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(file.String())))
}

func (n *Node) mappingObject(m *Mapping) map[string]any {
	object := map[string]any{"type": "pci", "map": m.Map, "digest": n.mappingDigest()}
	if m.MDev {
		object["mdev"] = 1
	}
	return object
}

func (n *Node) listMappings(c *call) answer {
	if node := c.get("check-node"); node != "" && node != "localhost" && node != n.host.Name {
		return fail(http.StatusInternalServerError, "wrong node to check - %s != %s", node, n.host.Name)
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(n.mappings)) {
		path := "/mapping/pci/" + id
		if !c.who.may(path, "Mapping.Modify") && !c.who.may(path, "Mapping.Use") && !c.who.may(path, "Mapping.Audit") {
			continue
		}
		object := n.mappingObject(n.mappings[id])
		object["id"] = id
		if c.has("check-node") {
			object["checks"] = n.checkMapping(n.mappings[id])
		}
		list = append(list, object)
	}
	return ok(list)
}

func (n *Node) checkMapping(m *Mapping) []map[string]any {
	checks, here := []map[string]any{}, 0
	for _, entry := range m.Map {
		if property(entry, "node") != n.host.Name {
			continue
		}
		here++
		if problem := n.drift(m.ID, entry, m.MDev); problem != "" {
			checks = append(checks, map[string]any{"severity": "error", "message": "Invalid configuration: " + problem + "\n"})
		}
	}
	if here == 0 {
		checks = append(checks, map[string]any{"severity": "warning", "message": fmt.Sprintf("No mapping for node %s.", n.host.Name)})
	}
	return checks
}

func (n *Node) getMapping(c *call) answer {
	m := n.mappings[c.get("id")]
	if m == nil {
		return fail(http.StatusInternalServerError, "mapping '%s' not found", c.get("id"))
	}
	return ok(n.mappingObject(m))
}

// createMapping does not look at the hardware: a wrong mapping is found when a
// VM starts with it.
func (n *Node) createMapping(c *call) answer {
	id := c.get("id")
	if n.mappings[id] != nil {
		return fail(http.StatusInternalServerError, "create hardware mapping failed: pci ID '%s' already defined", id)
	}
	if problems := badEntries(c.values["map"]); len(problems) > 0 {
		return invalid(problems)
	}
	n.mappings[id] = &Mapping{ID: id, Map: slices.Clone(c.values["map"]), MDev: c.get("mdev") == "1"}
	return ok(nil)
}

var mappingKey = regexp.MustCompile(`^(description=.*|id=[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}|iommugroup=\d+|` +
	`node=[a-zA-Z0-9-]+|path=([a-f0-9]{4,}:[a-f0-9]{2}:[a-f0-9]{2}(\.[a-f0-9])?;?)+|subsystem-id=[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4})$`)

// badEntries says what is wrong with entries as text.
func badEntries(entries []string) map[string]string {
	problems := map[string]string{}
	for i, entry := range entries {
		where := fmt.Sprintf("map[%d]", i)
		for field := range strings.SplitSeq(entry, ",") {
			if key, _, _ := strings.Cut(field, "="); !mappingKey.MatchString(field) {
				problems[where] = "invalid format - format error\n" + key + ": value does not match the regex pattern"
			}
		}
		for _, key := range []string{"id", "node", "path"} {
			if property(entry, key) == "" {
				problems[where] = "invalid format - format error\n" + key + ": property is missing and it is not optional"
			}
		}
	}
	return problems
}

func (n *Node) updateMapping(c *call) answer {
	m := n.mappings[c.get("id")]
	switch {
	case c.has("digest") && c.get("digest") != n.mappingDigest():
		return fail(http.StatusInternalServerError, "update hardware mapping failed: %s", modified)
	case m == nil:
		return fail(http.StatusInternalServerError, "update hardware mapping failed: pci ID '%s' does not exist", c.get("id"))
	case !c.has("map"):
		return fail(http.StatusInternalServerError, "missing value for required option 'map'")
	}
	if problems := badEntries(c.values["map"]); len(problems) > 0 {
		return invalid(problems)
	}
	m.Map = slices.Clone(c.values["map"])
	if c.has("mdev") {
		m.MDev = c.get("mdev") == "1"
	}
	return ok(nil)
}

func (n *Node) deleteMapping(c *call) answer {
	delete(n.mappings, c.get("id"))
	return ok(nil)
}
