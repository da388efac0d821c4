package pvetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A storage is a storage as a node sees it. All nodes share the entry of
// storage.cfg. If the storage is shared, they also share the content.
type storage struct {
	*storageEntry
	*contents
	node     string
	inactive bool // the storage is enabled but not reachable
	away     bool // the description says that only other nodes may use the storage
}

// A storageEntry is an entry of storage.cfg.
type storageEntry struct {
	Name    string
	Type    string
	Content string
	Shared  bool
	Config  map[string]string
}

// contents holds the volumes of a storage.
type contents struct {
	Total   int64
	volumes map[string]*Volume         // volumes by name; only put, drop and resize change the map
	owned   map[int]map[string]*Volume // the same volumes, by VMID and name
	written int64                      // bytes that all volumes use, as the method "takes" counts them
	others  int64                      // used bytes that belong to none of these volumes
}

func newContents(total int64) *contents {
	return &contents{Total: total, volumes: map[string]*Volume{}, owned: map[int]map[string]*Volume{}}
}

// The method "elsewhere" reports whether the node cannot use the storage,
// because the storage is disabled or its entry allows only other nodes
// (pve-storage PVE/Storage.pm, storage_check_enabled).
func (s *storage) elsewhere() bool {
	nodes := s.Config["nodes"]
	return s.away || s.Config["disable"] == "1" || nodes != "" && !slices.Contains(splitList(nodes), s.node)
}

// The method "put" adds a volume.
func (s *storage) put(v *Volume) {
	s.drop(v.Name)
	s.volumes[v.Name] = v
	if s.owned[v.VMID] == nil {
		s.owned[v.VMID] = map[string]*Volume{}
	}
	s.owned[v.VMID][v.Name] = v
	s.written += s.takes(v)
}

// The method "drop" removes a volume. If the volume does not exist, it does
// nothing.
func (s *storage) drop(name string) {
	v := s.volumes[name]
	if v == nil {
		return
	}
	s.written -= s.takes(v)
	delete(s.volumes, name)
	if delete(s.owned[v.VMID], name); len(s.owned[v.VMID]) == 0 {
		delete(s.owned, v.VMID)
	}
}

// The method "resize" changes the size of a volume.
func (s *storage) resize(v *Volume, size int64) {
	s.written -= s.takes(v)
	v.Size = size
	s.written += s.takes(v)
}

// The method "takes" returns the number of bytes that a volume uses on its
// storage.
func (s *storage) takes(v *Volume) int64 {
	if s.thick() || v.VMID == 0 {
		return v.Size
	}
	return 0
}

// The method "thick" reports whether a volume uses its whole size from the
// start. Files and thin volumes grow only when a guest writes to them, and no
// guest of the embedded node writes to its disks.
func (s *storage) thick() bool {
	return s.Type == "lvm" || s.Type == "zfspool" && s.Config["sparse"] != "1"
}

// The method "files" reports whether the storage is a directory in which
// volumes are files.
func (s *storage) files() bool {
	return slices.Contains([]string{"dir", "nfs", "cifs", "btrfs", "cephfs"}, s.Type)
}

func (s *storage) used() int64 { return min(s.others+s.written, s.Total) }

func (s *storage) holds(content string) bool {
	return slices.Contains(strings.Split(s.Content, ","), content)
}

// noSpace returns PVE's message for a storage that has no room for a new volume
// (pve-storage PVE/Storage/LVMPlugin.pm, ZFSPoolPlugin.pm).
func (s *storage) noSpace(name string, size int64) error {
	free := s.Total - s.used()
	switch {
	case size <= free || !s.thick():
		return nil
	case s.Type == "lvm":
		return refuse("not enough free space (%d < %d)", free>>10, size>>10)
	}
	return refuse("zfs error: cannot create '%s/%s': out of space", s.Config["pool"], name)
}

// noRoomToGrow returns PVE's message for a storage that is too full to grow a
// volume.
func (s *storage) noRoomToGrow(name string, more int64) error {
	const extent = 4 << 20
	free := s.Total - s.used()
	switch {
	case more <= free || !s.thick():
		return nil
	case s.Type == "lvm":
		return refuse("error resizing volume '/dev/%s/%s':   Insufficient free space: %d extents needed, but only %d available",
			s.Config["vgname"], name, (more+extent-1)/extent, free/extent)
	}
	return refuse("zfs error: cannot set property for '%s/%s': size is greater than available space", s.Config["pool"], name)
}

// store holds the storages of the node.
type store struct {
	*base
	storages map[string]*storage
}

// The method "find" returns the storage with the given name.
func (st *store) find(name string) (*storage, error) {
	if s := st.storages[name]; s != nil {
		return s, nil
	}
	return nil, refuse("storage '%s' does not exist", name)
}

// The method "online" returns the storage with the given name. If the storage
// cannot be used, it returns PVE's refusal.
func (st *store) online(name string) (*storage, error) {
	s, err := st.find(name)
	if err == nil && s.inactive {
		err = refuse("storage '%s' is not online", name)
	}
	return s, err
}

// The method "volume" finds a volume by its ID. If the volume does not exist,
// the result "there" is false. If the storage does not exist either, the result
// s is nil.
func (st *store) volume(id string) (s *storage, name string, there bool) {
	pool, name, _ := strings.Cut(id, ":")
	s = st.storages[pool]
	if s == nil {
		return nil, name, false
	}
	_, there = s.volumes[name]
	return s, name, there
}

func (st *store) free(id string) {
	if s, name, there := st.volume(id); there {
		s.drop(name)
	}
}

// The method "allocate" makes a volume. If the name ends in "-", allocate
// appends the first free number. The format "" means the default format of the
// storage.
func (st *store) allocate(pool, name, format string, size int64, vmid int) (id string, err error) {
	s, err := st.online(pool)
	switch {
	case err != nil:
		return "", err
	case !s.holds("images"):
		return "", refuse("storage '%s' does not support content-type 'images'", pool)
	}
	if s.Shared && !st.quorate() {
		return "", refuse("cfs-lock 'storage-%s' error: no quorum!", pool)
	}
	if err := cmp.Or(s.badFormat(format), s.badName(name, vmid)); err != nil {
		return "", err
	}
	prefix, suffix := "", ""
	if s.files() {
		if strings.HasSuffix(name, "-cloudinit") {
			format = cmp.Or(format, "qcow2")
		}
		prefix, suffix = text(vmid)+"/", "."+cmp.Or(format, "raw")
	}
	if strings.HasSuffix(name, "-") {
		i := 0
		for s.volumes[prefix+name+text(i)+suffix] != nil {
			i++
		}
		name += text(i)
	}
	if err := s.noSpace(name, size); err != nil {
		return "", err
	}
	name = prefix + name + suffix
	if s.volumes[name] != nil {
		return "", s.exists(name)
	}
	s.put(&Volume{Name: name, Size: size, VMID: vmid, Format: cmp.Or(format, "raw")})
	return pool + ":" + name, nil
}

// The method "exists" returns a storage's refusal of a volume name that is
// already in use.
func (s *storage) exists(name string) error {
	switch s.Type {
	case "lvm", "lvmthin":
		vg := s.Config["vgname"]
		return refuse("lvcreate '%s/%s' error:   Logical Volume \"%s\" already exists in volume group \"%s\"", vg, name, name, vg)
	case "zfspool":
		return refuse("zfs error: cannot create '%s/%s': dataset already exists", s.Config["pool"], name)
	}
	return refuse("disk image '%s/images/%s' already exists", s.Config["path"], name)
}

// badFormat returns a storage's refusal of an image format that it does not
// support.
func (s *storage) badFormat(format string) error {
	lines := map[string]string{"lvm": "LVMPlugin.pm line 690", "lvmthin": "LvmThinPlugin.pm line 102", "zfspool": "ZFSPoolPlugin.pm line 283"}
	where, blocks := lines[s.Type]
	if format == "" || format == "raw" || !blocks {
		return nil
	}
	return refuse("unsupported format '%s' at /usr/share/perl5/PVE/Storage/%s.", format, where)
}

// badName returns a storage's refusal of a name that does not belong to the VM.
func (s *storage) badName(name string, vmid int) error {
	if s.files() || strings.HasPrefix(name, fmt.Sprintf("vm-%d-", vmid)) {
		return nil
	}
	return refuse("illegal name '%s' - should be 'vm-%d-*'", name, vmid)
}
