package pvetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A storage is a storage with what lies on it now.
type storage struct {
	Storage
	volumes map[string]*Volume
	others  int64 // bytes used by what is no volume we know
}

func newStorage(s Storage) *storage {
	kept := &storage{Storage: s, volumes: map[string]*Volume{}}
	for _, v := range s.Volumes {
		kept.volumes[v.Name] = &v
	}
	kept.others = max(s.Used-kept.used(), 0)
	return kept
}

// thick reports whether a volume takes its whole size when it is made. Files
// and thin volumes take it as they are written to, which nobody does here.
func (s *storage) thick() bool {
	return s.Type == "lvm" || s.Type == "zfspool" && s.Config["sparse"] != "1"
}

// files reports whether the storage is a directory with files.
func (s *storage) files() bool {
	return slices.Contains([]string{"dir", "nfs", "cifs", "btrfs", "cephfs"}, s.Type)
}

func (s *storage) used() int64 {
	used := s.others
	for _, v := range s.volumes {
		if s.thick() || v.VMID == 0 {
			used += v.Size
		}
	}
	return min(used, s.Total)
}

func (s *storage) holds(content string) bool {
	return slices.Contains(strings.Split(s.Content, ","), content)
}

// noSpace returns what a storage says that has no room for a new volume
// (pve-storage PVE/Storage/LVMPlugin.pm, ZFSPoolPlugin.pm).
func (s *storage) noSpace(name string, size int64) string {
	free := s.Total - s.used()
	switch {
	case size <= free || !s.thick():
		return ""
	case s.Type == "lvm":
		return fmt.Sprintf("not enough free space (%d < %d)", free>>10, size>>10)
	}
	return fmt.Sprintf("zfs error: cannot create '%s/%s': out of space", s.Config["pool"], name)
}

// noRoomToGrow returns what a storage says that cannot make a volume larger.
func (s *storage) noRoomToGrow(name string, more int64) string {
	const extent = 4 << 20
	free := s.Total - s.used()
	switch {
	case more <= free || !s.thick():
		return ""
	case s.Type == "lvm":
		return fmt.Sprintf("error resizing volume '/dev/%s/%s':   Insufficient free space: %d extents needed, but only %d available",
			s.Config["vgname"], name, (more+extent-1)/extent, free/extent)
	}
	return fmt.Sprintf("zfs error: cannot set property for '%s/%s': size is greater than available space", s.Config["pool"], name)
}

// volume splits a volume ID. there is false if there is no such volume; the
// storage is nil if there is not even that.
func (n *Node) volume(id string) (s *storage, name string, there bool) {
	pool, name, _ := strings.Cut(id, ":")
	s = n.storages[pool]
	if s == nil {
		return nil, name, false
	}
	_, there = s.volumes[name]
	return s, name, there
}

func (n *Node) free(id string) {
	if s, name, there := n.volume(id); there {
		delete(s.volumes, name)
	}
}

// allocate makes a volume; a name that ends in "-" gets the first free number.
func (n *Node) allocate(pool, name string, size int64, vmid int) (id, problem string) {
	s := n.storages[pool]
	switch {
	case s == nil:
		return "", fmt.Sprintf("storage '%s' does not exist", pool)
	case s.Inactive:
		return "", fmt.Sprintf("storage '%s' is not online", pool)
	case !s.holds("images"):
		return "", fmt.Sprintf("storage '%s' does not support content-type 'images'", pool)
	}
	prefix, suffix := "", ""
	if s.files() {
		prefix, suffix = text(vmid)+"/", ".raw"
	}
	if s.files() && strings.HasSuffix(name, "-cloudinit") {
		suffix = ".qcow2"
	}
	if strings.HasSuffix(name, "-") {
		i := 0
		for s.volumes[prefix+name+text(i)+suffix] != nil {
			i++
		}
		name += text(i)
	}
	if problem := s.noSpace(name, size); problem != "" {
		return "", problem
	}
	name = prefix + name + suffix
	if s.volumes[name] != nil {
		return "", fmt.Sprintf("disk image '%s' already exists", name)
	}
	s.volumes[name] = &Volume{Name: name, Size: size, VMID: vmid, Format: "raw"}
	return pool + ":" + name, ""
}

func (s *storage) configObject() map[string]any {
	object := map[string]any{"storage": s.Name, "type": s.Type, "content": s.Content, "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}
	for key, value := range s.Config {
		object[key] = value
	}
	if s.Shared {
		object["shared"] = 1
	}
	return object
}

// storageConfigs is GET /storage: storage.cfg as far as the caller may see it.
func (n *Node) storageConfigs(c *call) answer {
	list := []map[string]any{}
	for _, name := range sorted(n.storages) {
		if s := n.storages[name]; c.who.maySee(name) && (!c.has("type") || c.get("type") == s.Type) {
			list = append(list, s.configObject())
		}
	}
	return ok(list)
}

func (n *Node) storageConfig(c *call) answer {
	s := n.storages[c.get("storage")]
	if s == nil {
		return fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage"))
	}
	return ok(s.configObject())
}

func (who identity) maySee(storage string) bool {
	return who.may("/storage/"+storage, "Datastore.Audit") || who.may("/storage/"+storage, "Datastore.AllocateSpace")
}

func (s *storage) object() map[string]any {
	object := map[string]any{"storage": s.Name, "type": s.Type, "content": s.Content, "enabled": bit(!s.Elsewhere), "active": bit(!s.Inactive && !s.Elsewhere), "shared": bit(s.Shared)}
	if !s.Inactive && !s.Elsewhere {
		object["total"], object["used"], object["avail"] = s.Total, s.used(), s.Total-s.used()
		object["used_fraction"] = float64(s.used()) / float64(max(s.Total, 1))
	}
	return object
}

func (n *Node) listStorages(c *call) answer {
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(n.storages)) {
		s := n.storages[name]
		wanted := !c.has("content") || slices.ContainsFunc(strings.Split(c.get("content"), ","), s.holds)
		if c.who.maySee(name) && wanted && (!c.has("storage") || c.get("storage") == name) {
			list = append(list, s.object())
		}
	}
	return ok(list)
}

func (n *Node) storageStatus(c *call) answer {
	s := n.storages[c.get("storage")]
	if s == nil {
		return fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage"))
	}
	object := s.object()
	delete(object, "storage")
	delete(object, "used_fraction")
	return ok(object)
}
