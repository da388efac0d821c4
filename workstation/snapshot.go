package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Snapshot holds the configurations of some VMs at one moment, as data that
// can be stored as JSON. [RestorePlan] makes the plan that returns to them.
// Unlike PVE's own snapshots, a Snapshot holds only settings, no disks.
//
// Take it from the same [Facts] as the plan. Apply refuses to change a VM that
// has changed since these facts were read, so the snapshot holds the state
// before the plan. Store it before Apply begins, and keep the first snapshot if
// Apply has to be repeated.
//
// Its String shows no settings. Its JSON holds everything that PVE shows of a
// configuration, even a key in args, so protect the file like the node's own
// configuration. The password of cloud-init is not in it, because PVE does not
// show that password.
type Snapshot struct {
	// Node is the node's name.
	Node string `json:"node"`
	// Configs holds the configurations by VMID. It leaves out values that soon
	// change: the digest, a lock, a controller's lease.
	Configs map[int]map[string]string `json:"configs"`
	// Missing holds the requested VMIDs that belonged to no VM.
	Missing []int `json:"missing,omitempty"`
	// Unread holds the VMIDs of [Facts.Unread] that were requested. A
	// [RestorePlan] leaves these VMs as they are.
	Unread []int `json:"unread,omitempty"`
}

// Snapshot returns the configurations of the VMs with these VMIDs. If no VMID
// is given, it returns the configurations of all VMs that were read.
func (f Facts) Snapshot(vmids ...int) Snapshot {
	if len(vmids) == 0 {
		vmids = slices.AppendSeq(slices.Collect(maps.Keys(f.VMs)), maps.Keys(f.Unread))
	}
	s := Snapshot{Node: f.Node, Configs: map[int]map[string]string{}}
	for _, id := range vmids {
		v, there := f.VMs[id]
		if f.isUnread(id) {
			s.Unread = append(s.Unread, id)
			continue
		}
		if !there {
			s.Missing = append(s.Missing, id)
			continue
		}
		config := maps.Clone(v.Config)
		delete(config, "lock")
		setOrDelete(config, "description", withoutLease(config["description"]))
		s.Configs[id] = config
	}
	slices.Sort(s.Missing)
	slices.Sort(s.Unread)
	return s
}

// String names the VMs of the snapshot.
func (s Snapshot) String() string {
	var ids []string
	for _, id := range sortedIDs(s.Configs) {
		ids = append(ids, fmt.Sprint(id))
	}
	return printable.Sprintf("configurations on node %s: VM %s", s.Node, strings.Join(ids, ", "))
}

func setOrDelete(config map[string]string, key, value string) {
	if value == "" {
		delete(config, key)
		return
	}
	config[key] = value
}

func sortedIDs[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }
