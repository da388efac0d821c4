package storage

import "strings"

// ParseConfig parses PVE's storage configuration, /etc/pve/storage.cfg: blocks
// of "type: name" with indented "key value" lines (PVE manual, Storage
// Configuration). Storages that are disabled are left out; lines that are
// neither are passed over, as PVE does it.
func ParseConfig(text string) []Storage {
	var storages []Storage
	disabled := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if len(storages) > 0 {
				s := &storages[len(storages)-1]
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if key == "disable" && strings.TrimSpace(value) != "0" {
					disabled[s.Name] = true
				}
				s.set(key, strings.TrimSpace(value))
			}
		default:
			if kind, name, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) != "" {
				storages = append(storages, Storage{Name: strings.TrimSpace(name), Type: strings.TrimSpace(kind), Active: true})
			}
		}
	}
	var enabled []Storage
	for _, s := range storages {
		if !disabled[s.Name] {
			enabled = append(enabled, s)
		}
	}
	return enabled
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
		s.Sparse = value == "1" || value == ""
	case "shared":
		s.Shared = value == "1" || value == ""
	case "content":
		for content := range strings.SplitSeq(value, ",") {
			s.Content = append(s.Content, strings.TrimSpace(content))
		}
	}
}
