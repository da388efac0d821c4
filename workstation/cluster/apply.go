package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// Apply makes the changes of a plan: mappings, images, moves, then the changes
// of each node. It reads each result back. After a failure, Apply can be called
// again with the same plan: it skips the changes that are made already.
//
// If a finding of the plan is a blocker, Apply does nothing and returns a
// [workstation.BlockedError]. If the plan destroys data and AllowDestroy is not
// set, Apply does nothing and returns [workstation.ErrDestructive]. The error
// matches [workstation.ErrStale] if a mapping or a VM changed after the plan
// was made.
func (c *Cluster) Apply(ctx context.Context, plan Plan, opts *workstation.ApplyOptions) error {
	if opts == nil {
		opts = &workstation.ApplyOptions{}
	}
	if findings := plan.all(); proxstation.Worst(findings) == proxstation.Blocker {
		return &workstation.BlockedError{What: "the plan for the cluster", Findings: findings}
	}
	if plan.Destroys() && !opts.AllowDestroy {
		return fmt.Errorf("cluster: %w: it was not allowed in ApplyOptions", workstation.ErrDestructive)
	}
	a := &applier{cluster: c, opts: *opts, began: time.Now()}
	for _, m := range plan.Mappings {
		if err := a.mapping(ctx, m); err != nil {
			return fmt.Errorf("cluster: mapping %s: %w", m.Mapping.ID, err)
		}
	}
	for _, b := range plan.Images {
		if err := a.image(ctx, b); err != nil {
			return fmt.Errorf("cluster: node %s: %w", b.Node, err)
		}
	}
	for _, m := range plan.Moves {
		if err := a.move(ctx, m); err != nil {
			return fmt.Errorf("cluster: moving VM %d to node %s: %w", m.VMID, m.To, err)
		}
	}
	for _, node := range plan.Nodes {
		if err := c.Node(node.Node).Apply(ctx, node, opts); err != nil {
			return fmt.Errorf("cluster: node %s: %w", node.Node, err)
		}
	}
	return a.highAvailability(ctx, plan)
}

// An applier holds the data that the steps of one Apply share.
type applier struct {
	cluster *Cluster
	opts    workstation.ApplyOptions
	began   time.Time
}

func (a *applier) say(vmid int, format string, args ...any) {
	if a.opts.Progress != nil {
		a.opts.Progress(workstation.Event{Phase: workstation.PhaseApply, VMID: vmid, Message: fmt.Sprintf(format, args...), Elapsed: time.Since(a.began)})
	}
}

// Makes or changes a mapping. If somebody changed the mapping's devices since
// the plan was made, the method returns an error. The method does not send PVE
// the digest from the plan, because PVE has one digest for all mappings.
func (a *applier) mapping(ctx context.Context, m MappingChange) error {
	now, there, err := a.read(ctx, m.Mapping.ID)
	switch {
	case err != nil:
		return err
	case there && alike(now, m.Mapping):
		return nil
	case there != (m.Have != nil) || there && !alike(now, *m.Have):
		return fmt.Errorf("%w: it changed since the plan was made: observe and plan again", workstation.ErrStale)
	}
	a.say(0, "writing mapping %s", m.Mapping.ID)
	want := m.Mapping
	want.Digest = now.Digest
	if there {
		err = a.cluster.pve.UpdateMapping(ctx, want)
	} else {
		err = a.cluster.pve.CreateMapping(ctx, want)
	}
	if err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
		return err
	}
	now, there, lookErr := a.read(ctx, m.Mapping.ID)
	if lookErr == nil && !(there && alike(now, m.Mapping)) {
		lookErr = errors.New("it is not as it was written")
	}
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	return nil
}

func (a *applier) read(ctx context.Context, id string) (m gpu.Mapping, there bool, err error) {
	mappings, err := a.cluster.pve.Mappings(ctx)
	for _, m := range mappings {
		if m.ID == id {
			return m, true, err
		}
	}
	return gpu.Mapping{}, false, err
}

func alike(a, b gpu.Mapping) bool {
	return entryText(a.Entries) == entryText(b.Entries) && a.MDev == b.MDev
}

func (a *applier) image(ctx context.Context, b BringImage) error {
	node := a.cluster.Node(b.Node)
	if b.Image.URL != "" {
		return node.Download(ctx, workstation.ImageDownload{Volume: b.Image.Volume, URL: b.Image.URL, SHA256: b.Image.SHA256}, a.opts.Progress)
	}
	image, err := b.Image.Open()
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }() // closing cannot lose data, because the image was only read
	return node.Upload(ctx, b.Image.Volume, image, a.opts.Progress)
}

// Moves a VM, unless it is on its target already.
func (a *applier) move(ctx context.Context, m Move) error {
	at, err := a.where(ctx, m.VMID)
	switch {
	case err != nil:
		return err
	case at == m.To:
		return nil
	case at != m.From:
		return fmt.Errorf("%w: it is on node %q now: observe and plan again", workstation.ErrStale, at)
	}
	client := a.cluster.pve.On(m.From)
	config, err := client.Config(ctx, m.VMID)
	if err != nil {
		return err
	}
	if config.Digest != m.Digest {
		return &workstation.StaleError{VMID: m.VMID, Want: m.Digest, Have: config.Digest}
	}
	a.say(m.VMID, "moving VM %d from node %s to node %s: %s", m.VMID, m.From, m.To, m.time())
	task, err := client.Migrate(ctx, m.VMID, m.To)
	if err == nil {
		_, err = client.Follow(ctx, task, func(line string) { a.say(m.VMID, "%s", line) })
	}
	if err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
		return err
	}
	if notThere := a.arrived(ctx, m, err); notThere != nil {
		return errors.Join(err, notThere)
	}
	return nil
}

// Waits until the VM is on its target. The HA manager moves the VM some time
// after the task has ended. If the answer to the request was lost, PVE's task
// may still run.
func (a *applier) arrived(ctx context.Context, m Move, lost error) error {
	patience := 30 * time.Second // PVE may list a task only some time after its start
	if m.HA {
		patience = 2 * time.Minute // the HA manager works in rounds of 10 seconds
	}
	for idle := time.Duration(0); ; idle += time.Second {
		at, err := a.where(ctx, m.VMID)
		if err != nil || at == m.To {
			return err
		}
		tasks, err := a.cluster.pve.On(m.From).RunningTasks(ctx, m.VMID)
		switch {
		case err != nil:
			return err
		case len(tasks) > 0:
			idle = 0
		case lost == nil && !m.HA || idle >= patience:
			return fmt.Errorf("it is still on node %q", at)
		}
		if err := pve.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (a *applier) where(ctx context.Context, vmid int) (string, error) {
	guests, err := a.cluster.pve.Guests(ctx)
	for _, g := range guests {
		if g.VMID == vmid && !g.Container {
			return g.Node, err
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: the cluster lists no VM %d", workstation.ErrNotFound, vmid)
	}
	return "", err
}
