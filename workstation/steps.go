package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// CreateVM is the step that makes a VM with all its disks.
type CreateVM struct {
	VMID   int
	Name   string
	Config map[string]string // the configuration as PVE is asked for it
	Notes  map[string]string // why a key has its value
}

// Change implements [Step].
func (s CreateVM) Change() Change {
	c := Change{Sign: Add, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name)}
	for _, key := range sortedKeys(s.Config) {
		if key != "name" {
			c.Lines = append(c.Lines, Line{Sign: Add, Key: key, Want: s.Config[key], Note: s.Notes[key]})
		}
	}
	c.Needs = append(privileges(s.VMID, s.Config, nil), Privilege{vmPath(s.VMID), "VM.Allocate"})
	c.RootTicket = rootOnly(s.Config)
	return c
}

func (s CreateVM) apply(ctx context.Context, a *applier) error {
	done, err := s.done(ctx, a)
	if done || err != nil {
		return err
	}
	a.say(s.VMID, "creating VM %d %s", s.VMID, s.Name)
	task, err := a.pve.Create(ctx, s.VMID, s.Config)
	if err == nil {
		err = a.wait(ctx, s.VMID, task)
	}
	if err != nil && !uncertain(err) {
		return err
	}
	switch done, lookErr := s.done(ctx, a); {
	case lookErr != nil:
		return lookErr
	case !done && err != nil:
		return err
	case !done:
		return fmt.Errorf("workstation: VM %d: PVE's task ended well, but there is no such VM", s.VMID)
	}
	return a.verify(ctx, s.VMID, s.Config, nil)
}

// done reports whether the VM is there as this step makes it.
func (s CreateVM) done(ctx context.Context, a *applier) (bool, error) {
	config, err := a.current(ctx, s.VMID)
	switch {
	case errors.Is(err, pve.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case config.Values["name"] != s.Name:
		return false, &TakenError{VMID: s.VMID, Want: s.Name, Have: config.Values["name"]}
	}
	if keys := unmet(config, s.Config, nil); len(keys) > 0 {
		return false, fmt.Errorf("workstation: VM %d exists, and its %s is %q, not as planned: observe and plan again: %w",
			s.VMID, keys[0], config.Values[keys[0]], ErrStale)
	}
	a.digests[s.VMID] = config.Digest
	return true, nil
}

// ChangeVM is the step that changes keys of a VM's configuration, with
// disks added where a key is a drive.
type ChangeVM struct {
	VMID   int
	Name   string
	Digest string            // of the configuration the plan was made from
	Set    map[string]string // keys and their new values
	Delete []string          // keys that go
	Have   map[string]string // the values before, of the keys that change
	Notes  map[string]string
}

// Change implements [Step].
func (s ChangeVM) Change() Change {
	c := Change{Sign: Modify, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name)}
	for _, key := range sortedKeys(s.Set) {
		line := Line{Sign: Modify, Key: key, Have: s.Have[key], Want: s.Set[key], Note: s.Notes[key]}
		if line.Have == "" {
			line.Sign = Add
		}
		c.Lines = append(c.Lines, line)
	}
	for _, key := range s.Delete {
		c.Lines = append(c.Lines, Line{Sign: Destroy, Key: key, Have: s.Have[key], Note: s.Notes[key]})
	}
	c.Needs = privileges(s.VMID, s.Set, s.Delete)
	c.RootTicket = rootOnly(s.Set)
	return c
}

func (s ChangeVM) apply(ctx context.Context, a *applier) error {
	config, err := a.current(ctx, s.VMID)
	if err != nil {
		return err
	}
	if len(unmet(config, s.Set, s.Delete)) == 0 {
		a.digests[s.VMID] = config.Digest
		return nil
	}
	if err := a.fresh(s.VMID, s.Digest, config); err != nil {
		return err
	}
	a.say(s.VMID, "changing %s of VM %d", strings.Join(append(sortedKeys(s.Set), s.Delete...), ", "), s.VMID)
	task, err := a.pve.ChangeConfig(ctx, s.VMID, pve.Change{Set: s.Set, Delete: s.Delete, Digest: config.Digest})
	if err == nil && task != "" {
		err = a.wait(ctx, s.VMID, task)
	}
	if err != nil && !uncertain(err) {
		return err
	}
	if verifyErr := a.verify(ctx, s.VMID, s.Set, s.Delete); verifyErr != nil {
		return errors.Join(err, verifyErr)
	}
	return nil
}

// GrowDisk is the step that makes a disk larger.
type GrowDisk struct {
	VMID     int
	Name     string
	Slot     string
	Digest   string
	From, To storage.Size
}

// Change implements [Step].
func (s GrowDisk) Change() Change {
	return Change{
		Sign: Modify, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name),
		Lines: []Line{{Sign: Modify, Key: s.Slot, Have: s.From.String(), Want: s.To.String(), Note: "the guest has to grow its file system"}},
		Needs: []Privilege{{vmPath(s.VMID), "VM.Config.Disk"}},
	}
}

func (s GrowDisk) apply(ctx context.Context, a *applier) error {
	config, err := a.current(ctx, s.VMID)
	if err != nil {
		return err
	}
	if size, err := volumeSize(config.Values[s.Slot]); err != nil || size >= s.To {
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
		return err
	}
	config, lookErr := a.current(ctx, s.VMID)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	a.digests[s.VMID] = config.Digest
	if size, sizeErr := volumeSize(config.Values[s.Slot]); sizeErr != nil || size < s.To {
		return errors.Join(err, sizeErr, fmt.Errorf("workstation: VM %d: %s is still %s", s.VMID, s.Slot, size))
	}
	return nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func vmPath(vmid int) string { return fmt.Sprintf("/vms/%d", vmid) }
