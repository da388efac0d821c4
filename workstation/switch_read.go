package workstation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// sideTime is how long a switch waits for answers that it does not need.
const sideTime = 10 * time.Second

// A setReader reads the facts that [Preflight] needs about a set of VMs. It
// does not read disks, SMART data or the content of storages.
type setReader struct {
	node *Node
	db   DualBoot
	o    *observation

	list       []pve.VMStatus
	resources  pve.Resources
	noMappings error // the reason why the mappings are unknown
}

// observeSet reads the facts that a switch needs, in two round trips: the
// members, the mappings, the PCI functions, the running VMs of the node, and
// the cluster's last reports about guests and storages. If a necessary request
// gets no answer, observeSet returns the error. Facts.Unknown names missing
// facts that a switch does not need.
func (n *Node) observeSet(ctx context.Context, db DualBoot) (Facts, error) {
	f := Facts{Node: n.name, VMs: map[int]VMFacts{}, RootTicket: n.opts.RootTicket}
	r := &setReader{node: n, db: db, o: &observation{facts: &f}}
	ctx = pve.WithOdd(ctx, r.o.odd)
	group, inner := errgroup.WithContext(ctx)
	for _, read := range []func(context.Context) error{r.vms, r.pci, r.mappings, r.memory, r.remembered} {
		group.Go(func() error { return read(inner) })
	}
	for _, id := range db.Members {
		group.Go(func() error { return r.member(inner, id) })
	}
	err := group.Wait()
	if err == nil {
		err = r.mapped()
	}
	if err != nil {
		return Facts{}, fmt.Errorf("workstation: reading the VMs that share the card on node %s: %w", n.name, err)
	}
	r.join()
	taken := r.taken() // computed before other readers write the facts
	var last errgroup.Group
	last.Go(func() error { r.storages(ctx); return nil })
	last.Go(func() error { r.needs(ctx, taken); return nil })
	_ = last.Wait() // both functions return nil
	return f, nil
}

// vms reads which VMs run, and the PCI claims of the VMs that are not members.
func (r *setReader) vms(ctx context.Context) (err error) {
	if r.list, err = r.node.pve.VMsInFull(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, v := range r.list {
		if !v.Running || slices.Contains(r.db.Members, v.VMID) {
			continue
		}
		group.Go(func() error {
			err := r.config(ctx, v.VMID)
			if err == nil || errors.Is(err, ErrNotFound) {
				return nil // a VM that is not found was removed after it was listed
			}
			if ctx.Err() != nil {
				return err
			}
			r.o.note(unread(fmt.Sprintf("VM %d %s", v.VMID, v.Name), err, "the VM runs, and may have the card", "see why PVE cannot read the VM: qm config "+fmt.Sprint(v.VMID)))
			return nil
		})
	}
	return group.Wait()
}

// member reads the configuration of a member, if there is such a VM.
func (r *setReader) member(ctx context.Context, id int) error {
	err := r.config(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return r.o.needs(fmt.Sprintf("VM %d", id), fmt.Sprintf("VM.Audit on /vms/%d", id), err)
}

func (r *setReader) config(ctx context.Context, id int) error {
	config, err := r.node.pve.WholeConfig(ctx, id)
	if err != nil {
		return err
	}
	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	r.o.facts.VMs[id] = VMFacts{ID: id, Lock: config.Next["lock"], Config: config.Next, InForce: config.InForce, Digest: config.Digest}
	return nil
}

func (r *setReader) pci(ctx context.Context) error {
	functions, err := r.node.pve.PCI(ctx)
	known := proxstation.Yes
	if err != nil {
		known = proxstation.Unknown
	}
	r.o.facts.IOMMU = iommu.Facts{Functions: functions, GroupsKnown: known}
	return r.o.needs(subjectPCI, "Sys.Audit on /", err)
}

func (r *setReader) mappings(ctx context.Context) error {
	r.o.facts.Mappings, r.noMappings = r.node.pve.Mappings(ctx)
	if r.noMappings != nil && ctx.Err() != nil {
		return r.noMappings
	}
	return nil
}

// mapped returns the error from reading the mappings, but only if a member
// needs them.
func (r *setReader) mapped() error {
	used := false
	for _, id := range r.db.Members {
		for _, h := range r.o.facts.VMs[id].HostPCI() {
			used = used || h.Mapping != ""
		}
	}
	const privilege = "Mapping.Audit on /mapping/pci"
	if used {
		return r.o.needs(subjectMappings, privilege, r.noMappings)
	}
	return r.o.tolerate(subjectMappings, privilege, r.noMappings)
}

func (r *setReader) memory(ctx context.Context) error {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	status, err := r.node.pve.NodeStatus(side)
	r.o.facts.MemoryTotal, r.o.facts.MemoryAvailable = status.MemoryTotal, status.MemoryAvailable
	return r.o.tolerate(subjectStatus, "Sys.Audit on /nodes/"+r.node.name, err)
}

// remembered reads the cluster's last reports about guests and storages,
// without asking them.
func (r *setReader) remembered(ctx context.Context) (err error) {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	r.resources, err = r.node.pve.Resources(side)
	var guests []pve.Guest
	for _, g := range r.resources.Guests {
		guests = append(guests, pve.Guest{VMID: g.VMID, Name: g.Name, Node: g.Node, Container: g.Container, Running: g.Running})
	}
	r.o.containers(side, r.node, guests)
	return r.o.tolerate(subjectCluster, "Datastore.Audit and VM.Audit on /", err)
}

// errSlow reports an answer that took too long to wait for.
var errSlow = fmt.Errorf("%w in %s", ErrNoAnswer, sideTime)

// join puts the answers together.
func (r *setReader) join() {
	f := r.o.facts
	for _, status := range r.list {
		v, read := f.VMs[status.VMID]
		if !read {
			continue
		}
		v.Name, v.Running, v.Paused = status.Name, status.Running, status.Running && status.Paused
		v.Asleep, v.Uptime, v.PID = status.Running && status.Asleep, status.Uptime, status.PID
		if !v.Running {
			v.InForce = nil
		}
		f.VMs[status.VMID] = v
	}
	for _, g := range r.resources.Guests {
		switch {
		case g.Container || g.Node != f.Node || g.HA == "":
		case g.HA == "ignored":
			f.HAIgnored = append(f.HAIgnored, g.VMID)
		default:
			f.HA = append(f.HA, g.VMID)
		}
	}
}

// storages judges which of the members' storages can be used. If the cluster
// has not reported on a storage lately, only that storage is asked for its
// content. PVE can check all storages at once, or one (pve-storage
// PVE/Storage.pm, storage_info and vdisk_list).
func (r *setReader) storages(ctx context.Context) {
	used := map[string]bool{}
	for _, id := range r.db.Members {
		for _, name := range usedStorages(r.o.facts.VMs[id].Config) {
			used[name] = true
		}
	}
	var group errgroup.Group
	for _, s := range r.resources.Storages {
		pool := storage.Pool{Storage: storage.Storage{Name: s.Name, Type: s.Type, Active: s.Available}}
		if s.Available || !used[s.Name] {
			r.pool(pool)
			continue
		}
		group.Go(func() error {
			side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
			defer cancel()
			err := r.node.pve.LookAtStorage(side, s.Name)
			if errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrPermission) {
				r.o.note(unread(storageSubject(s.Name), err, "a VM with a disk on it may not start", "look at it on the host: pvesm status --storage "+s.Name))
				return nil
			}
			pool.Active = err == nil
			r.pool(pool)
			return nil
		})
	}
	_ = group.Wait() // every part that could not be read is in the findings already
}

// taken returns the functions that the members would take from the host.
func (r *setReader) taken() []iommu.Function {
	var taken []iommu.Function
	for _, id := range r.db.Members {
		values := r.o.facts.VMs[id].devices()
		for _, h := range values {
			taken = append(taken, r.o.facts.handover(h, values, id).taken...)
		}
	}
	return taken
}

// needs reads the disks of the host, without SMART data, if a member would take
// a storage or USB controller. It reads the ports of the host's bridges if a
// member would take a network card.
func (r *setReader) needs(ctx context.Context, taken []iommu.Function) {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	// The results of these reads only lead to warnings, so a failure is a
	// warning too.
	if len(of(isStorage, taken))+len(of(isUSB, taken)) > 0 {
		r.o.facts.Disks, _ = r.node.pve.Disks(side)
	}
	if len(of(isNetwork, taken)) > 0 {
		r.o.facts.ports, _ = r.node.pve.Ports(side)
	}
}

func (r *setReader) pool(pool storage.Pool) {
	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	r.o.facts.Pools = append(r.o.facts.Pools, pool)
}

// The subjects of findings about parts that could not be read. [Preflight]
// looks the findings up by subject.
const (
	subjectPCI      = "PCI devices"
	subjectMappings = "resource mappings"
	subjectStatus   = "node status"
	subjectCluster  = "storages and high availability"
)

func storageSubject(name string) string { return "storage " + name }
