package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/finding"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// Facts are what is known of a node. [Diff] judges them without asking again.
type Facts struct {
	// Node is the node's name.
	Node string
	// CPU is the processor's model name, Cores the number of logical CPUs.
	CPU   string
	Cores int
	// Kernel is the running kernel's release.
	Kernel string
	// MemoryTotal is the host's memory, MemoryAvailable what of it a new VM
	// could have without others being swapped out, by the kernel's estimate,
	// for which ZFS's cache is in use. In bytes; 0 where they may not be read.
	MemoryTotal, MemoryAvailable storage.Size
	// IOMMU holds the PCI functions with their groups. What only the host
	// itself knows is absent.
	IOMMU iommu.Facts
	// Pools are the storages joined to their disks.
	Pools []storage.Pool
	// Disks are the physical disks.
	Disks []storage.Disk
	// Mappings are the cluster's PCI resource mappings.
	Mappings []gpu.Mapping
	// VMs are the VMs that the caller may see, by VMID.
	VMs map[int]VMFacts
	// HA are the VMs under high availability.
	HA []int
	// Backups are the cluster's scheduled backups.
	Backups []BackupJob
	// RootTicket says whether the login is root@pam with a password.
	RootTicket iommu.Answer
	// Unknown says what could not be read, and why.
	Unknown []Finding

	permissions pve.Permissions
}

// A BackupJob is a scheduled backup that the node takes part in: its ID,
// schedule, mode and VMs.
type BackupJob = pve.BackupJob

// VMFacts are what is known of one VM.
type VMFacts struct {
	ID      int
	Name    string
	Running bool
	// Lock is why PVE refuses changes: "backup", "migrate"; empty for none.
	Lock string
	// Config is the configuration, with what waits for the next start.
	Config map[string]string
	// Digest is of the configuration. A change of another digest is refused.
	Digest string
}

// HostPCI returns the VM's hostpci values. Values that this package cannot
// read are left out.
func (v VMFacts) HostPCI() []gpu.HostPCI {
	var values []gpu.HostPCI
	for _, key := range sortedKeys(v.Config) {
		if family(key) == "hostpci" {
			if h, err := gpu.ParseHostPCI(v.Config[key]); err == nil {
				values = append(values, h)
			}
		}
	}
	return values
}

// allows reports whether the login has a privilege, or one of several.
func (f Facts) allows(p Privilege) bool {
	return slices.ContainsFunc(strings.Split(p.Name, "|"), func(name string) bool { return f.permissions.Allows(p.Path, name) })
}

// Cards returns the node's graphics cards.
func (f Facts) Cards() []gpu.Card { return gpu.Cards(f.IOMMU.Functions) }

// PCI returns what is known of the node's PCI devices and their mappings.
func (f Facts) PCI() gpu.Node {
	return gpu.Node{Name: f.Node, Functions: f.IOMMU.Functions, Mappings: f.Mappings}
}

// Claims returns what the node's VMs want of its PCI devices.
func (f Facts) Claims() []gpu.Claim {
	var claims []gpu.Claim
	for _, id := range slices.Sorted(maps.Keys(f.VMs)) {
		v := f.VMs[id]
		if values := v.HostPCI(); len(values) > 0 {
			claims = append(claims, gpu.Claim{VMID: id, Values: values, OnBoot: v.Config["onboot"] == "1"})
		}
	}
	return claims
}

// Observe reads the facts of the node, with independent requests at the same
// time. What the login may not read is named in Facts.Unknown; an answer that
// does not come is an error. To see all it needs Sys.Audit, Datastore.Audit,
// VM.Audit and Mapping.Audit on /.
func (n *Node) Observe(ctx context.Context) (Facts, error) {
	f := Facts{Node: n.name, VMs: map[int]VMFacts{}, RootTicket: n.opts.RootTicket}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	o := &observation{facts: &f}
	group.Go(func() error {
		status, err := n.pve.NodeStatus(ctx)
		f.CPU, f.Cores, f.Kernel = status.CPU, status.Cores, status.Kernel
		f.MemoryTotal, f.MemoryAvailable = status.MemoryTotal, status.MemoryAvailable
		return o.tolerate("node status", "Sys.Audit on /nodes/"+n.name, err)
	})
	group.Go(func() error {
		functions, err := n.pve.PCI(ctx)
		f.IOMMU = iommu.Facts{Functions: functions, GroupsKnown: iommu.AnswerOf(err == nil), Kernel: f.IOMMU.Kernel}
		if err != nil {
			f.IOMMU.GroupsKnown = iommu.Unknown
		}
		return o.tolerate("PCI devices", "Sys.Audit on /", err)
	})
	group.Go(func() error {
		facts, err := n.pve.Storage(ctx)
		f.Disks, f.Pools = facts.Disks, storage.Join(facts, n.opts.Tiers)
		o.note(facts.Unknown...)
		return err
	})
	group.Go(func() (err error) {
		f.Mappings, err = n.pve.Mappings(ctx)
		return o.tolerate("resource mappings", "Mapping.Audit on /mapping/pci", err)
	})
	group.Go(func() (err error) {
		f.HA, err = n.pve.HAResources(ctx)
		return o.tolerate("high availability", "Sys.Audit on /", err)
	})
	group.Go(func() (err error) {
		f.Backups, err = n.pve.BackupJobs(ctx)
		return o.tolerate("backup jobs", "Sys.Audit on /", err)
	})
	group.Go(func() (err error) {
		f.permissions, err = n.pve.Permissions(ctx)
		return err
	})
	group.Go(func() error { return n.observeVMs(ctx, o) })
	if err := group.Wait(); err != nil {
		return Facts{}, fmt.Errorf("workstation: observing node %s: %w", n.name, err)
	}
	return f, nil
}

// An observation gathers what several readers write.
type observation struct {
	mu    sync.Mutex
	facts *Facts
}

func (o *observation) note(findings ...Finding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.facts.Unknown = append(o.facts.Unknown, findings...)
}

// tolerate makes a refusal a finding.
func (o *observation) tolerate(what, privilege string, err error) error {
	if !errors.Is(err, ErrPermission) {
		return err
	}
	o.note(Finding{ID: "workstation.unread", Severity: finding.Info, Subject: what, Seen: err.Error(),
		Why: "what depends on it is not judged", Fix: "give the login " + privilege})
	return nil
}

func (n *Node) observeVMs(ctx context.Context, o *observation) error {
	list, err := n.pve.VMs(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, status := range list {
		group.Go(func() error {
			config, err := n.pve.Config(ctx, status.VMID)
			if errors.Is(err, ErrNotFound) {
				return nil // removed since the list
			}
			if err != nil {
				return err
			}
			o.mu.Lock()
			defer o.mu.Unlock()
			o.facts.VMs[status.VMID] = VMFacts{ID: status.VMID, Name: status.Name, Running: status.Running, Lock: config.Values["lock"],
				Config: config.Values, Digest: config.Digest}
			return nil
		})
	}
	return group.Wait()
}
