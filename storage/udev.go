package storage

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// A record is what udev noted of a block device: /run/udev/data/bMAJOR:MINOR,
// with a link of /dev on each line "S:" and a property on each line "E:".
type record struct {
	links      []string
	properties map[string]string
}

// records returns udev's records of the disks and partitions, by their names.
// There are none without udev.
func (h Host) records(disks []Disk) map[string]record {
	records := map[string]record{}
	for _, d := range disks {
		dir := "block/" + d.Name()
		h.record(records, d.Name(), dir+"/dev")
		for _, p := range d.Partitions {
			name := strings.TrimPrefix(p, "/dev/")
			h.record(records, name, dir+"/"+name+"/dev")
		}
	}
	return records
}

func (h Host) record(records map[string]record, name, attribute string) {
	number, _, _ := sysfs.Optional(h.Sys, attribute)
	text, ok, _ := sysfs.Optional(h.Run, "udev/data/b"+number)
	if number == "" || !ok {
		return
	}
	r := record{properties: map[string]string{}}
	for line := range strings.Lines(text) {
		kind, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		switch kind {
		case "S":
			r.links = append(r.links, "/dev/"+value)
		case "E":
			key, value, _ := strings.Cut(value, "=")
			r.properties[key] = value
		}
	}
	records[name] = r
}

// byID returns the link that stays with the disk (60-persistent-storage.rules):
// the one with model and serial number rather than one that is a number only.
func (r record) byID() string {
	links := slices.DeleteFunc(slices.Clone(r.links), func(link string) bool { return !strings.HasPrefix(link, "/dev/disk/by-id/") })
	if len(links) == 0 {
		return ""
	}
	return slices.MinFunc(links, func(a, b string) int { return cmp.Or(cmp.Compare(numberOnly(a), numberOnly(b)), cmp.Compare(a, b)) })
}

func numberOnly(link string) int {
	for _, prefix := range []string{"wwn-", "nvme-eui.", "nvme-nvme.", "nvme-uuid.", "scsi-3"} {
		if strings.HasPrefix(strings.TrimPrefix(link, "/dev/disk/by-id/"), prefix) {
			return 1
		}
	}
	return 0
}

// zpools returns the ZFS pools by what blkid found on disks and partitions:
// all members bear the pool's name. What class they are of is not there, so
// all are taken for data, which never makes a pool look faster than it is.
func zpools(records map[string]record) []ZPool {
	var pools []ZPool
	for _, name := range slices.Sorted(maps.Keys(records)) {
		p := records[name].properties
		label := p["ID_FS_LABEL"]
		if p["ID_FS_TYPE"] != "zfs_member" || label == "" {
			continue
		}
		i := slices.IndexFunc(pools, func(z ZPool) bool { return z.Name == label })
		if i < 0 {
			i, pools = len(pools), append(pools, ZPool{Name: label})
		}
		pools[i].Devices = append(pools[i].Devices, ZDevice{Path: "/dev/" + name, Role: "data"})
	}
	return pools
}
