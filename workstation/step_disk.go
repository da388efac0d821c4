package workstation

import (
	"context"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// GrowDisk is the step that makes a disk larger.
type GrowDisk struct {
	VMID    int
	Name    string
	Slot    string
	Storage string // the storage of the disk
	Digest  string
	// From is the present size. It is 0 if an earlier step makes the disk from
	// an image whose size is not known. To is the new size.
	From, To storage.Size
}

func (s GrowDisk) change() StepChange {
	line := StepLine{Sign: SignModify, Key: s.Slot, Have: s.From.String(), Want: s.To.String(), Note: "the guest has to grow its file system"}
	if s.From == 0 {
		line.Have, line.Note = "", "from its image's size; cloud-init grows the file system"
	}
	return StepChange{
		Sign: SignModify, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name), Lines: []StepLine{line},
		Needs: []Privilege{{"/storage/" + s.Storage, "Datastore.AllocateSpace"}, {vmPath(s.VMID), "VM.Config.Disk"}},
	}
}

func (s GrowDisk) apply(ctx context.Context, a *applier) error {
	config, err := a.current(ctx, s.VMID)
	if err != nil {
		return err
	}
	if size, err := s.size(config); err != nil || size >= s.To {
		a.digests[s.VMID] = config.Digest
		return err
	}
	if err := a.fresh(s.VMID, s.Digest, config); err != nil {
		return err
	}
	a.say(s.VMID, "growing %s of VM %d to %s", s.Slot, s.VMID, s.To)
	task, err := a.pve.Resize(ctx, s.VMID, pve.Resize{Disk: s.Slot, Size: s.To, Digest: config.Digest})
	if err == nil && task != "" {
		err = a.wait(ctx, s.VMID, task)
	}
	if err != nil && !uncertain(err) {
		return a.refused(ctx, s.VMID, config.Digest, err)
	}
	config, lookErr := a.current(ctx, s.VMID)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	a.digests[s.VMID] = config.Digest
	if size, sizeErr := s.size(config); sizeErr != nil || size < s.To {
		return errors.Join(err, sizeErr, fmt.Errorf("workstation: VM %d: %s is still %s", s.VMID, s.Slot, size))
	}
	return nil
}

// size returns the size that the disk has now.
func (s GrowDisk) size(config pve.WholeConfig) (storage.Size, error) {
	value, inForce := config.InForce[s.Slot]
	if !inForce {
		return 0, fmt.Errorf("workstation: VM %d: %s exists only from the next start on and cannot grow before that: shut the VM down and apply again", s.VMID, s.Slot)
	}
	return volumeSize(value)
}
