package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The method "mapped" returns the paths that a mapping has on this node. If
// there is no such mapping, or if the hardware differs from the mapping, the
// error has PVE's words.
func (h *hardware) mapped(id string) (paths []string, err error) {
	m := h.mappings[id]
	if m != nil {
		for _, entry := range m.Map {
			if property(entry, "node") != h.host.Name {
				continue
			}
			if err := h.drift(id, entry, m.MDev); err != nil {
				return nil, refuse("PCI device mapping invalid (hardware probably changed): %v", err)
			}
			paths = append(paths, property(entry, "path"))
		}
	}
	if len(paths) == 0 {
		return nil, refuse("PCI device mapping not found for '%s'", id)
	}
	return paths, nil
}

// The method "drift" returns an error if a device differs from its entry in a
// mapping (pve-guest-common PVE/Mapping/PCI.pm, assert_valid).
func (h *hardware) drift(id, entry string, mdev bool) error {
	for i, path := range strings.Split(property(entry, "path"), ";") {
		if !strings.Contains(path, ".") {
			path += ".0"
		}
		found := h.functions(path)
		if len(found) == 0 {
			return refuse("pci device '%s' not found", path)
		}
		for _, p := range h.properties(found[0], mdev) {
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
				return refuse("missing expected property '%s' for device '%s'", p.name, path)
			case p.want == "":
				return refuse("unexpected property '%s' configured for device '%s'", p.name, path)
			default:
				return refuse("'%s' does not match for '%s' (%s != %s)", p.name, id, p.want, have)
			}
		}
	}
	return nil
}

type expected struct{ name, want, have string }

// The method "properties" returns the properties that PVE compares between a
// function and its entry in a mapping, in PVE's order. The values must be
// equal.
func (h *hardware) properties(f PCI, mdev bool) []expected {
	group := ""
	if f.Group >= 0 && !h.host.NoIOMMU {
		group = text(f.Group)
	}
	return []expected{
		{name: "id", want: fmt.Sprintf("%04x:%04x", f.Vendor, f.Device)},
		{name: "iommugroup", want: group},
		{name: "mdev", want: text(bit(f.MDev)), have: text(bit(mdev))},
		{name: "subsystem-id", want: fmt.Sprintf("%04x:%04x", f.SubVendor, f.SubDevice)},
	}
}

// mappingDigest returns the SHA-1 of the cluster's mapping configuration.
func (h *hardware) mappingDigest() string {
	var file strings.Builder
	for _, id := range slices.Sorted(maps.Keys(h.mappings)) {
		m := h.mappings[id]
		fmt.Fprintf(&file, "%s %v %v %q\n%s\n", id, m.MDev, m.LiveMigration, m.Description, strings.Join(m.Map, "\n"))
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(file.String())))
}

func (h *hardware) mappingObject(m *Mapping) map[string]any {
	object := map[string]any{"type": "pci", "map": m.Map, "digest": h.mappingDigest()}
	if m.MDev {
		object["mdev"] = 1
	}
	if m.LiveMigration {
		object["live-migration-capable"] = 1
	}
	if m.Description != "" {
		object["description"] = m.Description
	}
	return object
}

func (h *hardware) listMappings(c *call) (any, error) {
	if node := c.get("check-node"); node != "" && node != "localhost" && node != h.host.Name {
		return nil, refuse("wrong node to check - %s != %s", node, h.host.Name)
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(h.mappings)) {
		path := "/mapping/pci/" + id
		if !c.who.may(path, "Mapping.Modify") && !c.who.may(path, "Mapping.Use") && !c.who.may(path, "Mapping.Audit") {
			continue
		}
		object := h.mappingObject(h.mappings[id])
		object["id"] = id
		if c.has("check-node") {
			object["checks"] = h.checkMapping(h.mappings[id])
		}
		list = append(list, object)
	}
	return h.anyOrder(list), nil
}

func (h *hardware) checkMapping(m *Mapping) []map[string]any {
	checks, here := []map[string]any{}, 0
	for _, entry := range m.Map {
		if property(entry, "node") != h.host.Name {
			continue
		}
		here++
		if err := h.drift(m.ID, entry, m.MDev); err != nil {
			checks = append(checks, map[string]any{"severity": "error", "message": "Invalid configuration: " + err.Error() + "\n"})
		}
	}
	if here == 0 {
		checks = append(checks, map[string]any{"severity": "warning", "message": fmt.Sprintf("No mapping for node %s.", h.host.Name)})
	}
	return checks
}

func (h *hardware) getMapping(c *call) (any, error) {
	m := h.mappings[c.get("id")]
	if m == nil {
		return nil, refuse("mapping '%s' not found", c.get("id"))
	}
	return h.mappingObject(m), nil
}

// createMapping serves POST cluster/mapping/pci. It does not check the mapping
// against the hardware. A wrong mapping is noticed only when a VM starts with
// it.
func (h *hardware) createMapping(c *call) (any, error) {
	id := c.get("id")
	if h.mappings[id] != nil {
		return nil, refuse("create hardware mapping failed: pci ID '%s' already defined", id)
	}
	h.mappings[id] = &Mapping{ID: id}
	h.mappings[id].take(c)
	return null()
}

// The method "take" copies the call's parameters into the fields of a mapping.
func (m *Mapping) take(c *call) {
	m.Map = slices.Clone(c.values["map"])
	if c.has("mdev") {
		m.MDev = c.get("mdev") == "1"
	}
	if c.has("live-migration-capable") {
		m.LiveMigration = c.get("live-migration-capable") == "1"
	}
	if c.has("description") {
		m.Description = c.get("description")
	}
}

// updateMapping serves PUT cluster/mapping/pci/{id}. PVE requires the parameter
// map even if the caller changes only other fields.
func (h *hardware) updateMapping(c *call) (any, error) {
	const failed = "update hardware mapping failed: "
	m := h.mappings[c.get("id")]
	switch {
	case c.has("digest") && c.get("digest") != h.mappingDigest():
		return nil, refuse(failed + modified)
	case m == nil:
		return nil, refuse(failed+"pci ID '%s' does not exist", c.get("id"))
	case !c.has("map"):
		return nil, refuse(failed + "missing value for required option 'map'")
	}
	for _, key := range pveschema.SplitList(c.get("delete")) {
		switch {
		case c.has(key):
			return nil, refuse(failed+"cannot set and delete property '%s' at the same time!", key)
		case key == "map":
			return nil, refuse(failed + "unable to delete required option 'map'")
		case key == "mdev":
			m.MDev = false
		case key == "live-migration-capable":
			m.LiveMigration = false
		case key == "description":
			m.Description = ""
		default:
			return nil, refuse(failed+"no such option '%s'", key)
		}
	}
	m.take(c)
	return null()
}

func (h *hardware) deleteMapping(c *call) (any, error) {
	delete(h.mappings, c.get("id"))
	return null()
}
