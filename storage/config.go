package storage

import (
	"slices"
	"strings"
)

// ParseConfig parses PVE's storage configuration, /etc/pve/storage.cfg: blocks
// of "type: name" with indented "key value" lines (PVE manual, Storage
// Configuration). It leaves out storages that are disabled. Like PVE, it skips
// lines of any other form.
func ParseConfig(text string) []Storage {
	enabled, _ := parseConfig(text)
	return enabled
}

// parseConfig returns the enabled storages, and the names of the disabled
// storages.
func parseConfig(text string) (enabled []Storage, disabled map[string]bool) {
	var storages []Storage
	disabled = map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if len(storages) > 0 {
				s := &storages[len(storages)-1]
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if key == "disable" {
					disabled[s.Name] = isTrue(strings.TrimSpace(value))
				}
				s.set(key, strings.TrimSpace(value))
			}
		default:
			if kind, name, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) != "" {
				storages = append(storages, Storage{Name: strings.TrimSpace(name), Type: strings.ToLower(strings.TrimSpace(kind)), Active: true})
			}
		}
	}
	for _, s := range storages {
		if disabled[s.Name] {
			continue
		}
		switch { // is_mountpoint is a path, or says whether the storage's own path is meant
		case s.MountPoint == "" || strings.HasPrefix(s.MountPoint, "/"):
		case isTrue(s.MountPoint):
			s.MountPoint = s.Path
		default:
			s.MountPoint = ""
		}
		if s.Content == nil {
			s.Content = slices.Clone(contents[s.Type])
		}
		enabled = append(enabled, s)
	}
	return enabled, disabled
}

// The table "contents" holds the content types that PVE assumes for a storage
// without a list of content types, by the storage's type (pve-storage,
// plugindata of each type).
var contents = map[string][]string{
	"dir": {"images", "rootdir"}, "btrfs": {"images", "rootdir"}, "lvmthin": {"images", "rootdir"}, "zfspool": {"images", "rootdir"},
	"lvm": {"images"}, "nfs": {"images"}, "cifs": {"images"}, "rbd": {"images"}, "iscsi": {"images"}, "iscsidirect": {"images"}, "zfs": {"images"},
	"pbs": {"backup"}, "cephfs": {"backup"}, "esxi": {"import"},
}

// isTrue parses a boolean as PVE does (pve-common PVE/JSONSchema.pm,
// parse_boolean). A key without a value is true.
func isTrue(value string) bool {
	return value == "" || slices.Contains([]string{"1", "on", "yes", "true"}, strings.ToLower(value))
}

// The function "list" splits a list as PVE does (pve-common PVE/Tools.pm,
// split_list).
func list(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",; \t", r) })
}

func (s *Storage) set(key, value string) {
	switch key {
	case "path":
		s.Path = value
	case "vgname":
		s.Group = value
	case "thinpool":
		s.ThinPool = value
	case "pool":
		s.ZPool = value
	case "server":
		s.Server = value
	case "sparse":
		s.Sparse = isTrue(value)
	case "shared":
		s.Shared = isTrue(value)
	case "nodes":
		s.Nodes = list(value)
	case "is_mountpoint":
		s.MountPoint = value
	case "content":
		s.Content = append(s.Content, list(value)...)
	}
}
