package pvetest

import (
	"cmp"
	"regexp"
	"strings"
	"time"
)

// The method "kind" returns the content type of a volume, such as "iso" or
// "images", from its name.
func (v *Volume) kind() string {
	if first, _, found := strings.Cut(v.Name, "/"); found && first != text(v.VMID) {
		return first
	}
	return "images"
}

// content serves GET content. It lists the volumes of a storage that the caller
// may see.
func (n *Node) content(c *call) (any, error) {
	s, err := n.online(c.get("storage"))
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, name := range sorted(s.volumes) {
		v := s.volumes[name]
		if c.has("content") && c.get("content") != v.kind() || c.has("vmid") && c.number("vmid") != v.VMID {
			continue
		}
		if v.VMID != 0 && !c.who.may("/storage/"+s.Name, "Datastore.Allocate") &&
			!(c.who.may("/storage/"+s.Name, "Datastore.Audit") && c.who.may(vmPath(v.VMID), "VM.Config.Disk")) {
			continue
		}
		entry := map[string]any{"volid": s.Name + ":" + name, "content": v.kind(), "format": cmp.Or(v.Format, "raw"), "size": v.Size}
		switch s.Type { // PVE sends ctime as text for LVM, and does not send it for ZFS
		case "lvm", "lvmthin":
			entry["ctime"] = text(int(n.began.Unix()))
		case "zfspool":
		default:
			entry["ctime"] = n.began.Unix()
		}
		if v.VMID != 0 {
			entry["vmid"] = v.VMID
		}
		list = append(list, entry)
	}
	return list, nil
}

// volumeOf returns the volume that a call names by its full ID or by its name
// within the storage. The volume need not exist.
func (n *Node) volumeOf(c *call) (s *storage, name string, err error) {
	id := c.get("volume")
	if !strings.Contains(id, ":") {
		id = c.get("storage") + ":" + id
	}
	pool, name, _ := strings.Cut(id, ":")
	if pool != c.get("storage") && c.has("storage") {
		return nil, "", wrong("storage", "storage ID missmatch")
	}
	if s, err = n.find(pool); err != nil {
		return nil, "", err
	}
	_, _, err = s.parseName(name)
	return s, name, err
}

func (n *Node) oneVolume(c *call) (any, error) {
	s, name, err := n.volumeOf(c)
	if err != nil {
		return nil, err
	}
	if err := n.mayUseVolume(c.who, 0, s.Name+":"+name, ""); err != nil {
		return nil, err
	}
	v := s.volumes[name]
	if v == nil {
		return nil, refuse("volume_size_info on '%s:%s' failed - no format", s.Name, name)
	}
	return map[string]any{"path": s.path(name), "size": v.Size, "used": v.Size, "format": cmp.Or(v.Format, "raw")}, nil
}

func (n *Node) allocateVolume(c *call) (any, error) {
	size := parseSize(c.get("size"))
	if !strings.ContainsAny(c.get("size"), "MG") {
		size <<= 10 // a number without a unit is in KiB
	}
	id, err := n.allocate(c.get("storage"), strings.TrimSuffix(c.get("filename"), ".raw"), c.get("format"), size, c.number("vmid"))
	if err != nil {
		return nil, err
	}
	return id, nil
}

// deleteVolume serves DELETE content/{volume}. PVE deletes the volume even if a
// VM still names it, and does not check that the volume exists.
func (n *Node) deleteVolume(c *call) (any, error) {
	s, name, err := n.volumeOf(c)
	if err != nil {
		return nil, err
	}
	kind, owner := n.kindOf(s.Name + ":" + name)
	if kind == "backup" && owner != 0 {
		if err = c.who.needs("/storage/"+s.Name, "Datastore.AllocateSpace"); err == nil {
			err = c.who.needs(vmPath(owner), "VM.Backup")
		}
	} else {
		err = c.who.needs("/storage/"+s.Name, "Datastore.Allocate")
	}
	if err != nil {
		return nil, err
	}
	id := s.Name
	if owner != 0 {
		id = text(owner) + "@" + s.Name
	}
	return n.do(c, job{kind: "imgdel", id: id, takes: n.taskTime(), work: func(t *task) error {
		s.drop(name)
		t.say("Removed volume '%s:%s'", s.Name, name)
		return nil
	}})
}

var extensions = map[string]*regexp.Regexp{
	"iso":    regexp.MustCompile(`(?i)\.(iso|img)$`),
	"vztmpl": regexp.MustCompile(`(?i)\.tar\.(gz|xz|zst|bz2)$`),
	"import": regexp.MustCompile(`(?i)\.(ova|ovf|qcow2|raw|vmdk|img)$`),
}

// newFile checks the name and storage of a new file.
func (n *Node) newFile(c *call) (*storage, error) {
	s, content, name := n.storages[c.get("storage")], c.get("content"), c.get("filename")
	switch {
	case s == nil:
		return nil, refuse("storage '%s' does not exist", c.get("storage"))
	case !s.files():
		return nil, refuse("can't upload to storage type '%s'", s.Type)
	case !extensions[content].MatchString(name) || strings.Contains(name, "/"):
		return nil, wrong("filename", "wrong file extension")
	case !s.holds(content):
		return nil, refuse("storage '%s' does not support '%s' content", s.Name, content)
	}
	return s, nil
}

func (s *storage) keep(content, name string, size int64) {
	format := content
	if content == "import" {
		format = name[strings.LastIndex(name, ".")+1:]
	}
	s.put(&Volume{Name: content + "/" + name, Size: size, Format: format})
}

// upload serves POST upload. The node keeps the file's length, but not its
// content. The node that the client speaks to runs the task, and copies the
// file by SSH to the node that the path names (pve-storage
// PVE/API2/Storage/Status.pm).
func (n *Node) upload(c *call) (any, error) {
	s, err := n.newFile(c)
	if err != nil {
		return nil, err
	}
	if !c.entry.sees(n) {
		return nil, refuse("can't activate storage '%s' on node '%s': %v", s.Name, n.host.Name, n.noSSH("/usr/sbin/pvesm status --storage "+s.Name))
	}
	sum, size := c.get("checksum"), c.uploaded.size
	if c.get("checksum-algorithm") == "sha256" && sum != "" && sum != c.uploaded.sha256 {
		return c.entry.do(c, job{kind: "imgcopy", takes: n.taskTime(), work: func(*task) error {
			return refuse("checksum mismatch: got '%s' != expect '%s'", c.uploaded.sha256, sum)
		}})
	}
	return c.entry.do(c, job{kind: "imgcopy", takes: n.taskTime(), work: func(t *task) error {
		if size > s.Total-s.used() {
			return refuse("import failed: No space left on device")
		}
		s.keep(c.get("content"), c.get("filename"), size)
		t.say("finished file import successfully")
		return nil
	}})
}

// download serves POST download-url. The node can download the files in
// Host.Downloads.
func (n *Node) download(c *call) (any, error) {
	s, err := n.newFile(c)
	if err != nil {
		return nil, err
	}
	name := c.get("filename")
	return n.do(c, job{kind: "download", id: name, takes: 20 * time.Second, work: func(t *task) error {
		size, known := n.host.Downloads[c.get("url")]
		switch {
		case s.volumes[c.get("content")+"/"+name] != nil:
			return refuse("refusing to override existing file '%s'", name)
		case !known:
			t.say("ERROR 404: Not Found.")
			return refuse("download failed: command '/usr/bin/wget' failed: exit code 8")
		case size > s.Total-s.used():
			return refuse("download failed: No space left on device")
		}
		s.keep(c.get("content"), name, size)
		t.say("download of '%s' to '%s' finished", c.get("url"), name)
		return nil
	}})
}
