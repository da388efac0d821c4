package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
)

// configure plans a configured copy of OpenCore's image for the VM if the image
// is a file on this machine. It leaves any other image as it is, because PVE's
// API does not return the content of a volume.
func (s *show) configure(mac profile.MacOS, facts workstation.Facts) (loader.Copy, bool, error) {
	if _, err := os.Stat(mac.OpenCore); mac.OpenCore == "" || errors.Is(err, fs.ErrNotExist) {
		if len(s.source.Kexts) > 0 || s.source.Replace || s.identity != "keep" && s.identity != "" {
			return loader.Copy{}, false, fmt.Errorf("-kext, -identity and -replace configure a copy of an image, but -opencore %q is not a file on this machine", mac.OpenCore)
		}
		if mac.OpenCore != "" {
			s.out.Say("OpenCore's image %s is not a file here, so that nobody looked into it: give its path, or run this on the node.", mac.OpenCore)
		}
		return loader.Copy{}, false, nil
	}
	source := s.source
	source.Image = mac.OpenCore
	switch s.identity {
	case "given":
		secret := func(name string) proxstation.Secret { return proxstation.NewSecret(os.Getenv(name)) }
		source.Identity = opencore.Identity{Serial: secret("MACOS_SERIAL"), Board: secret("MACOS_MLB"), UUID: secret("MACOS_UUID"), ROM: secret("MACOS_ROM")}
		if source.Identity.Serial.IsZero() {
			return loader.Copy{}, false, errors.New("-identity given: set MACOS_SERIAL, MACOS_MLB, MACOS_UUID and MACOS_ROM")
		}
	case "made-up":
		source.MadeUp = true
	case "keep", "":
	default:
		return loader.Copy{}, false, fmt.Errorf("-identity %s: want keep, given or made-up", s.identity)
	}
	made, err := source.Plan(mac, facts)
	return made, err == nil, err
}
