package pveschema

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A verifier says what is wrong with a value of a named format.
type verifier func(string) error

var dnsName = matches(`(([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)\.)*([A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?)`, "value does not look like a valid DNS name")

// named holds the formats whose name is all that the API description tells,
// with the rule from the source file beside each. Formats in neither this map
// nor the table accept every value.
var named = map[string]verifier{
	// pve-common PVE/JSONSchema.pm
	"pve-node":        matches(`[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?`, "value does not look like a valid node name"),
	"pve-vmid":        matches(`[1-9][0-9]{2,8}`, "value does not look like a valid VM ID"),
	"pve-storage-id":  matches(`(?i:[a-z][a-z0-9\-_.]*[a-z0-9])`, "storage ID '%s' contains illegal characters"),
	"pve-bridge-id":   matches(`[-_.\w\d]+`, "invalid bridge ID '%s'"),
	"pve-configid":    matches(`(?i:[a-z][a-z0-9_-]+)`, "invalid configuration ID '%s'"),
	"mac-addr":        matches(`(?i:[a-f0-9][02468ace](:[a-f0-9]{2}){5})`, "value does not look like a valid unicast MAC address"),
	"dns-name":        dnsName,
	"disk-size":       matches(`\d+(\.\d+)?[KMGT]?`, "value does not look like a valid disk size: %s"),
	"pve-tag":         matches(`(?i:[a-z0-9_][a-z0-9_\-+.]*)`, "invalid characters in tag"),
	"urlencoded":      matches(`[-%a-zA-Z0-9_.!~*'()]*`, "invalid urlencoded string"),
	"pve-poolid":      matches(`[A-Za-z0-9.\-_]+(/[A-Za-z0-9.\-_]+){0,2}`, "value does not look like a valid pool name"),
	"ip":              address,
	"ipv4":            address,
	"ipv6":            address,
	"address":         host,
	"pve-ipv4-config": network("ipv4", "dhcp", "manual"),
	"pve-ipv6-config": network("ipv6", "dhcp", "manual", "auto"),
	// pve-storage PVE/Storage.pm
	"pve-volume-id":                  matches(`[^:\s]+:\S+`, "unable to parse volume ID '%s'"),
	"pve-volume-id-or-qm-path":       matches(`(none|cdrom|/.+|[^:\s]+:\S+)`, "unable to parse volume ID '%s'"),
	"pve-volume-id-or-absolute-path": matches(`(/.+|[^:\s]+:\S+)`, "unable to parse volume ID '%s'"),
	// qemu-server PVE/QemuServer.pm
	"pve-qm-bootdisk":   matches(`(ide|sata|scsi|virtio|efidisk|tpmstate)\d+`, "invalid boot disk '%s'"),
	"pve-startup-order": startup,
	"pve-cpuset":        cpuset,
	// qemu-server PVE/QemuServer/PCI.pm
	"pve-qm-hostpci-host": each(";", matches(`(?i:([0-9a-f]{4,}:)?[0-9a-f]{2}:[0-9a-f]{2}(\.[0-9a-f])?)`, "value does not look like a PCI address: %s")),
}

// lists are formats that hold several values of another (the "-list" ending
// of PVE/JSONSchema.pm, split_list).
func checkFormat(name, value string) error {
	if f, ok := loaded().formats[name]; ok {
		_, err := f.parse(value)
		return err
	}
	if check, ok := named[name]; ok {
		return check(value)
	}
	if element, ok := strings.CutSuffix(name, "-list"); ok {
		for _, item := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,;\x00", r) }) {
			if err := checkFormat(element, item); err != nil {
				return err
			}
		}
	}
	if inner, ok := strings.CutSuffix(name, "-opt"); ok && value != "" {
		return checkFormat(inner, value)
	}
	return nil
}

func matches(pattern, complaint string) verifier {
	re := regexp.MustCompile(`^(?:` + pattern + `)$`)
	return func(value string) error {
		switch {
		case re.MatchString(value):
			return nil
		case strings.Contains(complaint, "%s"):
			return fmt.Errorf(complaint, value)
		}
		return fmt.Errorf("%s", complaint)
	}
}

func each(separator string, check verifier) verifier {
	return func(value string) error {
		for item := range strings.SplitSeq(value, separator) {
			if err := check(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func address(value string) error {
	if _, err := netip.ParseAddr(value); err != nil {
		return fmt.Errorf("value does not look like a valid IP address")
	}
	return nil
}

func host(value string) error {
	if address(value) != nil && dnsName(value) != nil {
		return fmt.Errorf("value does not look like a valid address: %s", value)
	}
	return nil
}

// network checks an address with the length of its network, or a word.
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

var startupField = regexp.MustCompile(`^(order=\d+|\d+|up=\d+|down=\d+)$`)

func startup(value string) error {
	for field := range strings.SplitSeq(value, ",") {
		if !startupField.MatchString(strings.TrimSpace(field)) {
			return fmt.Errorf("unable to parse startup options")
		}
	}
	return nil
}
