package pve

import "regexp"

// HiddenOSK stands where the key of an emulated Apple SMC stood.
const HiddenOSK = "[secret]"

// oskOption is the key's option of QEMU's device isa-applesmc, with the quotes
// that a shell's words may have (QEMU hw/misc/applesmc.c).
var oskOption = regexp.MustCompile(`\b(osk=)("[^"]*"|'[^']*'|[^\s,"']*)`)

// HideOSK returns a text with the key of every emulated Apple SMC hidden: a
// value of args, or a message of PVE's, which shows QEMU's whole command line
// when a VM does not start.
func HideOSK(text string) string { return oskOption.ReplaceAllString(text, "${1}"+HiddenOSK) }

// OSK returns the key in a value of args; empty if there is none, or it is
// hidden.
func OSK(args string) string {
	match := oskOption.FindStringSubmatch(args)
	if match == nil || match[2] == HiddenOSK {
		return ""
	}
	key := match[2]
	if n := len(key); n > 1 && (key[0] == '"' || key[0] == '\'') {
		key = key[1 : n-1]
	}
	return key
}
