// Dualboot makes a Windows gaming VM and a Linux AI VM that share one graphics
// card, and hands the card from one to the other.
//
//	go run ./examples/dualboot            # on an embedded node: nothing to set up
//	PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/dualboot
//	... go run ./examples/dualboot -apply # on a real node it only plans without -apply
package main

import (
	"context"
	"flag"
	"io"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/storage"
)

func main() {
	connect.Main("dualboot", func(ctx context.Context, args []string, out io.Writer) error {
		return (&show{out: out}).run(ctx, args)
	})
}

func (s *show) run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("dualboot", flag.ContinueOnError)
	flags := connect.Register(set)
	set.BoolVar(&s.apply, "apply", false, "change the real node; without it the plan is only shown")
	set.StringVar(&s.card, "card", "", "address of the card; empty is the first NVIDIA card")
	set.TextVar(&s.games, "games", 100*storage.GiB, "size of the disk for games")
	set.TextVar(&s.models, "models", 80*storage.GiB, "size of the disk for models")
	windows := set.Int("windows", 140, "VMID of the Windows VM")
	linux := set.Int("linux", 141, "VMID of the Linux VM")
	set.BoolVar(&s.duo.ReturnIfNotUp, "return-if-not-up", false, "a VM that has started and is not up in time is shut down, and the VM that ran before starts; otherwise the card stays with it")
	set.BoolVar(&s.takeOver, "take-over", false, "take over the lease of another controller at once: only if you know that it is dead")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	s.duo.Members = []int{*windows, *linux}
	if !connect.Configured() {
		return s.embedded(ctx)
	}
	node, err := flags.Open(ctx)
	if err != nil {
		return err
	}
	s.node = node
	return s.play(ctx)
}
