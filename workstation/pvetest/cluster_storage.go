package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// describeStorages makes storage.cfg and the contents of all storages from the
// hosts' descriptions. If several hosts describe a storage, storage.cfg has one
// entry for it. The first description makes the entry, as when a node joins a
// cluster. If only some hosts describe a storage, it is limited to these hosts.
func (d *datacenter) describeStorages() {
	for _, described := range d.describedStorages() {
		first := described[0].storage
		entry := &storageEntry{Name: first.Name, Type: first.Type, Content: first.Content, Shared: first.Shared, Config: maps.Clone(first.Config)}
		if entry.Config == nil {
			entry.Config = map[string]string{}
		}
		shared := newContents(first.Total)
		names := []string{}
		for _, each := range described {
			if each.storage.Type != entry.Type || each.storage.Shared != entry.Shared {
				panic(fmt.Sprintf("pvetest: %s and %s describe the storage %s differently", described[0].node.host.Name, each.node.host.Name, entry.Name))
			}
			s := &storage{storageEntry: entry, contents: newContents(each.storage.Total), node: each.node.host.Name, inactive: each.storage.Inactive, away: each.storage.Elsewhere}
			if entry.Shared {
				s.contents = shared
			}
			s.fill(each.storage)
			each.node.storages[entry.Name] = s
			names = append(names, each.node.host.Name)
		}
		if len(names) < len(d.peers) && entry.Config["nodes"] == "" {
			entry.Config["nodes"] = strings.Join(names, ",")
		}
		for _, n := range d.peers {
			if n.storages[entry.Name] == nil {
				n.storages[entry.Name] = &storage{storageEntry: entry, contents: newContents(first.Total), node: n.host.Name, inactive: true}
				if entry.Shared {
					n.storages[entry.Name].contents = shared
				}
			}
		}
	}
}

// A describedStorage is a storage in the description of a node.
type describedStorage struct {
	node    *Node
	storage Storage
}

// describedStorages returns one list for each storage: the descriptions of this
// storage by the hosts. The lists are in the order in which the storages first
// appear.
func (d *datacenter) describedStorages() [][]describedStorage {
	var all [][]describedStorage
	for _, n := range d.peers {
		for _, s := range n.host.Storages {
			i := slices.IndexFunc(all, func(known []describedStorage) bool { return known[0].storage.Name == s.Name })
			if i < 0 {
				all = append(all, []describedStorage{{n, s}})
				continue
			}
			all[i] = append(all[i], describedStorage{n, s})
		}
	}
	return all
}

// fill adds the volumes in a description that are not yet on the storage.
func (s *storage) fill(described Storage) {
	for _, v := range described.Volumes {
		if s.volumes[v.Name] == nil {
			s.put(&v)
		}
	}
	s.others = cmp.Or(s.others, max(described.Used-s.used(), 0))
}
