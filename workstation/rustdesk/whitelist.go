package rustdesk

import (
	"net/netip"
	"strconv"
	"strings"
)

// parseWhitelist parses the option whitelist as RustDesk reads it (1.4.9
// src/server/connection.rs:1347, check_whitelist). If an entry is 0.0.0.0,
// everybody gets in. Entries that cannot be read are skipped. If no entry is
// left, nobody gets in, and the result is one invalid prefix, which contains no
// address.
func parseWhitelist(text string) []netip.Prefix {
	var prefixes []netip.Prefix
	skipped := false
	for field := range strings.SplitSeq(text, ",") {
		switch prefix, ok := parseNetwork(field); {
		case field == "":
		case field == "0.0.0.0":
			return nil
		case ok:
			prefixes = append(prefixes, prefix)
		default:
			skipped = true
		}
	}
	if len(prefixes) == 0 && skipped {
		return []netip.Prefix{{}}
	}
	return prefixes
}

// parseNetwork parses an address or network as the crate cidr-utils 0.5 does
// (IpCidr::from_str). An IPv4 network may have a netmask after the slash. A
// network of one, two or three numbers, such as 192.168, has 8, 16 or 24 bits.
func parseNetwork(text string) (netip.Prefix, bool) {
	address, bits, hasBits := strings.Cut(text, "/")
	if strings.Contains(address, ":") {
		addr, err := netip.ParseAddr(address)
		length, ok := 128, true
		if hasBits {
			length, ok = parseNumber(bits, 128)
		}
		return netip.PrefixFrom(addr, length).Masked(), err == nil && addr.Zone() == "" && ok
	}
	numbers := strings.Split(address, ".")
	missing := 4 - len(numbers)
	if missing < 0 {
		return netip.Prefix{}, false
	}
	addr, ok := parseIPv4(address + strings.Repeat(".0", missing))
	length := 8 * len(numbers)
	if hasBits {
		given, known := parseMask(bits)
		if !known || missing > 0 && given != length {
			return netip.Prefix{}, false
		}
		length = given
	}
	return netip.PrefixFrom(addr, length).Masked(), ok
}

// parseMask parses the number of bits of an IPv4 network, or its netmask.
func parseMask(text string) (bits int, ok bool) {
	if !strings.Contains(text, ".") {
		return parseNumber(text, 32)
	}
	mask, ok := parseIPv4(text)
	if !ok {
		return 0, false
	}
	for bits := range 33 {
		if netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr() == mask {
			return bits, true
		}
	}
	return 0, false
}

func parseIPv4(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && addr.Is4()
}

// parseNumber parses a decimal number without a sign or leading zeros. It
// refuses a number greater than "most".
func parseNumber(text string, most int) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err == nil && int(n) <= most && text == strconv.FormatUint(n, 10)
}
