package macos

import (
	"regexp"
	"strings"
)

// hidden replaces the key of an emulated Apple SMC in texts.
const hidden = "[secret]"

// oskOption matches the option with the key of QEMU's device isa-applesmc (QEMU
// hw/misc/applesmc.c). The key may be quoted as in a shell. The quotes may be
// escaped as in JSON.
var oskOption = regexp.MustCompile(`\bosk=(?:\\*"[^"]*"|\\*'[^']*'|[^\s,"']*)`)

// HideOSK hides the key of every emulated Apple SMC in a text. The text is a
// value of args, or a message of PVE. If a VM does not start, PVE's message
// contains QEMU's whole command line. Quotes are kept.
func HideOSK(text string) string { return putOSK(text, func(string) string { return hidden }) }

// RevealOSK returns a value of args in which the hidden key was replaced by the
// real key.
func RevealOSK(args, key string) string {
	return putOSK(args, func(have string) string {
		if have == hidden {
			return key
		}
		return have
	})
}

// OSK returns the key in a value of args. It returns "" if the value contains
// no key, or if the key is hidden.
func OSK(args string) (key string) {
	putOSK(args, func(have string) string {
		if have != hidden && key == "" {
			key = have
		}
		return have
	})
	return key
}

// OSKHidden reports whether a value of args has a hidden key.
func OSKHidden(args string) bool { return RevealOSK(args, "") != args }

func putOSK(text string, put func(key string) string) string {
	return oskOption.ReplaceAllStringFunc(text, func(option string) string {
		key, before, after := strings.TrimPrefix(option, "osk="), "", ""
		if n := strings.IndexAny(key, `"'`); n >= 0 {
			before, key = key[:n+1], key[n+1:]
			after = before
			if !strings.HasSuffix(key, after) { // the opening quote is escaped, but the closing quote is not
				after = before[n:]
			}
			key = strings.TrimSuffix(key, after)
		}
		return "osk=" + before + put(key) + after
	})
}
