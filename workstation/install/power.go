package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/proxstation/proxstation/workstation"
)

// off reports whether PVE says that the VM is off. If the node does not answer
// or reports a fault, the method asks again, for at most a minute.
func (r *run) off(ctx context.Context) bool {
	for end := time.Now().Add(time.Minute); ; {
		_, err := r.agent.ReadFile(ctx, r.guest.system().state)
		said := err == nil
		for _, known := range []error{workstation.ErrNotRunning, workstation.ErrAgent, workstation.ErrPermission, workstation.ErrNotFound, fs.ErrNotExist} {
			said = said || errors.Is(err, known)
		}
		if said || time.Now().After(end) || sleep(ctx, lookEvery) != nil {
			return errors.Is(err, workstation.ErrNotRunning)
		}
	}
}

// powerOn starts the VM, unless another member of its set runs. If PVE's answer
// is lost, powerOn looks at the VM, and returns an error only if the VM is off.
func (r *run) powerOn(ctx context.Context) error {
	findings, err := r.turn(ctx, r.node)
	if err := refuse(fmt.Sprintf("the start of VM %d", r.VMID), findings, err); err != nil {
		return r.fail("the VM may not start now", err)
	}
	err = r.node.Start(ctx, r.VMID)
	if err == nil || errors.Is(err, workstation.ErrNoAnswer) && !r.off(ctx) {
		return nil
	}
	return r.fail("the VM does not start", err)
}

// powerOff shuts the guest down. If PVE's answer is lost, it waits until the VM
// is off.
func (r *run) powerOff(ctx context.Context) error {
	err := r.node.Shutdown(ctx, r.VMID, shutdown)
	if errors.Is(err, workstation.ErrNoAnswer) {
		for end := time.Now().Add(shutdown); !r.off(ctx) && time.Now().Before(end); {
			if err := sleep(ctx, lookEvery); err != nil {
				return r.fail("", err)
			}
		}
		if r.off(ctx) {
			return nil
		}
	}
	if err != nil {
		return r.fail("the guest does not shut down", err)
	}
	return nil
}

// shutdown is how long a guest may take to shut down.
const shutdown = 5 * time.Minute
