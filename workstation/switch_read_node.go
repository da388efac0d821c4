package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// A nodeReader reads the part of a set's facts that comes from one node.
type nodeReader struct {
	set   *setReader
	node  *Node
	o     *observation
	stop  context.CancelCauseFunc // ends its requests
	asked map[int]bool            // the members that this node was asked for

	list          []pve.VMStatus
	noList, noPCI error // the errors of requests without an answer
	mu            sync.Mutex
	noMember      error
}

// This adds the reader of a node.
func (r *setReader) part(name string) *nodeReader {
	n := r.node
	if name != n.name {
		n = n.On(name)
	}
	f := &Facts{Node: name, VMs: map[int]VMFacts{}, RootTicket: n.opts.RootTicket}
	p := &nodeReader{set: r, node: n, o: &observation{facts: f}, asked: map[int]bool{}}
	r.parts[name] = p
	return p
}

// This reads the facts of a node that a switch needs.
func (p *nodeReader) read(ctx context.Context, group *errgroup.Group) {
	for _, read := range []func(context.Context) error{p.vms, p.pci, p.memory} {
		group.Go(func() error { return read(ctx) })
	}
}

// This stores an error in *at and returns nil if the error means that a request
// got no answer. It returns every other error. The method settle judges the
// stored errors when all requests have ended.
func (p *nodeReader) late(at *error, err error) error {
	if err == nil || !uncertain(err) && !errors.Is(err, errAway) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	*at = err
	return nil
}

// This reads which VMs run, and which PCI devices the VMs outside the set take.
func (p *nodeReader) vms(ctx context.Context) (err error) {
	if p.list, err = p.node.pve.VMsInFull(ctx); err != nil {
		return p.late(&p.noList, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, v := range p.list {
		if !v.Running || slices.Contains(p.set.db.Members, v.VMID) {
			continue
		}
		group.Go(func() error {
			err := p.config(ctx, v.VMID)
			if err == nil || errors.Is(err, ErrNotFound) {
				return nil // a VM that is not found was removed after it was listed
			}
			if ctx.Err() != nil {
				return p.late(&p.noList, err)
			}
			p.o.note(unread(fmt.Sprintf("VM %d %s", v.VMID, v.Name), err, "the VM runs, and may have the card", "see why PVE cannot read the VM: qm config "+fmt.Sprint(v.VMID)))
			return nil
		})
	}
	return group.Wait()
}

// This reads the configuration of a member, if there is such a VM.
func (p *nodeReader) member(ctx context.Context, id int) error {
	err := p.config(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return p.late(&p.noMember, p.o.needs(fmt.Sprintf("VM %d", id), fmt.Sprintf("VM.Audit on /vms/%d", id), err))
}

func (p *nodeReader) config(ctx context.Context, id int) error {
	config, err := p.node.pve.WholeConfig(ctx, id)
	if err != nil {
		return err
	}
	p.o.mu.Lock()
	defer p.o.mu.Unlock()
	p.o.facts.VMs[id] = VMFacts{ID: id, Node: p.node.name, Lock: config.Next["lock"], Config: config.Next, InForce: config.InForce, Digest: config.Digest}
	return nil
}

func (p *nodeReader) pci(ctx context.Context) error {
	functions, err := p.node.pve.PCI(ctx)
	known := proxstation.Yes
	if err != nil {
		known = proxstation.Unknown
	}
	p.o.facts.IOMMU = iommu.Facts{Functions: functions, GroupsKnown: known}
	return p.late(&p.noPCI, p.o.needs(subjectPCI, "Sys.Audit on /", err))
}

// settlePCI decides how a missing list of PCI functions is treated. On a single
// node, it is an error. In a cluster, switches to VMs of this node are not
// judged.
func (p *nodeReader) settlePCI(clustered bool) error {
	if clustered {
		return p.o.tolerate(subjectPCI, "Sys.Audit on /", p.noPCI)
	}
	return p.noPCI
}

func (p *nodeReader) memory(ctx context.Context) error {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	status, err := p.node.pve.NodeStatus(side)
	p.o.facts.MemoryTotal, p.o.facts.MemoryAvailable = status.MemoryTotal, status.MemoryAvailable
	return p.o.tolerate(subjectStatus, "Sys.Audit on /nodes/"+p.node.name, err)
}

// join puts the answers of the node together.
func (p *nodeReader) join() {
	f := p.o.facts
	f.Mappings = p.set.mappings
	for _, status := range p.list {
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
}

// This reads the facts whose requests depend on earlier answers: the running
// containers, the members' storages that the cluster has not reported on, and
// the host's own use of the devices that members take.
func (p *nodeReader) last(ctx context.Context) {
	ctx = pve.WithOdd(ctx, p.o.odd)
	var disks, ports bool // set here, before the functions below write to the facts
	for _, id := range p.set.db.Members {
		d, usb, network := p.o.facts.host(id).Takes(p.o.facts.VMs[id].takes())
		disks, ports = disks || d || usb, ports || network
	}
	var group errgroup.Group
	group.Go(func() error { p.containers(ctx); return nil })
	group.Go(func() error { p.storages(ctx); return nil })
	group.Go(func() error { p.needs(ctx, disks, ports); return nil })
	_ = group.Wait() // no function returns an error
}

func (p *nodeReader) containers(ctx context.Context) {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	var guests []pve.Guest
	for _, g := range p.set.resources.Guests {
		guests = append(guests, pve.Guest{VMID: g.VMID, Name: g.Name, Node: g.Node, Container: g.Container, Running: g.Running})
	}
	p.o.containers(side, p.node, guests)
}

// This judges which storages of the members can be used. If the cluster has no
// recent report on a storage, the node is asked for the content of this
// storage. That request checks no other storage. PVE's request for the state of
// storages checks all of them at once (pve-storage PVE/Storage.pm, vdisk_list
// and storage_info).
func (p *nodeReader) storages(ctx context.Context) {
	used := map[string]bool{}
	for _, id := range p.set.db.Members {
		for _, name := range usedStorages(p.o.facts.VMs[id].Config) {
			used[name] = true
		}
	}
	var group errgroup.Group
	for _, s := range p.set.resources.Storages {
		pool := storage.Pool{Storage: storage.Storage{Name: s.Name, Type: s.Type, Active: s.Available}}
		switch {
		case s.Node != p.node.name:
			continue
		case s.Available || !used[s.Name]:
			p.pool(pool)
			continue
		}
		group.Go(func() error {
			side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
			defer cancel()
			err := p.node.pve.LookAtStorage(side, s.Name)
			if errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrPermission) {
				p.o.note(unread(storageSubject(s.Name), err, "a VM with a disk on it may not start", "look at it on the host: pvesm status --storage "+s.Name))
				return nil
			}
			pool.Active = err == nil
			p.pool(pool)
			return nil
		})
	}
	_ = group.Wait() // the findings already report every part that could not be read
}

// This reads which devices the host itself uses. It reads the disks, without
// SMART data, if a member would take a storage controller or a USB controller.
// It reads the ports of the bridges if a member would take a network card.
func (p *nodeReader) needs(ctx context.Context, disks, ports bool) {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	// The results of these reads only lead to warnings, so a failure is a
	// warning too.
	if disks {
		p.o.facts.Disks, _ = p.node.pve.Disks(side)
	}
	if ports {
		p.o.facts.ports, _ = p.node.pve.Ports(side)
	}
}

func (p *nodeReader) pool(pool storage.Pool) {
	p.o.mu.Lock()
	defer p.o.mu.Unlock()
	p.o.facts.Pools = append(p.o.facts.Pools, pool)
}

// This returns the facts of the node, with all members of the set.
func (p *nodeReader) whole(members map[int]VMFacts) Facts {
	r, f := p.set, *p.o.facts
	states, managed, ignored := r.ha()
	f.VMs = maps.Clone(f.VMs)
	for id, v := range members {
		v.HAState = states[id]
		f.VMs[id] = v
	}
	f.quorate, f.away = r.quorate, r.away
	for _, node := range r.resources.Nodes {
		f.searched = append(f.searched, node.Name)
	}
	f.Unknown = slices.Concat(f.Unknown, r.all.facts.Unknown)
	concerns := func(id int) bool { _, is := f.VMs[id]; return is }
	for _, id := range managed {
		if concerns(id) {
			f.HA = append(f.HA, id)
		}
	}
	for _, id := range ignored {
		if concerns(id) {
			f.HAIgnored = append(f.HAIgnored, id)
		}
	}
	return f
}

// The subjects of findings about parts that could not be read. [Preflight]
// looks the findings up by subject.
const (
	subjectPCI      = "PCI devices"
	subjectMappings = "resource mappings"
	subjectStatus   = "node status"
	subjectCluster  = "storages and high availability"
	subjectQuorum   = "quorum"
)

func storageSubject(name string) string { return "storage " + name }
