package fat

import (
	"fmt"
	"strings"
)

// Check returns an error that matches [ErrFormat] if a change of one file could
// damage another file. This is the case if two files share a cluster, if a
// chain of clusters leads to a free cluster, if a directory contains itself, or
// if a directory has a name twice. Check looks at all directories and chains,
// but not at the content of files.
func (v *Volume) Check() error {
	type place struct {
		name string
		e    Entry
	}
	owners := make([]bool, int64(v.clusters)+firstCluster)
	for todo := []place{{"", v.rootEntry()}}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		if at.e.first == 0 && (at.name == "" || !at.e.Dir && at.e.Size == 0) { // the root of FAT12 and FAT16, or an empty file
		} else if err := v.own(at.e, owners); err != nil {
			return fmt.Errorf("%w (%s)", err, at.name)
		}
		if !at.e.Dir {
			continue
		}
		slots, err := v.slots(at.e)
		if err != nil {
			return fmt.Errorf("%w (%s)", err, at.name)
		}
		names := map[string]bool{}
		for _, e := range entries(slots, v.width) {
			key := strings.ToLower(e.Name)
			if names[key] {
				return fmt.Errorf("%w: the name %s/%s is there twice", ErrFormat, at.name, e.Name)
			}
			if names[key] = true; e.short[0] != '.' { // the entries "." and ".."
				todo = append(todo, place{at.name + "/" + e.Name, e})
			}
		}
	}
	return nil
}

// own marks the clusters of a file as taken. It returns an error if one of them
// is taken already.
func (v *Volume) own(e Entry, owners []bool) error {
	list, err := v.chain(e.first, int64(v.clusters))
	for _, cluster := range list {
		if owners[cluster] {
			return fmt.Errorf("%w: cluster %d belongs to two files", ErrFormat, cluster)
		}
		owners[cluster] = true
	}
	return err
}

// ValidName reports whether a FAT file system can hold a file of this name
// (Microsoft's FAT specification, long directory entries).
func ValidName(name string) bool {
	units := 0
	for _, r := range name {
		if r < ' ' || strings.ContainsRune("\"*/:<>?\\|\uFFFD", r) {
			return false
		}
		if units++; r > 0xFFFF {
			units++
		}
	}
	return units > 0 && units <= 255 && !strings.HasSuffix(name, ".") && name == strings.TrimSpace(name)
}
