package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// switches lists the boolean keys of storage.cfg. PVE sends their values as
// numbers.
var switches = []string{"sparse", "shared", "disable", "saferemove", "tagged_only", "mkdir", "is_mountpoint", "snapshot-as-volume-chain", "nocow", "krbd"}

func (s *storage) configObject() map[string]any {
	object := map[string]any{"storage": s.Name, "type": s.Type, "content": s.Content, "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}
	for key, value := range s.Config {
		object[key] = value
		if slices.Contains(switches, key) {
			object[key] = atoi(value, 0)
		}
	}
	if s.Shared {
		object["shared"] = 1
	}
	return object
}

// storageConfigs serves GET /storage. It lists the entries of storage.cfg that
// the caller may see.
func (st *store) storageConfigs(c *call) (any, error) {
	list := []map[string]any{}
	for _, name := range sorted(st.storages) {
		if s := st.storages[name]; c.who.maySee(name) && (!c.has("type") || c.get("type") == s.Type) {
			list = append(list, s.configObject())
		}
	}
	return st.anyOrder(list), nil
}

func (st *store) storageConfig(c *call) (any, error) {
	s, err := st.find(c.get("storage"))
	if err != nil {
		return nil, err
	}
	return s.configObject(), nil
}

func (s *storage) object() map[string]any {
	object := map[string]any{"storage": s.Name, "type": s.Type, "content": s.Content, "enabled": bit(!s.elsewhere()), "active": bit(!s.inactive && !s.elsewhere()), "shared": bit(s.Shared)}
	if !s.inactive && !s.elsewhere() {
		object["total"], object["used"], object["avail"] = s.Total, s.used(), s.Total-s.used()
		object["used_fraction"] = float64(s.used()) / float64(max(s.Total, 1))
	}
	return object
}

func (st *store) listStorages(c *call) (any, error) {
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(st.storages)) {
		s := st.storages[name]
		wanted := !c.has("content") || slices.ContainsFunc(strings.Split(c.get("content"), ","), s.holds)
		if c.who.maySee(name) && wanted && (!c.has("storage") || c.get("storage") == name) {
			list = append(list, s.object())
		}
	}
	return st.anyOrder(list), nil
}

func (st *store) storageStatus(c *call) (any, error) {
	s := st.storages[c.get("storage")]
	if s == nil {
		return nil, wrong("storage", "No such storage.")
	}
	object := s.object()
	delete(object, "storage")
	delete(object, "used_fraction")
	return object, nil
}
