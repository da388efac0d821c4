package pvetest

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// newVolume matches "storage:GIGABYTES", the request for a new volume
// (qemu-server PVE/QemuServer/Drive.pm, NEW_DISK_RE).
var newVolume = regexp.MustCompile(`^([^:\s/]+):(\d+(?:\.\d+)?)$`)

func isNew(volume string) bool { return newVolume.MatchString(volume) }

// readDrive parses the value of a drive and converts it to PVE's form. Options
// have their full names, booleans are digits, rates are in megabytes instead of
// bytes, and an image is named by its volume ID (parse_drive of
// PVE/QemuServer/Drive.pm, cleanup_drive_path of PVE/QemuServer.pm).
func (n *Node) readDrive(key, value string) (drive, error) {
	options, err := pveschema.ParseDrive(key, value)
	if err != nil {
		return drive{}, wrong(key, "unable to parse drive options")
	}
	d := drive{volume: options["file"], options: options}
	delete(options, "file")
	for _, name := range []string{"bps", "bps_rd", "bps_wr"} {
		if bytes, err := strconv.ParseFloat(options[name], 64); err == nil {
			delete(options, name)
			options["m"+name] = fmt.Sprintf("%.3f", bytes/(1<<20))
		}
	}
	if size := options["size"]; size != "" {
		options["size"] = printSize(parseSize(strings.TrimSuffix(size, "iB")))
	}
	if strings.HasPrefix(d.volume, "/") && !strings.HasPrefix(d.volume, "/dev/") {
		kind, id := n.volumeOfPath(d.volume)
		if kind == "" {
			return d, wrong(key, "unable to associate path '%s' to any storage", d.volume)
		}
		d.volume = id
		if d.media() == "" && kind == "iso" {
			options["media"] = "cdrom"
		}
		if want := map[string]string{"disk": "images", "cdrom": "iso"}[d.media()]; want != "" && want != kind {
			return d, wrong(key, "unexpected media type (%s != %s)", kind, want)
		}
	}
	if d.media() == "" && (d.volume == "none" || d.volume == "cdrom") {
		options["media"] = "cdrom"
	}
	return d, nil
}

// volumeOfPath returns the kind and the ID of the volume at a path. The volume
// need not exist. If the path is on no storage, both results are "".
func (st *store) volumeOfPath(path string) (kind, id string) {
	for _, name := range sorted(st.storages) {
		for kind, dir := range directories {
			base := st.storages[name].Config["path"]
			rest, inside := strings.CutPrefix(path, base+dir)
			if base == "" || !inside || strings.Contains(rest, "/") != (kind == "images") {
				continue
			}
			if kind != "images" {
				rest = kind + "/" + rest
			}
			return kind, name + ":" + rest
		}
	}
	return "", ""
}

// driveValue returns the value that PVE stores for a requested drive. It makes
// a new volume, or checks that the existing volume exists (create_disks).
func (n *Node) driveValue(v *vm, config map[string]string, key, value string) (result string, err error) {
	d := parseDrive(value)
	pool, name, _ := strings.Cut(d.volume, ":")
	switch match := newVolume.FindStringSubmatch(d.volume); {
	case d.volume == "none" || d.volume == "cdrom":
		delete(d.options, "size")
		return d.String(), nil
	case name == "cloudinit":
		if err := otherCloudInit(config, key); err != nil {
			return "", err
		}
		d.volume, err = n.allocate(pool, fmt.Sprintf("vm-%d-cloudinit", v.id), d.options["format"], 4<<20, v.id)
		d.options["media"] = "cdrom"
		delete(d.options, "format")
		return d.String(), err
	case match != nil:
		return n.newDrive(v, key, d, match)
	}
	if strings.HasPrefix(d.volume, "/") {
		size, there := n.host.Files[d.volume]
		if !there {
			return "", refuse("volume %s does not exist", d.volume)
		}
		d.options["size"] = printSize(size)
		return d.String(), nil
	}
	return n.oldDrive(config, key, d)
}

func otherCloudInit(config map[string]string, key string) error {
	for _, other := range sorted(config) {
		d := parseDrive(config[other])
		if _, name, _ := strings.Cut(d.volume, ":"); other != key && isDrive(other) && d.cloudinit() && name != "cloudinit" {
			return refuse("%s - cloud-init drive is already attached at '%s'", key, other)
		}
	}
	return nil
}

// oldDrive attaches an existing volume.
func (n *Node) oldDrive(config map[string]string, key string, d drive) (string, error) {
	s, err := n.online(strings.SplitN(d.volume, ":", 2)[0])
	if err != nil {
		return "", err
	}
	_, name, there := n.volume(d.volume)
	if _, _, err := s.parseName(name); err != nil {
		return "", err
	}
	if d.cloudinit() {
		if err := otherCloudInit(config, key); err != nil {
			return "", err
		}
	}
	if !there {
		return "", s.missing(name)
	}
	volume := s.volumes[name]
	if format, said := d.options["format"], cmp.Or(volume.Format, "raw"); format != "" && format != said && volume.kind() == "images" {
		return "", refuse("drive '%s' - volume '%s' - 'format=%s' option different from storage format '%s'", key, d.volume, format, said)
	}
	d.options["size"] = printSize(volume.Size)
	return d.String(), nil
}

// newDrive makes the volume for "storage:GIGABYTES". EFI variables and the TPM
// state always have the same size, whatever size was requested.
func (n *Node) newDrive(v *vm, key string, d drive, match []string) (value string, err error) {
	gigabytes, _ := strconv.ParseFloat(match[2], 64)
	size := int64(gigabytes * (1 << 30))
	s, err := n.find(match[1])
	if err != nil {
		return "", err
	}
	switch source := d.options["import-from"]; {
	case source != "":
		if size, err = n.imported(source); err != nil {
			return "", err
		}
		delete(d.options, "import-from")
	case key == "efidisk0":
		if size = s.round(128 << 10); d.options["efitype"] == "4m" {
			size = s.round(540672)
			n.enrol(d)
		}
	case key == "tpmstate0":
		size = 4 << 20
	case size == 0:
		return "", refuse("unable to create image: size of '%s' is 0", key)
	}
	d.volume, err = n.allocate(match[1], fmt.Sprintf("vm-%d-disk-", v.id), d.options["format"], size, v.id)
	d.options["size"] = printSize(size)
	delete(d.options, "format")
	return d.String(), err
}

// The method "imported" returns the size of the volume from which a new disk is
// made.
func (n *Node) imported(source string) (int64, error) {
	if strings.HasPrefix(source, "/") { // like abs_filesystem_path in pve-storage PVE/Storage.pm
		size, there := n.host.Files[source]
		if !there {
			return 0, refuse("can't find file '%s'", source)
		}
		return size, nil
	}
	from, name, there := n.volume(source)
	if !there {
		return 0, refuse("cannot import from '%s' - volume '%s' does not exist", source, source)
	}
	return from.volumes[name].Size, nil
}

// The method "enrol" adds the option ms-cert to EFI variables with pre-enrolled
// keys. The option says that the variables contain Microsoft's certificates of
// 2023 and the key exchange key (create_efidisk of PVE/QemuServer/OVMF.pm,
// since qemu-server 9.1.5). In PVE 9.1, it depends on the firmware package
// whether PVE adds the option. The embedded node adds it from version 9.2 on.
func (n *Node) enrol(d drive) {
	if d.options["pre-enrolled-keys"] == "1" && !n.olderThan(9, 2) {
		d.options["ms-cert"] = "2023k"
	}
}

// The method "round" returns the size of a volume, rounded up to whole extents
// on LVM, and to whole megabytes on ZFS.
func (s *storage) round(size int64) int64 {
	step := int64(1)
	switch s.Type {
	case "lvm", "lvmthin":
		step = 4 << 20
	case "zfspool":
		step = 1 << 20
	}
	return (size + step - 1) / step * step
}
