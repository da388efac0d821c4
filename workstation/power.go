package workstation

import (
	"context"
	"time"
)

// Start starts a VM and waits until QEMU runs. If another VM has the card, the
// error is a [TaskError] that matches [ErrInUse]; [Node.Switch] hands the card
// over. Start needs VM.PowerMgmt on the VM.
func (n *Node) Start(ctx context.Context, vmid int) error {
	task, err := n.pve.Start(ctx, vmid)
	if err != nil {
		return err
	}
	_, err = n.pve.Wait(ctx, task, nil)
	return err
}

// Shutdown shuts a guest down, through its agent or ACPI, and waits until the
// VM is off. If the guest takes longer than patience, it goes on running, and
// the error is a [TaskError] that matches [ErrTimeout]. If patience is 0, it is
// three minutes. Shutdown needs VM.PowerMgmt on the VM.
func (n *Node) Shutdown(ctx context.Context, vmid int, patience time.Duration) error {
	if patience == 0 {
		patience = 3 * time.Minute
	}
	task, err := n.pve.Shutdown(ctx, vmid, patience, false)
	if err != nil {
		return err
	}
	_, err = n.pve.Wait(ctx, task, nil)
	return err
}
