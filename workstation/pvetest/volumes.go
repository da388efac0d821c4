package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A storage is a storage with what lies on it now.
type storage struct {
	Storage
	volumes map[string]*Volume
	others  int64 // bytes used by what is no volume of ours
}

func newStorage(s Storage) *storage {
	kept := &storage{Storage: s, volumes: map[string]*Volume{}, others: s.Used}
	for _, v := range s.Volumes {
		kept.volumes[v.Name] = &v
	}
	return kept
}

// thick reports whether a volume takes its whole size when it is made.
func (s *storage) thick() bool {
	return s.Type == "lvm" || s.Type == "zfspool" && s.Config["sparse"] != "1"
}

func (s *storage) used() int64 {
	used := s.others
	for _, v := range s.volumes {
		if s.thick() || v.Format == "iso" {
			used += v.Size
		}
	}
	return min(used, s.Total)
}

func (s *storage) holds(content string) bool {
	return slices.Contains(strings.Split(s.Content, ","), content)
}

// volume splits a volume ID. ok is false if there is no such volume; the
// storage is nil if there is not even that.
func (n *Node) volume(id string) (s *storage, name string, ok bool) {
	pool, name, _ := strings.Cut(id, ":")
	s = n.storages[pool]
	if s == nil {
		return nil, name, false
	}
	_, ok = s.volumes[name]
	return s, name, ok
}

func (n *Node) free(id string) {
	if s, name, ok := n.volume(id); ok {
		delete(s.volumes, name)
	}
}

var newVolume = regexp.MustCompile(`^([^:\s]+):(\d+(?:\.\d+)?)$`)

func isNew(volume string) bool { return newVolume.MatchString(volume) }

// driveValue returns what becomes of a drive value: a new volume is made, an
// existing one must be there.
func (n *Node) driveValue(v *vm, key, value string) (string, string) {
	d := parseDrive(value)
	switch match := newVolume.FindStringSubmatch(d.volume); {
	case d.volume == "none" || d.volume == "cdrom":
		return value, ""
	case match != nil:
		return n.newDrive(v, key, d, match)
	case strings.HasSuffix(d.volume, ":cloudinit"):
		pool, _, _ := strings.Cut(d.volume, ":")
		volume, problem := n.allocate(pool, fmt.Sprintf("vm-%d-cloudinit", v.id), 4<<20, v.id)
		d.volume, d.options["media"], d.options["size"] = volume, "cdrom", "4M"
		return d.String(), problem
	}
	s, name, there := n.volume(d.volume)
	if !there {
		if s == nil {
			pool, _, _ := strings.Cut(d.volume, ":")
			return "", fmt.Sprintf("storage '%s' does not exist", pool)
		}
		return "", fmt.Sprintf("volume '%s' does not exist", d.volume)
	}
	if d.options["size"] == "" {
		d.options["size"] = printSize(s.volumes[name].Size)
	}
	return d.String(), ""
}

// newDrive makes the volume of "storage:GIGABYTES". PVE rounds the EFI disk
// and the TPM state to sizes of their own, whatever was asked for.
func (n *Node) newDrive(v *vm, key string, d drive, match []string) (string, string) {
	gigabytes, _ := strconv.ParseFloat(match[2], 64)
	size := int64(gigabytes * (1 << 30))
	switch source := d.options["import-from"]; {
	case source != "":
		s, name, there := n.volume(source)
		if !there {
			return "", fmt.Sprintf("could not import from '%s': no such volume", source)
		}
		size = s.volumes[name].Size
		delete(d.options, "import-from")
	case key == "efidisk0":
		size = 528 << 10
		if d.options["efitype"] == "4m" {
			size = 4 << 20
		}
	case key == "tpmstate0":
		size = 4 << 20
	case size == 0:
		return "", fmt.Sprintf("unable to create volume on '%s': size may not be 0", match[1])
	}
	volume, problem := n.allocate(match[1], fmt.Sprintf("vm-%d-disk-", v.id), size, v.id)
	d.volume, d.options["size"] = volume, printSize(size)
	delete(d.options, "format")
	return d.String(), problem
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
		return "", fmt.Sprintf("storage '%s' does not support vm images", pool)
	case s.thick() && s.used()+size > s.Total:
		if s.Type == "lvm" {
			return "", fmt.Sprintf("lvcreate '%s/%s' error:   Volume group \"%s\" has insufficient free space (%d extents): %d required.",
				s.Config["vgname"], name, s.Config["vgname"], (s.Total-s.used())>>22, size>>22)
		}
		return "", fmt.Sprintf("zfs error: cannot create '%s': out of space", s.Config["pool"])
	}
	prefix, suffix := "", ""
	if s.Type == "dir" || s.Type == "nfs" || s.Type == "cifs" {
		prefix, suffix = text(vmid)+"/", ".raw"
	}
	if strings.HasSuffix(name, "-") {
		for i := 0; ; i++ {
			if _, taken := s.volumes[prefix+name+text(i)+suffix]; !taken {
				name += text(i)
				break
			}
		}
	}
	name = prefix + name + suffix
	s.volumes[name] = &Volume{Name: name, Size: size, VMID: vmid, Format: "raw"}
	return pool + ":" + name, ""
}

func (n *Node) resize(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	if a, allowed := c.who.needs(fmt.Sprintf("/vms/%d", v.id), "VM.Config.Disk"); !allowed {
		return a
	}
	if c.has("digest") && c.get("digest") != v.digest() {
		return fail(http.StatusInternalServerError, "detected modified configuration - file changed by other user? Try again.")
	}
	if problem := cmp.Or(n.held(v, nil), locked(v)); problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem)
	}
	value, there := v.config[c.get("disk")]
	d := parseDrive(value)
	s, name, found := n.volume(d.volume)
	switch {
	case !there:
		return fail(http.StatusInternalServerError, "disk '%s' does not exist", c.get("disk"))
	case d.media() == "cdrom":
		return fail(http.StatusInternalServerError, "you can't resize a cdrom")
	case !found:
		return fail(http.StatusInternalServerError, "Could not determine current size of volume '%s'", d.volume)
	}
	amount, relative := strings.CutPrefix(c.get("size"), "+")
	size := parseSize(amount)
	if relative {
		size += s.volumes[name].Size
	}
	if size < s.volumes[name].Size {
		return fail(http.StatusInternalServerError, "shrinking disks is not supported")
	}
	t := n.begin("resize", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		if s.thick() && s.used()+size-s.volumes[name].Size > s.Total {
			return "lvextend error: insufficient free space"
		}
		s.volumes[name].Size = size
		d.options["size"] = printSize(size)
		v.config[c.get("disk")] = d.String()
		return ""
	})
}

func (n *Node) content(c *call) answer {
	s := n.storages[c.get("storage")]
	if s == nil {
		return fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage"))
	}
	list := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.volumes)) {
		v := s.volumes[name]
		kind := "images"
		if first, _, found := strings.Cut(name, "/"); found && first != text(v.VMID) {
			kind = first
		}
		if c.has("content") && c.get("content") != kind || c.has("vmid") && c.number("vmid") != v.VMID {
			continue
		}
		entry := map[string]any{"volid": s.Name + ":" + name, "content": kind, "format": cmp.Or(v.Format, "raw"), "size": v.Size, "ctime": n.began.Unix()}
		if v.VMID != 0 {
			entry["vmid"] = v.VMID
		}
		list = append(list, entry)
	}
	return ok(list)
}
