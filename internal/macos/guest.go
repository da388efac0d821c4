package macos

import (
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// appleRelease matches the names of macOS releases that people put into the
// names of VMs and images. macWords matches other words in the names of such
// VMs.
var (
	appleRelease = regexp.MustCompile(`(?i)high[-_ ]?sierra|mojave|catalina|big[-_ ]?sur|monterey|ventura|sonoma|sequoia|tahoe`)
	macWords     = regexp.MustCompile(`(?i)opencore|clover|mac-?os|hackintosh`)
)

// GuestOf guesses whether the system in a VM is macOS, and its release. It relies
// first on an emulated Apple SMC or a boot loader for macOS, then on the ostype,
// and last on names.
func GuestOf(name string, config map[string]string) (release gpu.Guest, is bool) {
	var volumes []string
	for _, slot := range qmconf.Slots(config) {
		volumes = append(volumes, config[slot])
	}
	text := strings.Join(volumes, " ")
	words := strings.Join([]string{name, config["description"], text}, " ")
	windows, linux := strings.HasPrefix(config["ostype"], "w"), strings.HasPrefix(config["ostype"], "l2")
	if !strings.Contains(config["args"], "isa-applesmc") && (windows || !macWords.MatchString(text) && (linux || !macWords.MatchString(words))) {
		return gpu.AnyGuest, false
	}
	found := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(appleRelease.FindString(words)))
	for release := gpu.MacOSHighSierra; release <= gpu.MacOSTahoe; release++ {
		if found != "" && strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(release.String(), "macOS "), " ", "")) == found {
			return release, true
		}
	}
	return gpu.MacOSSequoia, true
}
