package workstation

import (
	"fmt"
	"maps"
	"strings"
	"time"

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
	ports       []string // of the host's bridges, and cards with an address of their own
}

// VMFacts are what is known of one VM.
type VMFacts struct {
	ID      int
	Name    string
	Running bool
	// Paused says that it has a QEMU process, and so its devices, but the guest
	// does not run: it is paused or asleep, or off and being backed up.
	Paused bool
	// Asleep says that the guest of a VM that is Paused sleeps (S3): PVE does
	// not ask it to shut down, but can wake it.
	Asleep bool
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

// idUnread is the ID of the findings of unread.
const idUnread = "workstation.unread"
