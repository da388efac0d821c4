package workstation

import (
	"context"
	"time"
)

// Start starts a VM and waits until QEMU runs. If another VM has the card, the
// error is a [TaskError] that matches [ErrInUse]. To hand the card over, use
// [Node.Switch]. For a VM under high availability, Start asks the HA manager
// for the state "started", and the HA manager starts the VM. Start needs
// VM.PowerMgmt on the VM.
func (n *Node) Start(ctx context.Context, vmid int) error {
	task, err := n.pve.Start(ctx, vmid)
	if err != nil {
		return err
	}
	if _, err = n.pve.Wait(ctx, task, nil); err != nil {
		return err
	}
	return n.awaitHA(ctx, vmid, task, startTime)
}

// startTime is how long the HA manager may take for its attempts to start a VM.
const startTime = 5 * time.Minute

// Shutdown shuts a guest down, through its agent or ACPI, and waits until the
// VM is off. If the guest takes longer than patience, it goes on running, and
// the error is a [TaskError] that matches [ErrTimeout]. If patience is 0, it is
// three minutes. Shutdown needs VM.PowerMgmt on the VM.
//
// A VM under high availability is shut down by the HA manager, which pulls the
// plug of a guest that takes longer than patience (pve-ha-manager
// PVE/HA/Resources/PVEVM.pm, shutdown).
func (n *Node) Shutdown(ctx context.Context, vmid int, patience time.Duration) error {
	if patience == 0 {
		patience = 3 * time.Minute
	}
	task, err := n.pve.Shutdown(ctx, vmid, patience, false)
	if err != nil {
		return err
	}
	if _, err = n.pve.Wait(ctx, task, nil); err != nil || task.Type() != "hastop" {
		return err
	}
	return until(ctx, patience+haTime, func(ctx context.Context) (bool, error) {
		status, err := n.vms.Status(ctx, vmid)
		return err == nil && status.Off(), err
	})
}
