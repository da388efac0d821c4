package install

import (
	"context"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

// Verify inspects a running guest through its agent, or through another way in.
// It checks the agent, the card and its driver, the disk for data, and
// RustDesk. If something cannot be seen, its answer is unknown. The parameter
// "vm" is the guest's VM in the Spec. Verify returns an error only if it cannot
// run a command in the guest.
func Verify(ctx context.Context, in firstboot.Guest, g Guest, vm workstation.VM) ([]firstboot.Check, error) {
	card := len(cards(vm)) > 0
	if g.Windows != nil {
		return g.Windows.Verify(ctx, in, card, g.RustDesk != nil)
	}
	wanted := g.Linux.Wanted()
	wanted.Card, wanted.RustDesk = card && g.Linux.NVIDIA, g.RustDesk != nil
	return firstboot.Verify(ctx, in, wanted)
}
