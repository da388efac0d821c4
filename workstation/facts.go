package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
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
	// Bridges are the bridges and vnets that the login may give to a VM, CPUModels
	// the CPU models that PVE brings or the cluster defines ("custom-…"). Nil
	// means that they could not be read.
	Bridges, CPUModels []string
	// Mappings are the cluster's PCI resource mappings.
	Mappings []gpu.Mapping
	// VMs are the VMs that the caller may see, by VMID.
	VMs map[int]VMFacts
	// Others are the containers, and the VMs of other nodes, whose VMIDs are
	// taken too, with what they are: "container proxy on node pve".
	Others map[int]string
	// HA are the VMs under high availability, HAIgnored those that its manager
	// is told to ignore.
	HA, HAIgnored []int
	// Backups are the cluster's scheduled backups.
	Backups []BackupJob
	// RootTicket says whether the login is root@pam with a password.
	RootTicket proxstation.Answer
	// Unknown says what could not be read, and why.
	Unknown []proxstation.Finding

	permissions pve.Permissions
}

// VMFacts are what is known of one VM.
type VMFacts struct {
	ID      int
	Name    string
	Running bool
	// Paused says that it has a QEMU process, and so its devices, but the guest
	// does not run: it is paused or asleep, or off and being backed up.
	Paused bool
	// Lock is why PVE refuses changes: "backup", "migrate"; empty for none.
	Lock string
	// Uptime is how long the VM has been running, in whole seconds.
	Uptime time.Duration
	// PID is that of the VM's QEMU process, 0 for a VM that is off. A VM with
	// another PID was started anew.
	PID int
	// Config is the configuration, with what waits for the next start. args can
	// hold the key of a Mac: it does not print with its VM, but is in JSON.
	Config map[string]string
	// InForce is the configuration that a running VM has until then; nil for
	// one that is off.
	InForce map[string]string
	// Digest is of the configuration. A change of another digest is refused.
	Digest string
}

// String returns the VM's ID and name, and nothing of its configuration.
func (v VMFacts) String() string { return strings.TrimSpace(fmt.Sprintf("VM %d %s", v.ID, v.Name)) }

// GoString returns what String does.
func (v VMFacts) GoString() string { return v.String() }

// now returns what a VM has: what is in force for one that runs.
func (v VMFacts) now() map[string]string {
	if v.InForce != nil {
		return v.InForce
	}
	return v.Config
}

// Observe reads the facts of the node, with independent requests at the same
// time. What the login may not read is named in Facts.Unknown; an answer that
// does not come is an error. To see all it needs Sys.Audit, Datastore.Audit,
// VM.Audit and Mapping.Audit on /; and VM.Config.Disk on /vms, without which PVE
// does not tell what thin storages have promised to others' disks.
func (n *Node) Observe(ctx context.Context) (Facts, error) {
	f := Facts{Node: n.name, VMs: map[int]VMFacts{}, Others: map[int]string{}, RootTicket: n.opts.RootTicket}
	group, ctx := errgroup.WithContext(ctx)
	o := &observation{facts: &f}
	ctx = pve.WithOdd(ctx, o.odd)
	group.Go(func() error {
		status, err := n.pve.NodeStatus(ctx)
		f.CPU, f.Cores, f.Kernel = status.CPU, status.Cores, status.Kernel
		f.MemoryTotal, f.MemoryAvailable = status.MemoryTotal, status.MemoryAvailable
		return o.tolerate("node status", "Sys.Audit on /nodes/"+n.name, err)
	})
	group.Go(func() error {
		functions, err := n.pve.PCI(ctx)
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
	group.Go(func() (err error) {
		f.Mappings, err = n.pve.Mappings(ctx)
		return o.tolerate("resource mappings", "Mapping.Audit on /mapping/pci", err)
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
	var guests []pve.Guest
	group.Go(func() (err error) { guests, err = n.pve.Guests(ctx); return err })
	group.Go(func() error { return n.observeVMs(ctx, o) })
	if err := group.Wait(); err != nil {
		return Facts{}, fmt.Errorf("workstation: observing node %s: %w", n.name, err)
	}
	f.settle(n.name, guests)
	return f, nil
}

// observeOffers reads what the node can give to a VM.
func (n *Node) observeOffers(ctx context.Context, o *observation) error {
	group, ctx := errgroup.WithContext(ctx)
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

// settle adds what follows from several answers.
func (f *Facts) settle(node string, guests []pve.Guest) {
	maps.Copy(f.Others, others(node, guests))
	f.fillPools(guests)
	f.doubtCommitted()
}

// others returns what is no VM of a node.
func others(node string, guests []pve.Guest) map[int]string {
	others := map[int]string{}
	for _, g := range guests {
		switch {
		case g.Container:
			others[g.VMID] = fmt.Sprintf("container %s on node %s", g.Name, g.Node)
		case g.Node != node:
			others[g.VMID] = fmt.Sprintf("VM %s on node %s", g.Name, g.Node)
		}
	}
	return others
}

// doubtCommitted forgets what storages have promised where the login does not
// see every disk: PVE leaves out those of VMs whose disks it may not change
// (pve-storage PVE/API2/Storage/Content.pm).
func (f *Facts) doubtCommitted() {
	for i, pool := range f.Pools {
		path := "/storage/" + pool.Name
		sees := f.permissions.Allows("/vms", "VM.Config.Disk") && f.permissions.Allows(path, "Datastore.Audit")
		for id := range f.VMs {
			sees = sees && f.permissions.Allows(vmPath(id), "VM.Config.Disk")
		}
		if pool.Committed == nil || sees || f.permissions.Allows(path, "Datastore.Allocate") {
			continue
		}
		f.Pools[i].Committed = nil
		f.Unknown = append(f.Unknown, proxstation.Finding{ID: "storage.committed-unknown", Severity: proxstation.Info, Subject: pool.Name,
			Seen: "the login may not see every disk on it", Why: "what it has promised to others is not counted: thin disks could fill it",
			Fix: "give the login VM.Config.Disk on /vms, or Datastore.Allocate on " + path})
	}
}

// An observation gathers what several readers write.
type observation struct {
	mu    sync.Mutex
	facts *Facts
}

func (o *observation) note(findings ...proxstation.Finding) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.facts.Unknown = append(o.facts.Unknown, findings...)
}

// tolerate makes a finding of a part that the login may not read, or for which
// no answer comes.
func (o *observation) tolerate(what, privilege string, err error) error {
	if !errors.Is(err, ErrNoAnswer) {
		return o.needs(what, privilege, err)
	}
	o.note(unread(what, err, "the part of the node that this request asks hangs or is overloaded",
		"look on the host at what hangs: journalctl -b -u pvedaemon -u pveproxy -u pvestatd"))
	return nil
}

// odd makes a finding of a value that is not what PVE's API says it is.
func (o *observation) odd(v pve.Odd) {
	path, _, _ := strings.Cut(v.Path, "?")
	o.note(proxstation.Finding{ID: "workstation.odd-value", Severity: proxstation.Warning, Subject: v.Method + " " + path, Seen: v.Value,
		Why: "the value is not what PVE's API describes, and was left out: nothing that depends on it is judged",
		Fix: "on the host, look at the answer with pvesh get " + path + " and at the version with pveversion, and report both"})
}

// needs makes a finding of a part that the login may not read.
func (o *observation) needs(what, privilege string, err error) error {
	if !errors.Is(err, ErrPermission) {
		return err
	}
	o.note(unread(what, err, "nothing that depends on it is judged", "give the login "+privilege))
	return nil
}

// idUnread is the ID of the findings of unread.
const idUnread = "workstation.unread"

// unread is the finding about a part of a node that could not be read.
func unread(what string, err error, why, fix string) proxstation.Finding {
	return proxstation.Finding{ID: idUnread, Severity: proxstation.Info, Subject: what, Seen: err.Error(), Why: why, Fix: fix}
}

func (n *Node) observeVMs(ctx context.Context, o *observation) error {
	list, err := n.pve.VMsInFull(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, status := range list {
		group.Go(func() error {
			v, err := n.observeVM(ctx, status)
			o.mu.Lock()
			defer o.mu.Unlock()
			switch {
			case errors.Is(err, ErrNotFound): // removed since the list
			case errors.Is(err, pve.ErrAnswer):
				o.facts.Unknown = append(o.facts.Unknown, unread(v.String(), err, "the VM is left out, and with it what it has of the node's devices and storages",
					fmt.Sprintf("on the host, look at it with qm config %d", v.ID)))
				o.facts.Others[v.ID] = v.String() + ", whose configuration could not be read"
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

// observeVM reads one VM. What one that runs has until its next start is in the
// same answer as what it has then.
func (n *Node) observeVM(ctx context.Context, status pve.VMStatus) (VMFacts, error) {
	v := VMFacts{ID: status.VMID, Name: status.Name, Running: status.Running, Paused: status.Running && status.Paused,
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
