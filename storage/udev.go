package storage

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// The method "records" returns udev's records of the disks and partitions, by
// their names. A machine without udev has no records.
func (h host) records(disks []Disk) map[string]sysfs.Udev {
	records := map[string]sysfs.Udev{}
	note := func(name, attribute string) {
		number, _, _ := sysfs.Optional(h.sys, attribute)
		if record, ok := sysfs.UdevBlock(h.run, number); ok {
			records[name] = record
		}
	}
	for _, d := range disks {
		dir := "block/" + d.Name()
		note(d.Name(), dir+"/dev")
		for _, p := range d.Partitions {
			name := strings.TrimPrefix(p, "/dev/")
			note(name, dir+"/"+name+"/dev")
		}
	}
	return records
}

// byID returns the link that stays the same when disks are moved
// (60-persistent-storage.rules). It prefers a link with model and serial number
// to a link with a bare number.
func byID(record sysfs.Udev) string {
	links := slices.DeleteFunc(slices.Clone(record.Links), func(link string) bool { return !strings.HasPrefix(link, "/dev/disk/by-id/") })
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

// zpools returns the ZFS pools, from the disks and partitions on which blkid
// found the name of a pool. blkid does not record the class of a pool's member,
// so all members count as data. This never makes a pool look faster than it is.
func zpools(records map[string]sysfs.Udev) []ZPool {
	var pools []ZPool
	for _, name := range slices.Sorted(maps.Keys(records)) {
		label := records[name].ZPool()
		if label == "" {
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
