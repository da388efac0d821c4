package sysfs

import (
	"io/fs"
	"strings"
)

// A Udev holds udev's record of a device (from the database of systemd-udevd;
// udevadm info --query=all shows it).
type Udev struct {
	Links      []string          // paths below /dev, from lines with "S:"
	Properties map[string]string // from lines with "E:"
}

// UdevBlock returns udev's record of a block device. run is the machine's /run,
// which contains udev/data. number is the device's number, such as "8:3". ok is
// false if there is no record.
func UdevBlock(run fs.FS, number string) (u Udev, ok bool) {
	text, ok, _ := Optional(run, "udev/data/b"+number)
	if !ok || number == "" {
		return Udev{}, false
	}
	u.Properties = map[string]string{}
	for line := range strings.Lines(text) {
		kind, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		switch kind {
		case "S":
			u.Links = append(u.Links, "/dev/"+value)
		case "E":
			key, value, _ := strings.Cut(value, "=")
			u.Properties[key] = value
		}
	}
	return u, true
}

// ZPool returns the name of the ZFS pool to which the device belongs, or "".
// blkid stores the pool's name as the label of each member.
func (u Udev) ZPool() string {
	if u.Properties["ID_FS_TYPE"] != "zfs_member" {
		return ""
	}
	return u.Properties["ID_FS_LABEL"]
}
