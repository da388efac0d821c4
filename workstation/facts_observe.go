package workstation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"golang.org/x/sync/errgroup"
)

// observeOffers reads the bridges, CPU models and other resources that the node
// can give to a VM.
func (n *Node) observeOffers(ctx context.Context, o *observation) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		defer o.early.Done()
		o.facts.Mappings, err = n.pve.Mappings(ctx)
		o.incomplete(err)
		return o.tolerate("resource mappings", "Mapping.Audit on /mapping/pci", err)
	})
	group.Go(func() (err error) {
		o.facts.Bridges, err = n.pve.Bridges(ctx)
		return o.tolerate("bridges", "Sys.Audit on /", err)
	})
	group.Go(func() (err error) {
		o.facts.CPUModels, err = n.pve.CPUModels(ctx)
		return o.tolerate("CPU models", "Sys.Audit on /", err)
	})
	return group.Wait()
}

// An observation collects the results of several concurrent readers.
type observation struct {
	mu     sync.Mutex
	facts  *Facts
	guests []pve.Guest
	needed func(seen Facts) []int // nil means all VMs
	// Some facts are read first and passed to the function "needed". The
	// WaitGroup "early" waits for these facts. "partial" is true if some of
	// them could not be read.
	early   sync.WaitGroup
	partial bool
}

// If err is not nil, incomplete notes that an early fact could not be read.
func (o *observation) incomplete(err error) {
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.partial = true
	}
}

// chosen returns the VMs whose configurations are needed. It records the other
// VMs as unread.
func (o *observation) chosen(list []pve.VMStatus) []pve.VMStatus {
	if o.needed == nil {
		return list
	}
	o.early.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partial {
		return list
	}
	seen := Facts{Node: o.facts.Node, IOMMU: o.facts.IOMMU, Mappings: o.facts.Mappings, Others: others(o.facts.Node, o.guests), Unread: map[int]string{}}
	for _, v := range list {
		seen.Unread[v.VMID] = v.Name
	}
	needed := o.needed(seen)
	return slices.DeleteFunc(list, func(v pve.VMStatus) bool {
		if slices.Contains(needed, v.VMID) {
			return false
		}
		o.facts.Unread[v.VMID] = v.Name
		return true
	})
}

func (o *observation) note(findings ...proxstation.Finding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.facts.Unknown = append(o.facts.Unknown, findings...)
}

// tolerate turns an error into a finding if the login may not read the part, or
// if the node does not answer.
func (o *observation) tolerate(what, privilege string, err error) error {
	if !errors.Is(err, ErrNoAnswer) {
		return o.needs(what, privilege, err)
	}
	o.note(unread(what, err, "the part of the node that this request asks hangs or is overloaded",
		"look on the host at what hangs: journalctl -b -u pvedaemon -u pveproxy -u pvestatd"))
	return nil
}

// This adds a finding about a value that contradicts PVE's API description.
func (o *observation) odd(v pve.Odd) {
	path, _, _ := strings.Cut(v.Path, "?")
	o.note(proxstation.Finding{ID: "workstation.odd-value", Severity: proxstation.Warning, Subject: v.Method + " " + path, Seen: v.Value,
		Why: "The value is not what PVE's API describes, and was left out: nothing that depends on it is judged.",
		Fix: "On the host, look at the answer with pvesh get " + path + " and at the version with pveversion, and report both."})
}

// This turns an error into a finding if the login may not read the part, or if
// this version of PVE does not have the part.
func (o *observation) needs(what, privilege string, err error) error {
	var refused *RequestError
	if errors.As(err, &refused) && refused.Status == http.StatusNotImplemented {
		o.note(unread(what, err, "this PVE does not know the request, and nothing that depends on it is judged", "update the node: PVE 8 and newer have it"))
		return nil
	}
	if !errors.Is(err, ErrPermission) {
		return err
	}
	o.note(unread(what, err, "nothing that depends on it is judged", "give the login "+privilege))
	return nil
}

func (n *Node) observeVMs(ctx context.Context, o *observation) error {
	list, err := n.pve.VMsInFull(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, status := range o.chosen(list) {
		group.Go(func() error {
			v, err := n.observeVM(ctx, status)
			o.mu.Lock()
			defer o.mu.Unlock()
			switch {
			case errors.Is(err, ErrNotFound): // the VM was removed after it was listed
			case errors.Is(err, pve.ErrAnswer):
				o.facts.Unknown = append(o.facts.Unknown, unread(v.String(), err, "the VM is left out, so its devices and disks are not known",
					fmt.Sprintf("on the host, look at the VM with qm config %d", v.ID)))
				o.facts.Unread[v.ID] = v.Name
			case err != nil:
				return err
			default:
				o.facts.VMs[v.ID] = v
			}
			return nil
		})
	}
	return group.Wait()
}

// observeVM reads one VM. For a running VM, a single answer holds the
// configuration in force and the configuration of the next start.
func (n *Node) observeVM(ctx context.Context, status pve.VMStatus) (VMFacts, error) {
	v := VMFacts{ID: status.VMID, Name: status.Name, Node: n.name, Running: status.Running, Paused: status.Running && status.Paused,
		Uptime: status.Uptime, PID: status.PID}
	if !v.Running {
		config, err := n.pve.Config(ctx, v.ID)
		v.Config, v.Lock, v.Digest = config.Values, config.Values["lock"], config.Digest
		return v, err
	}
	whole, err := n.pve.WholeConfig(ctx, v.ID)
	v.Config, v.InForce, v.Lock, v.Digest = whole.Next, whole.InForce, whole.Next["lock"], whole.Digest
	return v, err
}

// Observe reads the facts of the node. It sends requests that do not depend on
// each other at the same time. Facts.Unknown names the parts that the login may
// not read. A missing answer is an error. To see everything, the login needs
// Sys.Audit, Datastore.Audit, VM.Audit and Mapping.Audit on /. It also needs
// VM.Config.Disk on /vms. Without this privilege, PVE does not say how much
// space thin storages have promised to other people's disks.
func (n *Node) Observe(ctx context.Context) (Facts, error) { return n.ObserveFor(ctx, nil) }

// ObserveFor reads the facts of the node as [Node.Observe] does, but it reads
// only the configurations of VMs that a plan needs. The function "needed"
// returns the VMIDs of these VMs. It is called with the facts that are known
// before any configuration is read: Node, IOMMU, Mappings, the guests of other
// nodes in Others, and all VMs of the node in Unread. In the facts that
// ObserveFor returns, Unread holds the VMs that were not needed.
//
// If one of these early facts may not be read, or does not arrive, ObserveFor
// reads all configurations and does not call the function. It also reads all
// configurations if the function is nil.
func (n *Node) ObserveFor(ctx context.Context, needed func(seen Facts) []int) (Facts, error) {
	f := Facts{Node: n.name, VMs: map[int]VMFacts{}, Unread: map[int]string{}, Others: map[int]string{}, RootTicket: n.opts.RootTicket}
	group, ctx := errgroup.WithContext(ctx)
	o := &observation{facts: &f, needed: needed}
	o.early.Add(3) // the devices, the mappings and the guests
	ctx = pve.WithOdd(ctx, o.odd)
	group.Go(func() error {
		status, err := n.pve.NodeStatus(ctx)
		f.CPU, f.Cores, f.Kernel, f.Version = status.CPU, status.Cores, status.Kernel, status.Version
		f.MemoryTotal, f.MemoryAvailable = status.MemoryTotal, status.MemoryAvailable
		return o.tolerate("node status", "Sys.Audit on /nodes/"+n.name, err)
	})
	group.Go(func() error {
		defer o.early.Done()
		functions, err := n.pve.PCI(ctx)
		o.incomplete(err)
		f.IOMMU = iommu.Facts{Functions: functions, GroupsKnown: proxstation.AnswerOf(err == nil), Kernel: f.IOMMU.Kernel}
		if err != nil {
			f.IOMMU.GroupsKnown = proxstation.Unknown
		}
		return o.tolerate("PCI devices", "Sys.Audit on /", err)
	})
	group.Go(func() error {
		facts, err := n.pve.Storage(ctx)
		f.Disks, f.Pools = facts.Disks, storage.Join(facts, n.opts.Tiers)
		o.note(facts.Unknown...)
		return err
	})
	group.Go(func() error { return n.observeOffers(ctx, o) })
	group.Go(func() (err error) {
		f.HA, f.HAIgnored, err = n.pve.HAResources(ctx)
		return o.tolerate("high availability", "Sys.Audit on /", err)
	})
	group.Go(func() (err error) {
		f.Backups, err = n.backups(ctx)
		return o.tolerate("backup jobs", "Sys.Audit on /", err)
	})
	group.Go(func() (err error) {
		f.permissions, err = n.pve.Permissions(ctx)
		return err
	})
	group.Go(func() error { return o.readGuests(ctx, n) })
	group.Go(func() error { return n.observeVMs(ctx, o) })
	if err := group.Wait(); err != nil {
		return Facts{}, fmt.Errorf("workstation: observing node %s: %w", n.name, err)
	}
	f.settle(n.name, o.guests)
	return f, nil
}

// This returns the finding about a part of a node that could not be read.
func unread(what string, err error, why, fix string) proxstation.Finding {
	return proxstation.Finding{ID: idUnread, Severity: proxstation.Info, Subject: what, Seen: err.Error(), Why: printable.Sentence(why), Fix: printable.Sentence(fix)}
}
