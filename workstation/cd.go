package workstation

import (
	"context"
	"errors"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// SendKey presses a key on a running VM's keyboard. The key has QEMU's name:
// "ret", "up", "ctrl-alt-delete" (QEMU monitor, sendkey). SendKey needs
// VM.Console on the VM. If the VM is off, the error matches [ErrNotRunning].
func (n *Node) SendKey(ctx context.Context, vmid int, key string) error {
	return n.pve.SendKey(ctx, vmid, key)
}

// RemoveCD takes the image out of a VM's CD drive immediately, and then removes
// the drive. If QEMU cannot remove the drive of a running VM, the drive is
// removed at the VM's next start. If the drive is gone already, or holds
// another volume, RemoveCD does nothing. It needs VM.Config.CDROM on the VM.
func (n *Node) RemoveCD(ctx context.Context, vmid int, slot, volume string) error {
	config, err := n.pve.WholeConfig(ctx, vmid)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	have := config.Next[slot]
	if pool, file, _ := qmconf.CutVolume(have); pool+":"+file != volume {
		return nil
	}
	empty := pve.Change{Set: map[string]string{slot: "none,media=cdrom"}, Digest: config.Digest}
	if err := n.setDrive(ctx, vmid, empty); err != nil {
		return err
	}
	return n.setDrive(ctx, vmid, pve.Change{Delete: []string{slot}})
}

// setDrive changes a drive, which PVE does in a task.
func (n *Node) setDrive(ctx context.Context, vmid int, change pve.Change) error {
	task, err := n.pve.ChangeConfig(ctx, vmid, change)
	if err != nil || task == "" {
		return err
	}
	_, err = n.pve.Wait(ctx, task, nil)
	return err
}

// DeleteImage deletes an image, such as "local:iso/virtio-win.iso". It refuses
// a volume that is not an image. PVE does not check whether a VM still uses the
// image. If the image is gone already, DeleteImage returns nil. It needs
// Datastore.Allocate and Datastore.Audit on the storage.
func (n *Node) DeleteImage(ctx context.Context, volume string) error {
	match := imageVolume.FindStringSubmatch(volume)
	if match == nil {
		return invalidImage(volume, "it is not the name of an image: want STORAGE:iso/NAME.iso or STORAGE:import/NAME.raw")
	}
	task, err := n.pve.DeleteVolume(ctx, match[1], volume)
	if err == nil && task != "" {
		_, err = n.pve.Wait(ctx, task, nil)
	}
	if err == nil {
		return nil
	}
	volumes, lookErr := n.pve.Content(ctx, match[1], match[2]+match[4])
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	for _, v := range volumes {
		if v.ID == volume {
			return err
		}
	}
	return nil
}
