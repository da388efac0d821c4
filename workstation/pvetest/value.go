package pvetest

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The embedded node has its own code for parsing values. If it used the code
// under test, a mistake in that code would not be noticed.

var driveKey = regexp.MustCompile(`^(ide[0-3]|sata[0-5]|scsi([12]?[0-9]|30)|virtio([0-9]|1[0-5])|efidisk0|tpmstate0)$`)

func isDrive(key string) bool { return driveKey.MatchString(key) }

// A drive is the value of a drive key: its volume and its options.
type drive struct {
	volume  string
	options map[string]string
}

func parseDrive(value string) drive {
	d := drive{options: map[string]string{}}
	for i, field := range strings.Split(value, ",") {
		key, text, found := strings.Cut(field, "=")
		switch {
		case !found && i == 0:
			d.volume = field
		case key == "file":
			d.volume = text
		case found:
			d.options[key] = text
		}
	}
	return d
}

func (d drive) media() string { return d.options["media"] }

// cloudinit reports whether the drive is a cloud-init drive, or a request for
// one (qemu-server PVE/QemuServer/Drive.pm, drive_is_cloudinit).
func (d drive) cloudinit() bool { return cloudinitVolume.MatchString(d.volume) }

var cloudinitVolume = regexp.MustCompile(`[:/](vm-\d+-)?cloudinit(\.(raw|qcow2|vmdk))?$`)

// String returns the drive in PVE's form: the volume, then the options in
// order.
func (d drive) String() string {
	fields := []string{d.volume}
	if strings.Contains(d.volume, "=") {
		fields[0] = "file=" + d.volume
	}
	for _, key := range sorted(d.options) {
		fields = append(fields, key+"="+d.options[key])
	}
	return strings.Join(fields, ",")
}

var units = map[byte]int64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}

// parseSize converts a size such as "64G" to bytes. If the text is not a size,
// it returns 0.
func parseSize(s string) int64 {
	if s == "" {
		return 0
	}
	unit, factor := s[len(s)-1], int64(1)
	if f, ok := units[unit]; ok {
		s, factor = s[:len(s)-1], f
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return int64(n * float64(factor))
}

// printSize formats a size in the largest unit that divides it.
func printSize(n int64) string {
	for _, unit := range "TGMK" {
		if f := units[byte(unit)]; n > 0 && n%f == 0 {
			return fmt.Sprintf("%d%c", n/f, unit)
		}
	}
	return text(int(n))
}

func text(n int) string { return strconv.Itoa(n) }

func atoi(s string, otherwise int) int {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "current="), ",")
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return otherwise
}

// The function "enabled" reports whether a value of the key agent turns the
// agent on. Such values are "1", "enabled=1" and "1,type=virtio".
func enabled(agent string) bool {
	first, _, _ := strings.Cut(agent, ",")
	switch strings.TrimPrefix(first, "enabled=") {
	case "1", "on", "yes", "true":
		return true
	}
	return false
}

// validKeys reports whether all lines of cloud-init's sshkeys are public keys.
// PVE asks ssh-keygen for this (pve-common PVE/Tools.pm,
// validate_ssh_public_keys). The data of a key begins with the key's type,
// which must match the type at the beginning of the line.
func validKeys(encoded string) bool {
	lines, err := url.PathUnescape(encoded)
	if err != nil {
		return false
	}
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 2 {
			return false
		}
		blob, err := base64.StdEncoding.DecodeString(fields[1])
		first := string(binary.BigEndian.AppendUint32(nil, uint32(len(fields[0])))) + fields[0]
		if err != nil || !strings.HasPrefix(string(blob), first) || !whole(blob) {
			return false
		}
	}
	return true
}

// The function "whole" reports whether a public key consists of strings, each
// preceded by its length, and of nothing else (RFC 4251, section 5).
func whole(blob []byte) bool {
	for len(blob) >= 4 {
		n := binary.BigEndian.Uint32(blob)
		if uint64(n) > uint64(len(blob)-4) {
			return false
		}
		blob = blob[4+n:]
	}
	return len(blob) == 0
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// The function "device" returns the host device and the mapping that a value
// names. If the value names no host device, host is "". If it names no mapping,
// mapping is "".
func device(value string) (host, mapping string) {
	host, mapping = property(value, "host"), property(value, "mapping")
	if first, _, _ := strings.Cut(value, ","); !strings.Contains(first, "=") {
		host = first
	}
	return host, mapping
}

// The function "property" returns the value of a key in a property string, or
// "" if the key is missing.
func property(value, key string) string {
	for field := range strings.SplitSeq(value, ",") {
		if text, found := strings.CutPrefix(field, key+"="); found {
			return text
		}
	}
	return ""
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sortedIDs[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }

// The function "stored" returns a value as it is read back from the
// configuration file: without surrounding white space and quotes. An empty
// value becomes a blank (parse_vm_config and check_type of qemu-server
// PVE/QemuServer.pm).
func stored(key, value string) string {
	if key == "description" {
		return value
	}
	value = strings.Trim(value, " \t")
	if p := pveschema.Key(key); p != nil && p.Kind == pveschema.String && p.Format == "" && len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return cmp.Or(value, " ")
}

// splitList splits a list as PVE does (pve-common PVE/Tools.pm, split_list).
func splitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" ,;\t\n\x00", r) })
}

// emptyDigest is the SHA-1 of an empty text. PVE returns it as the digest of a
// file that does not exist.
const emptyDigest = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
