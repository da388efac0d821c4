package pveschema

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A verifier returns an error if a value does not have the named format.
type verifier func(string) error

// The patterns that several formats share.
const (
	storage = `(?i:[a-z][a-z0-9\-_.]*[a-z0-9])`
	volume  = storage + `:.+`
	domain  = `(([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)\.)*([A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?)`
)

var dnsName = matches(domain, "value does not look like a valid DNS name")

// named holds the formats for which the API description has only a name. Each
// has the source file of its rule. A format that is neither in this map nor in
// the table accepts every value.
var named = map[string]verifier{
	// Source: pve-common PVE/JSONSchema.pm.
	"pve-node":        matches(`[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?`, "value does not look like a valid node name"),
	"pve-vmid":        matches(`[1-9][0-9]{2,8}`, "value does not look like a valid VM ID"),
	"pve-storage-id":  all(longer(1, "storage ID '%s' cannot be shorter than 2 characters"), matches(storage, "storage ID '%s' contains illegal characters")),
	"pve-bridge-id":   matches(`[-_.\w\d]+`, "invalid bridge ID '%s'"),
	"pve-configid":    matches(`(?i:[a-z][a-z0-9_-]+)`, "invalid configuration ID '%s'"),
	"mac-addr":        matches(`(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){5})`, "value does not look like a valid unicast MAC address"),
	"dns-name":        dnsName,
	"disk-size":       matches(`\d+(\.\d+)?([KMGT](iB)?)?`, "value does not look like a valid disk size: %s"),
	"pve-tag":         matches(`(?i:[a-z0-9_][a-z0-9_\-+.]*)`, "invalid characters in tag"),
	"urlencoded":      matches(`[-%a-zA-Z0-9_.!~*'()]*`, "invalid urlencoded string: %s"),
	"pve-poolid":      matches(`[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+){0,2}`, "value does not look like a valid pool name"),
	"ip":              address("IP"),
	"ipv4":            address("IPv4"),
	"ipv6":            address("IPv6"),
	"address":         host,
	"pve-ipv4-config": network("ipv4", "dhcp", "manual"),
	"pve-ipv6-config": network("ipv6", "dhcp", "manual", "auto"),
	// Source: pve-access-control PVE/AccessControl.pm and PVE/Auth/Plugin.pm.
	"pve-userid":  matches(`[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+`, "value '%s' does not look like a valid user name"),
	"pve-realm":   matches(`[A-Za-z][A-Za-z0-9.\-_]+`, "value does not look like a valid realm"),
	"pve-groupid": matches(`[A-Za-z0-9.\-_]+`, "group name '%s' contains invalid characters"),
	"pve-roleid":  matches(`[A-Za-z0-9.\-_]+`, "role name '%s' contains invalid characters"),
	"pve-tokenid": matches(`[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+`, "value '%s' does not look like a valid token ID"),
	// Source: pve-storage PVE/Storage/Plugin.pm.
	"pve-volume-id":       matches(volume, "unable to parse volume ID '%s'"),
	"pve-storage-content": matches(`images|rootdir|vztmpl|iso|backup|snippets|none|import`, "invalid content type '%s'"),
	// Source: qemu-server PVE/QemuServer.pm.
	"pve-volume-id-or-qm-path":       matches(`none|cdrom|/(?s:.*)|`+volume, "unable to parse volume ID '%s'"),
	"pve-volume-id-or-absolute-path": matches(`/(?s:.*)|`+volume, "unable to parse volume ID '%s'"),
	"pve-qm-bootdisk":                matches(drives+`|efidisk0|tpmstate0`, "invalid boot disk '%s'"),
	"pve-qm-bootdev":                 matches(drives+`|net([12]?\d|3[01])|usb(\d|1[0-3])|hostpci(\d|1[0-5])`, "invalid boot device '%s'"),
	"pve-hotplug-features":           hotplug,
	"pve-startup-order":              startup,
	"pve-cpuset":                     cpuset,
	// Source: pve-ha-manager PVE/HA/Tools.pm.
	"pve-ha-resource-id":       matches(`[a-z]+:\S+`, "value does not look like a valid ha resource id"),
	"pve-ha-resource-or-vm-id": matches(`[a-z]+:\S+|\d+`, "value does not look like a valid ha resource id"),
	"pve-ha-node":              matches(`[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?(:\d+)?`, "value does not look like a valid ha node"),
	// Source: qemu-server PVE/QemuServer/CPUConfig.pm.
	"pve-phys-bits": matches(`host|0?[89]|[1-5]\d|6[0-4]`, "value must be an integer between 8 and 64 or 'host'"),
}

const drives = `ide[0-3]|sata[0-5]|scsi([12]?\d|30)|virtio(\d|1[0-5])`

// validators holds the checks of a whole property string, by format.
var validators = map[string]func(map[string]string) error{"pve-vm-cpu-conf": checkCPU}

// checkFormat checks a value against the named format. A format "NAME-list"
// allows several values of the format NAME, and "NAME-opt" also allows an empty
// value (check_format of PVE/JSONSchema.pm).
func checkFormat(at Version, name, path, value string) error {
	if f, ok := loaded().formats[name]; ok {
		_, err := f.parse(at, path, value)
		return err
	}
	if check, ok := named[name]; ok {
		return check(value)
	}
	if element, ok := strings.CutSuffix(name, "-list"); ok {
		for _, item := range SplitList(value) {
			if err := checkFormat(at, element, path, item); err != nil {
				return err
			}
		}
	}
	if inner, ok := strings.CutSuffix(name, "-opt"); ok && value != "" {
		return checkFormat(at, inner, path, value)
	}
	return nil
}

// SplitList splits a list as PVE does: at NUL if the list has a NUL, otherwise
// at commas, semicolons and white space (split_list of pve-common
// PVE/Tools.pm).
func SplitList(value string) []string {
	if strings.Contains(value, "\x00") {
		return strings.FieldsFunc(value, func(r rune) bool { return r == 0 })
	}
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",; \t\r\n\f", r) })
}

// matches returns a verifier for a pattern. The pattern is compiled at its
// first use, because compiling all patterns would slow the start of every
// program that imports this package.
func matches(pattern, complaint string) verifier {
	re := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) })
	return func(value string) error {
		switch {
		case re().MatchString(value):
			return nil
		case strings.Contains(complaint, "%s"):
			return fmt.Errorf(complaint, value)
		}
		return fmt.Errorf("%s", complaint)
	}
}

// The function "all" returns a verifier that runs several verifiers in turn.
func all(checks ...verifier) verifier {
	return func(value string) error {
		for _, check := range checks {
			if err := check(value); err != nil {
				return err
			}
		}
		return nil
	}
}

func longer(than int, complaint string) verifier {
	return func(value string) error {
		if len(value) <= than {
			return fmt.Errorf(complaint, value)
		}
		return nil
	}
}

// The function "address" returns a verifier for an address of a family: "IP",
// "IPv4" or "IPv6".
func address(family string) verifier {
	return func(value string) error {
		a, err := netip.ParseAddr(value)
		if err != nil || family == "IPv4" && !a.Is4() || family == "IPv6" && !a.Is6() {
			return fmt.Errorf("value does not look like a valid %s address", family)
		}
		return nil
	}
}

func host(value string) error {
	if address("IP")(value) != nil && dnsName(value) != nil {
		return fmt.Errorf("value does not look like a valid address: %s", value)
	}
	return nil
}

// The function "network" returns a verifier for an address with the length of
// its network prefix. The verifier also accepts the given words.
func network(family string, words ...string) verifier {
	return func(value string) error {
		prefix, err := netip.ParsePrefix(value)
		if slices.Contains(words, value) || err == nil && prefix.Addr().Is4() == (family == "ipv4") && prefix.Bits() > 7 {
			return nil
		}
		return fmt.Errorf("value does not look like a valid %s network configuration", family)
	}
}

var cpuRange = regexp.MustCompile(`^\s*(\d+)(?:-(\d+))?\s*$`)

// cpuset checks a list of CPUs (pve-common PVE/CpuSet.pm, parse_cpuset).
func cpuset(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		match := cpuRange.FindStringSubmatch(part)
		if match == nil {
			return fmt.Errorf("unable to parse cpuset option")
		}
		from, _ := strconv.Atoi(match[1])
		if to, err := strconv.Atoi(match[2]); err == nil && to < from {
			return fmt.Errorf("unable to parse cpuset option")
		}
	}
	return nil
}

var startupField = regexp.MustCompile(`^((order=)?\d+|up=\d+|down=\d+|\s*)$`)

func startup(value string) error {
	for field := range strings.SplitSeq(value, ",") {
		if value == "0" || value == "" || !startupField.MatchString(field) { // in Perl, "0" and "" are false
			return fmt.Errorf("unable to parse startup options")
		}
	}
	return nil
}

var hotplugFeature = regexp.MustCompile(`^(network|disk|cpu|memory|usb|cloudinit)$`)

func hotplug(value string) error {
	if value == "0" || value == "1" {
		return nil
	}
	for _, feature := range SplitList(value) {
		if !hotplugFeature.MatchString(feature) {
			return fmt.Errorf("invalid hotplug feature '%s'", feature)
		}
	}
	return nil
}
