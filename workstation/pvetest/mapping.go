package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// mappingDigest is the SHA-1 of the cluster's mapping configuration.
func (n *Node) mappingDigest() string {
	var file strings.Builder
	for _, id := range slices.Sorted(maps.Keys(n.mappings)) {
		fmt.Fprintf(&file, "%s\n%s\n", id, strings.Join(n.mappings[id].Map, "\n"))
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(file.String())))
}

func (n *Node) mappingObject(m *Mapping) map[string]any {
	object := map[string]any{"id": m.ID, "type": "pci", "map": m.Map, "digest": n.mappingDigest()}
	if m.MDev {
		object["mdev"] = 1
	}
	return object
}

func (n *Node) listMappings(c *call) answer {
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(n.mappings)) {
		path := "/mapping/pci/" + id
		if !c.who.may(path, "Mapping.Modify") && !c.who.may(path, "Mapping.Use") && !c.who.may(path, "Mapping.Audit") {
			continue
		}
		object := n.mappingObject(n.mappings[id])
		if c.has("check-node") {
			object["checks"] = []map[string]any{}
			if _, problem := n.mapped(id); problem != "" {
				object["checks"] = []map[string]any{{"severity": "error", "message": problem}}
			}
		}
		list = append(list, object)
	}
	return ok(list)
}

func (n *Node) mappingOf(c *call) (*Mapping, answer) {
	m := n.mappings[c.get("id")]
	if m == nil {
		return nil, fail(http.StatusInternalServerError, "mapping '%s' not found", c.get("id"))
	}
	return m, answer{}
}

func (n *Node) getMapping(c *call) answer {
	m, refused := n.mappingOf(c)
	if m == nil {
		return refused
	}
	return ok(n.mappingObject(m))
}

func (n *Node) createMapping(c *call) answer {
	id := c.get("id")
	if n.mappings[id] != nil {
		return fail(http.StatusInternalServerError, "pci ID '%s' already defined", id)
	}
	for _, entry := range c.values["map"] {
		if problem := n.badEntry(id, entry, c.get("mdev") == "1"); problem != "" {
			return fail(http.StatusInternalServerError, "create PCI mapping failed: %s", problem)
		}
	}
	n.mappings[id] = &Mapping{ID: id, Map: slices.Clone(c.values["map"]), MDev: c.get("mdev") == "1"}
	return ok(nil)
}

// badEntry says what is wrong with an entry that is about to be written.
func (n *Node) badEntry(id, entry string, mdev bool) string {
	for _, key := range []string{"node", "path", "id"} {
		if property(entry, key) == "" {
			return fmt.Sprintf("format error\n%s: property is missing and it is not optional", key)
		}
	}
	if property(entry, "node") != n.host.Name {
		return ""
	}
	return n.drift(id, entry, mdev)
}

func (n *Node) updateMapping(c *call) answer {
	m, refused := n.mappingOf(c)
	if m == nil {
		return refused
	}
	if c.has("digest") && c.get("digest") != n.mappingDigest() {
		return fail(http.StatusInternalServerError, "detected modified configuration - file changed by other user? Try again.")
	}
	for _, entry := range c.values["map"] {
		if problem := n.badEntry(m.ID, entry, m.MDev); problem != "" {
			return fail(http.StatusInternalServerError, "update PCI mapping failed: %s", problem)
		}
	}
	if c.has("map") {
		m.Map = slices.Clone(c.values["map"])
	}
	return ok(nil)
}

func (n *Node) deleteMapping(c *call) answer {
	delete(n.mappings, c.get("id"))
	return ok(nil)
}
