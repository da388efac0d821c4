package install

import (
	"context"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

// Verify looks into a guest that runs, through its agent or another way in, and
// says what is as wanted: the agent, the card and its driver, the disk for data,
// RustDesk. What could not be seen is unknown. VM is the guest's VM as the Spec has
// it. The error is that of the way in.
func Verify(ctx context.Context, in firstboot.Guest, g Guest, vm workstation.VM) ([]firstboot.Check, error) {
	card := len(cards(vm)) > 0
	if g.Windows != nil {
		return g.Windows.Verify(ctx, in, card, g.RustDesk != nil)
	}
	wanted := g.Linux.Wanted()
	wanted.Card, wanted.RustDesk = card && g.Linux.NVIDIA, g.RustDesk != nil
	return firstboot.Verify(ctx, in, wanted)
}
