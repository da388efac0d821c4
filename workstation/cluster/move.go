package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Move takes a VM that is off to another node of the cluster. PVE copies the
// disks that the nodes do not share, and then hands over the configuration
// (qemu-server PVE/QemuMigrate.pm). This package moves a VM only if the plan
// has a Move for it.
type Move struct {
	VMID     int
	Name     string
	From, To string
	// Digest is the digest of the VM's configuration at the time of the plan.
	Digest string
	// Disks holds the volumes on storages that the nodes do not share. A VM
	// without such volumes moves in seconds.
	Disks []MoveDisk
	// Copied is the amount of data that has to be copied. Unsized is the number
	// of volumes whose size is not known. Replicated volumes do not count for
	// either: PVE copies only what changed in them since LastSync.
	Copied   storage.Size
	Unsized  int
	LastSync time.Time
	// LastRun is the duration of the replication that ended at LastSync.
	LastRun time.Duration
	// Estimate is how long the copy takes at the speed that the caller knows. It
	// is 0 if the speed is not known.
	Estimate time.Duration
	// HA says that the VM is under high availability: the HA manager moves it.
	HA bool
}

// A MoveDisk is a volume on a storage that the nodes do not share.
type MoveDisk struct {
	Volume string
	Size   storage.Size // 0 if it is not known
	// Replicated says that the target has a copy of the volume.
	Replicated bool
}

// MoveOptions control [MoveFacts.Plan]. A nil pointer means the defaults.
type MoveOptions struct {
	// Speed is the amount of data that the network and the disks copy in a
	// second. The caller may know it from earlier moves. If it is 0, no time is
	// estimated, because PVE does not know the speed.
	Speed storage.Size
	// Place says how far storages may be filled.
	Place *storage.PlaceOptions
	// HA holds the rules of high availability, from [Cluster.ObserveHA]. A rule
	// that forbids the target blocks the move: PVE would move the VM, and move
	// it back before its next start. The zero HA forbids nothing.
	HA HA
}

// MoveFacts holds PVE's facts about a VM and about the node to which the VM
// should move.
type MoveFacts struct {
	VMID     int
	From, To string
	Running  bool
	// Devices holds the configuration keys of host devices that prevent the
	// move, such as "hostpci0".
	Devices []string
	// Disks holds the volumes that the nodes do not share.
	Disks []MoveDisk
	// CDs holds the images in CD drives that the nodes do not share.
	CDs []string
	// Storages and Mappings name the storages and mappings that the VM uses and
	// the target lacks.
	Storages, Mappings []string
	// HA names the resources of high availability that prevent the move, with
	// the kind of the rule. Along names the resources that PVE moves together
	// with the VM.
	HA, Along []string
	// Replication is the replication job of the VM to the target. It is nil if
	// there is no such job.
	Replication *Replication
}

// A Replication is a job of PVE that keeps copies of a VM's ZFS volumes on
// another node (PVE manual, Storage Replication).
type Replication struct {
	ID       string
	Disabled bool
	// LastSync is the time of the newest copies. It is zero if there are no
	// copies.
	LastSync time.Time
	// LastRun is how long the last run took.
	LastRun time.Duration
	// Failures is the number of runs that failed since the last good run. Error
	// is the reason of the last failure.
	Failures int
	Error    string
}

// ObserveMove reads PVE's facts about a VM and about its move from one node to
// another. It needs VM.Migrate and VM.Audit on the VM. If the VM is not on the
// node "from", or if the cluster has no quorum, ObserveMove returns PVE's
// error.
func (c *Cluster) ObserveMove(ctx context.Context, vmid int, from, to string) (MoveFacts, error) {
	client := c.pve.On(from)
	m := MoveFacts{VMID: vmid, From: from, To: to}
	seen, err := client.Migration(ctx, vmid, to)
	if err != nil {
		return MoveFacts{}, fmt.Errorf("cluster: moving VM %d: %w", vmid, err)
	}
	jobs, err := client.Replications(ctx, vmid)
	if err != nil && !errors.Is(err, workstation.ErrPermission) && !errors.Is(err, workstation.ErrNotFound) {
		return MoveFacts{}, fmt.Errorf("cluster: moving VM %d: %w", vmid, err)
	}
	m.Running, m.Devices, m.Storages, m.Mappings, m.HA, m.Along = seen.Running, seen.Local, seen.Storages, seen.Mappings, seen.HA, seen.Along
	for _, job := range jobs {
		if job.Target == to {
			m.Replication = &Replication{ID: job.ID, Disabled: job.Disabled, LastSync: job.LastSync, LastRun: job.Duration, Failures: job.Failures, Error: job.Error}
		}
	}
	for _, d := range seen.Disks {
		if d.CD && !strings.Contains(d.Volume, "cloudinit") {
			m.CDs = append(m.CDs, d.Volume)
			continue
		}
		m.Disks = append(m.Disks, MoveDisk{Volume: d.Volume, Size: d.Size})
	}
	return m, nil
}

// Plan judges the move and returns its plan. It is pure. If a finding is a
// blocker, [Cluster.Apply] does not begin. The ID of each finding begins with
// "cluster.move-" or is cluster.no-quorum.
func (m MoveFacts) Plan(facts Facts, opts *MoveOptions) Plan {
	if opts == nil {
		opts = &MoveOptions{}
	}
	from, _ := facts.Node(m.From)
	to, _ := facts.Node(m.To) // zero if the cluster has no such node; this counts as a node that was not read
	j := &mover{facts: m, all: facts, from: from.Facts, to: to.Facts, opts: *opts, vm: from.Facts.VMs[m.VMID]}
	j.move = Move{VMID: m.VMID, Name: j.vm.Name, From: m.From, To: m.To, Digest: j.vm.Digest, HA: slices.Contains(j.from.HA, m.VMID)}
	if why := to.away(); why != "" {
		j.block("cluster.move-away", m.To+": "+why, "the target has to take the VM", "bring the node back, or choose another node")
	} else {
		j.state()
		j.target()
		j.disks()
	}
	plan := Plan{Moves: []Move{j.move}, Findings: j.findings}
	plan.judge(facts)
	return plan
}

// A mover holds the data while one move is judged.
type mover struct {
	facts    MoveFacts
	all      Facts
	from, to workstation.Facts
	vm       workstation.VMFacts
	opts     MoveOptions
	move     Move
	findings []proxstation.Finding
}

func (j *mover) find(severity proxstation.Severity, id, seen, why, fix string) {
	j.findings = append(j.findings, proxstation.Finding{ID: id, Severity: severity, Subject: fmt.Sprintf("VM %d %s", j.move.VMID, j.move.Name),
		Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
}

func (j *mover) block(id, seen, why, fix string) { j.find(proxstation.Blocker, id, seen, why, fix) }

// Judges the VM itself.
func (j *mover) state() {
	id := j.move.VMID
	_, unread := j.from.Unread[id]
	switch {
	case j.move.From == j.move.To:
		j.block("cluster.move-here", "it is on node "+j.move.To, "there is nothing to move", "choose another node")
	case unread:
		j.block("cluster.move-no-vm", fmt.Sprintf("the configuration of VM %d on node %s was not read", id, j.move.From), "its configuration decides what can be moved", "observe all VMs of the cluster, and plan the move again")
	case j.vm.ID == 0:
		j.block("cluster.move-no-vm", fmt.Sprintf("node %s has no VM %d that the login may see", j.move.From, id), "its configuration decides what can be moved", "observe again, or give the login VM.Audit on /vms")
	}
	if j.facts.Running {
		j.block("cluster.move-running", "it is running", "a VM with a passed-through card cannot be moved while it runs", fmt.Sprintf("shut it down: qm shutdown %d, on node %s", id, j.move.From))
	}
	if j.vm.Lock != "" {
		j.block("cluster.move-locked", "lock: "+j.vm.Lock, "PVE moves no locked VM", "wait for the "+j.vm.Lock+" to end; if it died: qm unlock "+fmt.Sprint(id))
	}
	if len(j.facts.Devices) > 0 {
		j.block("cluster.move-devices", strings.Join(j.facts.Devices, ", "), "PVE moves no VM that names a device of its node by address",
			fmt.Sprintf("name the device by a resource mapping: qm set %d --%s mapping=..., or remove the key", id, j.facts.Devices[0]))
	}
	if j.move.HA {
		j.find(proxstation.Info, "cluster.move-ha", "it is under high availability", "the HA manager moves it at its next round, with its rules", "")
	}
	if len(j.facts.Along) > 0 {
		j.find(proxstation.Warning, "cluster.move-along", strings.Join(j.facts.Along, ", "), "A rule of high availability keeps them together with the VM, so that PVE moves them too", "see the rule: ha-manager rules list")
	}
}

// Judges whether the target node has everything that the VM needs.
func (j *mover) target() {
	if len(j.facts.Mappings) > 0 {
		var names []string
		for _, key := range j.facts.Mappings {
			names = append(names, key+": "+j.vm.Config[key])
		}
		j.block("cluster.move-mapping", strings.Join(names, "; "), "the mapping has no entry for node "+j.move.To+", so that the VM could not start there",
			"complete the mapping for the node's card: plan with the card among the Cards of the Spec, or use Datacenter, Resource Mappings")
	}
	for _, id := range mappingsOf(workstation.VM{Config: j.vm.Config}) {
		mapping, _ := j.to.PCI().Mapping(id)
		for _, f := range j.to.PCI().Drift(mapping) {
			if f.Severity == proxstation.Blocker && len(mapping.On(j.to.Node)) > 0 {
				f.Subject = fmt.Sprintf("VM %d %s", j.move.VMID, f.Subject)
				j.findings = append(j.findings, f)
			}
		}
	}
	if shared := sharers(workstation.VM{ID: j.move.VMID, Name: j.move.Name, Config: j.vm.Config}, j.to, j.to.Claims(), nil); len(shared) > 0 {
		j.find(proxstation.Info, "cluster.move-card", "on node "+j.move.To+" its card is also the card of "+strings.Join(shared, " and "), "only one of them runs at a time", "")
	}
	forbidden := strings.Join(j.facts.HA, ", ")
	if _, refused := j.opts.HA.allows(j.all, j.move.VMID, j.move.To); forbidden == "" && j.move.HA {
		forbidden = refused
	}
	if forbidden != "" {
		j.block("cluster.move-rule", forbidden, "a rule of high availability forbids node "+j.move.To, "change the rule (ha-manager rules list), or choose another node")
	}
	if need := memory(workstation.VM{Config: j.vm.Config}); j.to.MemoryTotal > 0 && need > j.to.MemoryTotal {
		j.block("cluster.move-memory", fmt.Sprintf("it has %s of memory, node %s has %s", need.Human(), j.move.To, j.to.MemoryTotal.Human()), "the VM could not start there", "choose another node, or give the VM less memory")
	}
}
