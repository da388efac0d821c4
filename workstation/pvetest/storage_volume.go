package pvetest

import (
	"regexp"
	"strconv"
	"strings"
)

// These patterns match the volume names that each kind of storage accepts
// (parse_volname of pve-storage PVE/Storage/LVMPlugin.pm, LvmThinPlugin.pm,
// ZFSPoolPlugin.pm and Plugin.pm).
var (
	lvmName   = regexp.MustCompile(`(?i)^[a-z0-9][a-z0-9\-_.]*[a-z0-9]$`)
	lvmVolume = regexp.MustCompile(`^(?:vm|base)-(\d+)-\S+$`)
	zfsVolume = regexp.MustCompile(`^(?:base(?:vol)?-\d+-\S+/)?(?:base|basevol|vm|subvol)-(\d+)-\S+$`)
	dirImage  = regexp.MustCompile(`^(?:\d+/\S+/)?(\d+)/\S+$`)
	dirFile   = regexp.MustCompile(`^(?:(iso)/[^/]+\.(?i:iso|img)|(vztmpl)/[^/]+\.tar\.(?:gz|xz|zst|bz2)|(backup)/[^/]+|(snippets)/[^/]+|(import)/[^/]+\.(?:ova|ovf|qcow2|raw|vmdk|img)(?:/.+)?)$`)
	dirBackup = regexp.MustCompile(`^backup/vzdump-(?:openvz|lxc|qemu)-(\d+)-`)
)

// parseName returns the content type and the owner that a volume's name
// contains. The volume need not exist. If the name contains no VMID, the owner
// is 0.
func (s *storage) parseName(name string) (kind string, owner int, err error) {
	var match []string
	switch s.Type {
	case "lvm", "lvmthin":
		if !lvmName.MatchString(name) {
			return "", 0, refuse("lvm name '%s' contains illegal characters", name)
		}
		if match = lvmVolume.FindStringSubmatch(name); match == nil {
			return "", 0, refuse("unable to parse lvm volume name '%s'", name)
		}
	case "zfspool":
		if match = zfsVolume.FindStringSubmatch(name); match == nil {
			return "", 0, refuse("unable to parse zfs volume name '%s'", name)
		}
	default:
		if file := dirFile.FindStringSubmatch(name); file != nil {
			if backup := dirBackup.FindStringSubmatch(name); backup != nil {
				owner, _ = strconv.Atoi(backup[1])
			}
			return strings.Join(file[1:], ""), owner, nil
		}
		if match = dirImage.FindStringSubmatch(name); match == nil {
			return "", 0, refuse("unable to parse directory volume name '%s'", name)
		}
	}
	owner, _ = strconv.Atoi(match[1])
	return "images", owner, nil
}

// The method "owner" returns the VM to which a volume belongs, or 0 if it
// belongs to no VM.
func (s *storage) owner(name string) int {
	if v := s.volumes[name]; v != nil {
		return v.VMID
	}
	_, owner, _ := s.parseName(name)
	return owner
}

// kindOf returns the content type and the owner of the volume with an ID. If
// the storage does not exist, the type is "".
func (st *store) kindOf(id string) (kind string, owner int) {
	s, name, _ := st.volume(id)
	if s == nil {
		return "", 0
	}
	kind, _, _ = s.parseName(name)
	return kind, s.owner(name)
}

// mayUseVolume checks whether the identity may use a volume. The volume need
// not exist (pve-storage PVE/Storage.pm, check_volume_access). The parameter
// "kind" is the required content type, or "" if every type is allowed.
func (st *store) mayUseVolume(who identity, id int, volume, must string) error {
	pool, _, found := strings.Cut(volume, ":")
	if !found || strings.HasPrefix(volume, "/") {
		if who.root() {
			return nil
		}
		return refuse("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
	}
	s, name, _ := st.volume(volume)
	if s == nil {
		return refuse("storage '%s' does not exist", pool)
	}
	kind, _, err := s.parseName(name)
	owner := s.owner(name)
	switch {
	case err != nil:
		return err
	case must != "" && kind != must:
		return refuse("unable to use volume %s - content type needs to be '%s'", volume, must)
	case who.may("/storage/"+pool, "Datastore.Allocate"):
		return nil
	case kind == "iso", kind == "vztmpl", kind == "import":
		return who.seesStorage(pool)
	case owner != 0 && owner == id:
		return nil
	case kind == "backup" && owner != 0:
		if err := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		return who.needs(vmPath(owner), "VM.Backup")
	case kind == "images" && owner != 0:
		if err := who.needs("/storage/"+pool, "Datastore.Audit"); err != nil {
			return err
		}
		return who.needs(vmPath(owner), "VM.Config.Disk")
	}
	return refuse("missing privileges to access %s", volume)
}

// The method "missing" returns the storage's error for a volume that does not
// exist (activate_volume of its plugin).
func (s *storage) missing(name string) error {
	switch {
	case s.files():
		return refuse("volume '%s:%s' does not exist", s.Name, name)
	case s.Type == "zfspool":
		return refuse("timeout: no zvol device link for '%s' found after 300 sec.", name)
	}
	return refuse("no such logical volume %s/%s", s.Config["vgname"], name)
}

// directories maps a content type to its directory on a storage of files
// (vtype_subdirs of pve-storage PVE/Storage/Plugin.pm).
var directories = map[string]string{
	"images": "/images/", "iso": "/template/iso/", "vztmpl": "/template/cache/", "backup": "/dump/", "snippets": "/snippets/", "import": "/import/",
}

// The method "path" returns the absolute path of a volume on the host.
func (s *storage) path(name string) string {
	kind, _, _ := s.parseName(name)
	switch {
	case s.Type == "zfspool":
		return "/dev/zvol/" + s.Config["pool"] + "/" + name
	case !s.files():
		return "/dev/" + s.Config["vgname"] + "/" + name
	}
	return s.Config["path"] + directories[kind] + strings.TrimPrefix(name, kind+"/")
}
