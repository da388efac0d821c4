package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

// The paths of PVE's configuration, below the root of a host. The first path is
// a link to the directory of the host's own VMs.
const (
	vmFiles     = "etc/pve/qemu-server"
	mappingFile = "etc/pve/mapping/pci.cfg"
)

// readVMs reads the configurations of the host's VMs and the resource mappings.
// For a host without /etc/pve it returns nothing. A file that exists but cannot
// be read is a finding with the ID inventory.vms-unread.
func readVMs(root fs.FS) (configs map[int]map[string]string, mappings []gpu.Mapping, unread []proxstation.Finding) {
	if _, err := fs.Stat(root, "etc/pve"); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	note := func(name string, err error) {
		seen, fix := "not there", "Look whether the cluster's file system is mounted: systemctl status pve-cluster."
		if !errors.Is(err, fs.ErrNotExist) {
			seen, fix = reason(err), "Read it as root."
		}
		unread = append(unread, proxstation.Finding{ID: "inventory.vms-unread", Severity: proxstation.Info, Subject: "/" + name, Seen: "/" + name + ": " + seen,
			Why: "It is not known whether VMs take these devices, and which of these VMs start with the host.", Fix: fix})
	}
	entries, err := fs.ReadDir(root, vmFiles)
	if err != nil {
		note(vmFiles, err)
	}
	configs = map[int]map[string]string{}
	for _, entry := range entries {
		number, isConfig := strings.CutSuffix(entry.Name(), ".conf")
		vmid, err := strconv.Atoi(number)
		if !isConfig || err != nil {
			continue
		}
		name := vmFiles + "/" + entry.Name()
		if text, err := fs.ReadFile(root, name); err == nil {
			configs[vmid] = ParseConfig(string(text))
		} else {
			note(name, err)
		}
	}
	text, err := fs.ReadFile(root, mappingFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		note(mappingFile, err)
	}
	return configs, parseMappings(string(text)), unread
}

// The function "reason" returns the cause of a file's error without the path.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return err.Error()
}

var (
	configLine    = regexp.MustCompile(`^([a-z][a-z_-]*\d*):\s*(.+?)\s*$`)
	configSection = regexp.MustCompile(`^\[([^\]]*)\]\s*$`)
)

// ParseConfig parses a VM's configuration in the form of PVE's file
// /etc/pve/qemu-server/VMID.conf. The result is the configuration of the VM's
// next start. It includes the section [PENDING], but no comments and no
// snapshots (parse_vm_config in qemu-server PVE/QemuServer.pm).
func ParseConfig(text string) map[string]string {
	config := map[string]string{}
	section := ""
	for line := range strings.SplitSeq(text, "\n") {
		if m := configSection.FindStringSubmatch(line); m != nil {
			section = strings.ToUpper(m[1])
			continue
		}
		m := configLine.FindStringSubmatch(line)
		if m == nil || section != "" && section != "PENDING" {
			continue
		}
		if section == "PENDING" && m[1] == "delete" {
			for key := range strings.FieldsFuncSeq(m[2], func(r rune) bool { return strings.ContainsRune(",; ", r) }) {
				delete(config, strings.TrimPrefix(key, "!"))
			}
			continue
		}
		config[m[1]] = m[2]
	}
	return config
}

// parseMappings parses /etc/pve/mapping/pci.cfg. A mapping's ID is a line of
// its own, and the indented lines below it are the mapping's properties
// (PVE/Mapping/PCI.pm).
func parseMappings(text string) []gpu.Mapping {
	var all []gpu.Mapping
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch indented := strings.TrimLeft(line, " \t") != line; {
		case key == "" || strings.HasPrefix(key, "#"):
		case !indented:
			all = append(all, gpu.Mapping{ID: key})
		case len(all) == 0:
		case key == "map":
			last := &all[len(all)-1]
			if entry, err := gpu.ParseMappingEntry(strings.TrimSpace(value)); err == nil {
				last.Entries = append(last.Entries, entry)
			} else {
				last.Unread = append(last.Unread, value)
			}
		case key == "mdev":
			all[len(all)-1].MDev = strings.TrimSpace(value) == "1"
		}
	}
	return all
}

// nodeName returns the name of the host's PVE node: its host name without a
// domain.
func nodeName(root fs.FS) string {
	text, _ := fs.ReadFile(root, "etc/hostname")
	name, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	return name
}

// guestOf returns the guest system that a configuration names. For a system
// that its ostype does not tell apart from others, it returns AnyGuest.
func guestOf(config map[string]string) gpu.Guest {
	switch ostype := config["ostype"]; {
	case ostype == "win11":
		return gpu.Windows11
	case slices.Contains([]string{"win10", "win8"}, ostype):
		return gpu.Windows10
	case slices.Contains([]string{"l26", "l24"}, ostype):
		return gpu.Linux
	}
	return gpu.AnyGuest
}

// The function "subject" returns the subject of a finding on a VM's key.
func subject(vmid int, key string) string { return fmt.Sprintf("VM %d %s", vmid, key) }
