// Macos makes a macOS VM on the host's Intel iGPU, in two stages: macOS is
// installed on a virtual display, and then gets the iGPU as its display.
//
//	go run ./examples/macos            # both stages on an embedded node: nothing to set up
//
// On a real node it plans one stage at a time, and changes nothing without
// -apply. Only root@pam with a password may set QEMU's arguments:
//
//	export PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_USERNAME=root@pam PROXMOX_VE_PASSWORD=...
//	export MACOS_OSK=...               # the key of your own Mac; it is never shown
//	go run ./examples/macos -opencore OpenCore-v21.iso.gz -kext Lilu.zip -kext WhateverGreen.zip -fetch ~/recovery -apply
//	go run ./examples/macos -stage card -apply
//
// The program reads OpenCore's image, checks it for the VM and its card, and
// configures a copy of it. docs/macos.md says how to check that macOS uses
// the card's acceleration.
package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/recovery"
)

const about = `Macos makes a macOS VM on the host's Intel iGPU, in two stages: macOS is installed on a virtual
display, and then gets the iGPU as its display. Without PROXMOX_VE_ENDPOINT it plays both stages
on an embedded node. On a real node it shows the plan of one stage, which -apply carries out. It
ends with code 0, 1 after an error, 3 if it is blocked. MACOS_OSK holds the key of a Mac of yours.`

func main() {
	connect.Main("macos", func(ctx context.Context, args []string, out io.Writer) error {
		return (&show{out: term.Of(out), release: recovery.Sequoia}).run(ctx, args)
	})
}

func (s *show) run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("macos", flag.ContinueOnError)
	connect.Describe(set, about, connect.Variables, "PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_USERNAME=root@pam PROXMOX_VE_PASSWORD=... MACOS_OSK=... \\\n  go run ./examples/macos -opencore OpenCore-v21.iso.gz -fetch ~/recovery -apply")
	flags := connect.Register(set)
	set.BoolVar(&s.apply, "apply", false, "change the real node; without it the plan is only shown")
	set.IntVar(&s.mac.ID, "vm", 130, "VMID")
	set.TextVar(&s.release, "release", s.release, "release of macOS, by name or version")
	set.TextVar(&s.mac.Stage, "stage", profile.MacInstall, "stage on a real node: install; card, which gives the VM the card; off, which takes the card away again")
	set.TextVar(&s.mac.Mode, "mode", profile.IGPUChosen, "how the iGPU is passed through: legacy (it is the only display) or headless (a virtual display is beside it)")
	set.StringVar(&s.mac.OpenCore, "opencore", "", "image of OpenCore. Of a file here, a copy is configured for the card and brought to the node. A volume of content type import, or a path on the node, is used as it is")
	set.Func("kext", "kernel extension to put into the image: its folder, or its project's zip archive; may be given again", func(name string) error {
		s.source.Kexts = append(s.source.Kexts, name)
		return nil
	})
	set.StringVar(&s.identity, "identity", "keep", "the Mac's serial numbers: keep (those of the image), given (in MACOS_SERIAL, MACOS_MLB, MACOS_UUID and MACOS_ROM) or made-up")
	set.BoolVar(&s.source.Replace, "replace", false, "put the configured image before the boot loader that the VM has, which stays as the way back")
	set.StringVar(&s.mac.Recovery, "recovery", "", "image of the recovery system: a volume of content type import, or a path on the node; with -fetch, the volume to make")
	set.StringVar(&s.fetch, "fetch", "", "directory into which the recovery system is fetched from Apple, with -apply; it is verified, and brought to the node")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	if !connect.Configured() {
		if err := flags.NoEffect("apply", "stage", "mode", "opencore", "kext", "identity", "replace", "recovery", "fetch"); err != nil {
			return err
		}
		return s.embedded(ctx)
	}
	node, err := flags.Open(ctx)
	if err != nil {
		return err
	}
	s.node, s.mac.OSK = node, proxstation.NewSecret(os.Getenv("MACOS_OSK"))
	if s.fetch != "" && s.mac.Recovery == "" {
		s.mac.Recovery = "local:import/" + imageName(s.release)
	}
	return s.stage(ctx)
}
