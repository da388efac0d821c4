package pvetest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// steeringStorage lists the parameters that the method "take" does not copy
// unchanged into Config. It stores them in another way, or does not store them.
var steeringStorage = []string{"storage", "type", "content", "shared", "delete", "digest", "disable", "nodes", "password", "username"}

// neededByStorage lists the keys that each type of storage must have (options
// of pve-storage PVE/Storage/*.pm).
var neededByStorage = map[string][]string{
	"dir": {"path"}, "btrfs": {"path"}, "lvm": {"vgname"}, "lvmthin": {"thinpool", "vgname"}, "zfspool": {"pool"},
	"nfs": {"server", "export"}, "cifs": {"server", "share"}, "pbs": {"server", "datastore"},
}

// defaultContent maps a type of storage to the content types that a new storage
// gets if the caller names no content.
var defaultContent = map[string]string{
	"dir": "images,rootdir,vztmpl,iso,snippets,backup,import", "nfs": "images,rootdir,vztmpl,iso,snippets,backup",
	"cifs": "images,rootdir,vztmpl,iso,snippets,backup", "btrfs": "images,rootdir", "pbs": "backup",
}

// newStorageSize is the size, in bytes, of every storage that a client adds.
const newStorageSize = 500 << 30

func (st *store) createStorage(c *call) (any, error) {
	name, kind := c.get("storage"), c.get("type")
	if st.storages[name] != nil {
		return nil, refuse("create storage failed: storage ID '%s' already defined", name)
	}
	problems := map[string]string{}
	for _, key := range neededByStorage[kind] {
		if !c.has(key) {
			problems[key] = "missing value for required option '" + key + "'"
		}
	}
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	entry := &storageEntry{Name: name, Type: kind, Content: cmp.Or(defaultContent[kind], "images,rootdir"), Config: map[string]string{}}
	entry.take(c)
	st.addStorage(entry, newStorageSize)
	return map[string]any{"storage": name, "type": kind}, nil
}

// The method "take" copies the call's parameters into the fields of a storage.
func (s *storageEntry) take(c *call) {
	for name := range c.values {
		if !slices.Contains(steeringStorage, name) {
			s.Config[name] = c.get(name)
		}
	}
	if c.has("content") {
		s.Content = strings.Join(splitList(c.get("content")), ",")
	}
	if c.has("shared") {
		s.Shared = c.get("shared") == "1"
	}
	if c.has("nodes") {
		s.Config["nodes"] = c.get("nodes")
	}
	if c.has("disable") {
		delete(s.Config, "disable")
		if c.get("disable") == "1" {
			s.Config["disable"] = "1"
		}
	}
}

func (st *store) updateStorage(c *call) (any, error) {
	s := st.storages[c.get("storage")]
	if s == nil {
		return nil, refuse("update storage failed: storage '%s' does not exist", c.get("storage"))
	}
	s.Config = maps.Clone(s.Config)
	if s.Config == nil {
		s.Config = map[string]string{}
	}
	for _, key := range splitList(c.get("delete")) {
		switch key {
		case "content":
			s.Content = "none"
		case "shared":
			s.Shared = false
		default:
			delete(s.Config, key)
		}
	}
	s.take(c)
	st.settleStorage(s.Name)
	return map[string]any{"storage": s.Name, "type": s.Type}, nil
}

// deleteStorage serves DELETE /storage/{storage}. PVE deletes only the entry,
// not the volumes.
func (st *store) deleteStorage(c *call) (any, error) {
	if st.storages[c.get("storage")] == nil {
		return nil, refuse("delete storage failed: storage '%s' does not exist", c.get("storage"))
	}
	for _, n := range st.peers {
		delete(n.storages, c.get("storage"))
	}
	return null()
}

// addStorage gives every node a storage for a new entry of storage.cfg.
func (d *datacenter) addStorage(entry *storageEntry, total int64) {
	for _, n := range d.peers {
		n.storages[entry.Name] = &storage{storageEntry: entry, contents: newContents(total), node: n.host.Name}
	}
	d.settleStorage(entry.Name)
}

// settleStorage applies a change of an entry of storage.cfg to the nodes. If
// the storage is shared, all nodes then have the same content. This is the
// content on the first node that has volumes on the storage. The content that
// other nodes had is dropped.
func (d *datacenter) settleStorage(name string) {
	var shared *contents
	for _, n := range d.peers {
		s := n.storages[name]
		s.away = false
		if shared == nil || len(shared.volumes) == 0 {
			shared = s.contents
		}
	}
	for _, n := range d.peers {
		if s := n.storages[name]; s.Shared {
			s.contents = shared
		}
	}
}
