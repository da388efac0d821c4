package main

import (
	"context"
	"fmt"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// embedded runs the whole example on a node in this process, over real HTTPS.
// The node's clock runs fast, so that a person can watch the whole run.
func (s *show) embedded(ctx context.Context) error {
	fmt.Fprintln(s.out, "No PROXMOX_VE_ENDPOINT is set: this runs on a Proxmox VE node embedded in the program,\n"+
		"with its clock ten times as fast. Nothing outside is touched.")
	node, sim, err := connect.Embedded(ctx, 10)
	if err != nil {
		return err
	}
	defer sim.Close()
	s.node, s.apply, s.duo.Boot, s.duo.ReturnIfNotUp = node, true, 4*time.Second, true
	s.sabotage = func(vmid int) { sim.SetGuest(vmid, pvetest.Guest{NoAgent: true}) }
	if err := s.play(ctx); err != nil {
		return err
	}
	return sim.Check()
}
