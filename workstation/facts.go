package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// Facts holds the observed state of a node. [Diff] judges it without asking the
// node again.
type Facts struct {
	// Node is the node's name.
	Node string
	// CPU is the processor's model name. Cores is the number of logical CPUs.
	CPU   string
	Cores int
	// Kernel is the release of the running kernel. Version is the version of
	// PVE: "9.1.1".
	Kernel, Version string
	// MemoryTotal is the host's memory in bytes. MemoryAvailable is the part,
	// in bytes, that a new VM could have without swapping. It is the kernel's
	// estimate, which counts ZFS's cache as used. Both are 0 if the login may
	// not read them.
	MemoryTotal, MemoryAvailable storage.Size
	// IOMMU holds the PCI functions with their groups. Facts that only the host
	// itself can read are absent.
	IOMMU iommu.Facts
	// Pools holds the storages, each with its disks.
	Pools []storage.Pool
	// Disks holds the physical disks.
	Disks []storage.Disk
	// Bridges holds the bridges and vnets that the login may give to a VM.
	// CPUModels holds the CPU models that PVE brings or the cluster defines
	// ("custom-…"). Nil means that they could not be read.
	Bridges, CPUModels []string
	// Mappings holds the cluster's PCI resource mappings.
	Mappings []gpu.Mapping
	// VMs holds the VMs that the caller may see, by VMID.
	VMs map[int]VMFacts
	// Unread holds, by VMID, the names of the node's VMs with configurations
	// that were not read: [Node.ObserveFor] did not need the configuration, or
	// the node's answer could not be used. These VMs are in Others, not in VMs.
	// Which PCI devices they take is not known.
	Unread map[int]string
	// Others describes the containers, the VMs of other nodes, and the VMs in
	// Unread, by VMID: "container proxy on node pve". Their VMIDs are taken too.
	Others map[int]string
	// CardUsers holds the running containers of the node that use a graphics
	// card of the host.
	CardUsers []gpu.Container
	// HA holds the VMs under high availability. HAIgnored holds the VMs that
	// the HA manager ignores.
	HA, HAIgnored []int
	// Backups holds the cluster's scheduled backups.
	Backups []BackupJob
	// RootTicket says whether the login is root@pam with a password.
	RootTicket proxstation.Answer
	// Unknown holds a finding for each part that could not be read, with the
	// reason.
	Unknown []proxstation.Finding

	quorate     proxstation.Answer // whether the node's part of the cluster has quorum; Unknown if nobody asked
	away        map[string]string  // the nodes of the cluster that are away, each with the evidence
	searched    []string           // the nodes of the cluster whose VMs were looked up; nil if only this node was asked
	permissions pve.Permissions
	ports       []string // the ports of the host's bridges, and network cards with an address
}

// VMFacts holds the observed state of one VM.
type VMFacts struct {
	ID   int
	Name string
	// Node is the node that has the VM. The facts for a switch also contain the
	// members of the set on other nodes.
	Node    string
	Running bool
	// Paused says that the VM has a QEMU process, which holds its devices,
	// although the guest does not run. The VM is paused or asleep, or it is off
	// and a backup of it is running.
	Paused bool
	// Asleep says that the guest of a Paused VM sleeps (S3). PVE does not ask a
	// sleeping guest to shut down, but can wake it.
	Asleep bool
	// Lock is PVE's reason to refuse changes: "backup", "migrate". It is empty
	// if the VM is not locked.
	Lock string
	// HAState is the HA manager's state of a VM that belongs to a set:
	// "started", "stopped", "error". It is empty for other VMs.
	HAState string
	// Uptime is how long the VM has been running, in whole seconds.
	Uptime time.Duration
	// PID is the ID of the VM's QEMU process, or 0 if the VM is off. A new PID
	// means that the VM was started again.
	PID int
	// Config is the configuration of the next start. It includes changes that
	// wait for that start. The key of a Mac, which args can hold, is not
	// printed with the VM, but it is in JSON.
	Config map[string]string
	// InForce is the configuration with which a running VM was started and
	// which holds until its next start. It is nil if the VM is off.
	InForce map[string]string
	// Digest identifies this version of the configuration. PVE refuses a change
	// that names another digest.
	Digest string
}

// isOn reports whether the VM is on a node.
func (v VMFacts) isOn(node string) bool { return v.Node == node || v.Node == "" }

// String returns the VM's ID and name, without its configuration.
func (v VMFacts) String() string {
	return strings.TrimSpace(printable.Sprintf("VM %d %s", v.ID, v.Name))
}

// GoString returns the same text as String.
func (v VMFacts) GoString() string { return v.String() }

// This returns the configuration that is in force: InForce for a running VM,
// otherwise Config.
func (v VMFacts) now() map[string]string {
	if v.InForce != nil {
		return v.InForce
	}
	return v.Config
}

// settle adds the facts that depend on several answers.
func (f *Facts) settle(node string, guests []pve.Guest) {
	maps.Copy(f.Others, others(node, guests))
	for id, name := range f.Unread {
		f.Others[id] = VMFacts{ID: id, Name: name}.String() + ", whose configuration was not read"
	}
	f.fillPools(guests)
	f.doubtCommitted()
}

// This describes the containers, and the VMs of other nodes, by VMID.
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

// doubtCommitted makes the committed size of a storage unknown if the login
// does not see every disk on the storage. PVE shows the disks of a VM only to
// logins that may change them (pve-storage PVE/API2/Storage/Content.pm).
func (f *Facts) doubtCommitted() {
	for i, pool := range f.Pools {
		path := "/storage/" + pool.Name
		sees := f.permissions.Allows("/vms", "VM.Config.Disk") && f.permissions.Allows(path, "Datastore.Audit")
		for _, id := range slices.AppendSeq(slices.Collect(maps.Keys(f.VMs)), maps.Keys(f.Unread)) {
			sees = sees && f.permissions.Allows(vmPath(id), "VM.Config.Disk")
		}
		if pool.Committed == nil || sees || f.permissions.Allows(path, "Datastore.Allocate") {
			continue
		}
		f.Pools[i].Committed = nil
		f.Unknown = append(f.Unknown, proxstation.Finding{ID: "storage.committed-unknown", Severity: proxstation.Info, Subject: pool.Name,
			Seen: "the login may not see every disk on it", Why: "What it has promised to others is not counted: thin disks could fill it.",
			Fix: "Give the login VM.Config.Disk on /vms, or Datastore.Allocate on " + path + "."})
	}
}

// idUnread is the ID of findings about parts that could not be read.
const idUnread = "workstation.unread"
