// Dualboot makes a Windows gaming VM and a Linux AI VM that share one graphics
// card, and switches the card between them.
//
//	go run ./examples/dualboot                # all steps, on an embedded node: nothing to set up
//
// On a real node it does one thing at a time:
//
//	export PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=...
//	go run ./examples/dualboot                # the plan; nothing changes
//	go run ./examples/dualboot -apply         # carries out the plan; no VM is started or shut down
//	go run ./examples/dualboot -switch linux  # gives the card to the Linux VM
package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/storage"
)

const about = `Dualboot makes a Windows gaming VM and a Linux AI VM that share one graphics card, and gives the
card from one to the other. Without PROXMOX_VE_ENDPOINT it plays all of it on an embedded node.
On a real node it shows the plan; -apply carries the plan out and does nothing else, and -switch
gives the card to one of the VMs. It ends with code 0, 1 after an error, 3 if it is blocked.`

func main() {
	connect.Main("dualboot", func(ctx context.Context, args []string, out io.Writer) error {
		return (&show{out: term.Of(out)}).run(ctx, args)
	})
}

func (s *show) run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("dualboot", flag.ContinueOnError)
	connect.Describe(set, about, connect.Variables, "PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/dualboot -apply")
	flags := connect.Register(set)
	set.BoolVar(&s.apply, "apply", false, "carry the plan out on the real node")
	to := set.String("switch", "", "give the card to windows or linux, on the real node")
	set.StringVar(&s.card, "card", "", "address of the card; empty is the first NVIDIA card")
	set.TextVar(&s.games, "games", 100*storage.GiB, "size of the disk for games")
	set.TextVar(&s.models, "models", 80*storage.GiB, "size of the disk for models")
	windows := set.Int("windows", 140, "VMID of the Windows VM")
	linux := set.Int("linux", 141, "VMID of the Linux VM")
	set.BoolVar(&s.duo.ReturnIfNotUp, "return-if-not-up", false, "with -switch: if the new VM starts but is not up in time, shut it down and start the VM that ran before; without this flag, the new VM keeps the card")
	set.BoolVar(&s.takeOver, "take-over", false, "with -switch: take over the lease of another controller at once, only if you know that the controller is dead")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	s.duo.Members = []int{*windows, *linux}
	if !connect.Configured() {
		if err := flags.NoEffect("apply", "switch", "take-over", "return-if-not-up"); err != nil {
			return err
		}
		return s.embedded(ctx)
	}
	target, known := map[string]int{"windows": *windows, "linux": *linux}[*to]
	var err error
	switch {
	case *to != "" && !known:
		return errors.New("-switch: want windows or linux")
	case *to != "":
		err = flags.Useless("-switch", "apply", "card", "games", "models")
	default:
		err = flags.Useless("a plan", "take-over", "return-if-not-up")
	}
	if err != nil {
		return err
	}
	if s.node, err = flags.Open(ctx); err != nil {
		return err
	}
	if known {
		return s.switchTo(ctx, target)
	}
	_, err = s.change(ctx)
	return err
}
