package main

import (
	"strings"
	"time"

	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// embed gives the VMs of the embedded node stand-in guests, which report
// immediately that their set-up is done. On a real node it does nothing.
func (a *app) embed(plan install.Plan) {
	for _, sim := range a.sims {
		for _, s := range plan.SetUps {
			sim.SetGuest(s.VMID, standIn())
		}
	}
}

// standIn returns a guest that needs no further set-up.
func standIn() pvetest.Guest {
	return pvetest.Guest{Boot: 40 * time.Second, Exec: answer, Files: map[string][]byte{
		firstboot.LinuxState:   []byte("phase=done\nmodels=formatted\ndriver=580.126\n"),
		firstboot.WindowsState: []byte("phase=done\nsystem=10.0.26100\ngames=formatted\n"),
	}}
}

// answer returns the output of a program that somebody runs in the stand-in
// guest.
func answer(argv []string, _ []byte) pvetest.Result {
	switch line := strings.Join(argv, " "); {
	case strings.Contains(line, "verify: "):
		return pvetest.Result{Stdout: []byte(linuxLooks)}
	case strings.Contains(line, "nvidia-smi"):
		return pvetest.Result{Stdout: []byte("NVIDIA GeForce RTX 5070 Ti, 580.126\n")}
	case strings.Contains(line, "Get-Volume"):
		return pvetest.Result{Stdout: []byte("Games\n")}
	}
	return pvetest.Result{}
}

// linuxLooks is the report of the script with which package firstboot inspects
// a Linux guest.
const linuxLooks = `verify: qemu-guest-agent=active
verify: driver.loaded=580.126
verify: driver.flavour=NVIDIA UNIX Open Kernel Module for x86_64  580.126
verify: driver.installed=580.126
verify: cards.pci=0000:01:00.0
verify: cards.driven=NVIDIA GeForce RTX 5070 Ti, 580.126
verify: disk.scsi1=/dev/sdb models rw,relatime
verify: place.scsi1=/dev/sdb
verify: done=
`
