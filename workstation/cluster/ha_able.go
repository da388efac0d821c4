package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// An ability says whether a node could start a VM that is on another node now.
type ability struct {
	answer proxstation.Answer
	why    []string // what the node lacks, or why the answer is not known
	notes  []string // the data that would be lost
}

// Judges whether a node could start a VM after the HA manager recovered it
// there. The HA manager moves only the configuration, and does not change it
// (pve-ha-manager PVE/HA/Env/PVE2.pm, steal_service).
func able(vm workstation.VMFacts, home workstation.Facts, to NodeFacts, h HA) ability {
	if why := to.away(); why != "" {
		return ability{why: []string{why}}
	}
	a := ability{}
	a.why = append(a.why, cardsLacking(vm, to.Facts)...)
	a.disks(vm, home, to.Facts)
	a.why = append(a.why, taken(vm, to.Facts, h)...)
	for _, key := range sortedKeys(vm.Config, "net") {
		if bridge, has := qmconf.Parse(key, vm.Config[key]).Get("bridge"); has && to.Facts.Bridges != nil && !slices.Contains(to.Facts.Bridges, bridge) {
			a.why = append(a.why, fmt.Sprintf("%s: it has no bridge %s", key, bridge))
		}
	}
	if need := memory(workstation.VM{Config: vm.Config}); to.Facts.MemoryTotal > 0 && need > to.Facts.MemoryTotal {
		a.why = append(a.why, fmt.Sprintf("it has %s of memory, and the VM takes %s", to.Facts.MemoryTotal.Human(), need.Human()))
	}
	a.answer = proxstation.AnswerOf(len(a.why) == 0)
	if len(a.why) == 0 && len(to.Facts.Unread) > 0 && takesDevices(workstation.VM{ID: vm.ID, Config: vm.Config}) {
		a.answer, a.why = proxstation.Unknown, []string{"its card may be the card of " + unread(to.Facts)}
	}
	return a
}

// sortedKeys returns the keys of one family, such as net0 and net1.
func sortedKeys(config map[string]string, family string) []string {
	var keys []string
	for key := range config {
		if qmconf.Family(key) == family {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// cardsLacking returns a reason for each PCI device of the VM that would not
// work on the node. Either the node lacks the device, or the mapping has no
// entry or a wrong entry for the node.
func cardsLacking(vm workstation.VMFacts, facts workstation.Facts) (why []string) {
	for _, key := range sortedKeys(vm.Config, "hostpci") {
		value, err := gpu.ParseHostPCI(vm.Config[key])
		if err != nil {
			continue // no fault of this node: PVE cannot parse the key either, so the VM starts nowhere
		}
		if mapping, known := facts.PCI().Mapping(value.Mapping); value.Mapping != "" && (!known || len(mapping.On(facts.Node)) == 0) {
			why = append(why, fmt.Sprintf("%s: mapping %s has no entry for it", key, value.Mapping))
			continue
		}
		for _, f := range facts.PCI().Check(key, value, gpu.Guest(0)) {
			if f.Severity == proxstation.Blocker {
				why = append(why, fmt.Sprintf("%s: %s", key, f.Seen))
			}
		}
	}
	return why
}

// Judges the volumes of a VM. The HA manager does not move volumes. A volume on
// a storage that the nodes do not share is therefore a reason why the VM would
// not start. If the node has a replicated copy of the volume, the VM would
// start, and a note says which data would be lost.
func (a *ability) disks(vm workstation.VMFacts, home, to workstation.Facts) {
	for _, key := range qmconf.Slots(vm.Config) {
		value := vm.Config[key]
		pool, _, isVolume := qmconf.CutVolume(value)
		volume, _, _ := strings.Cut(value, ",")
		switch there, on := poolOf(to, pool); {
		case strings.HasPrefix(volume, "/"):
			a.why = append(a.why, fmt.Sprintf("%s: %s is a device of node %s", key, volume, home.Node))
		case !isVolume:
		case !on:
			a.why = append(a.why, fmt.Sprintf("%s: storage %s is not on it", key, pool))
		case !there.Active:
			a.why = append(a.why, fmt.Sprintf("%s: it does not reach storage %s", key, pool))
		case there.Shared:
		case holds(there.Images, volume): // an image to install from, and the node has it too
		case holds(there.Volumes, volume):
			a.notes = append(a.notes, fmt.Sprintf("%s: the node has only a replicated copy of %s: data written since the last replication would be lost", key, volume))
		default:
			a.why = append(a.why, fmt.Sprintf("%s: %s is on storage %s of node %s, which the nodes do not share", key, volume, pool, home.Node))
		}
	}
}

func poolOf(facts workstation.Facts, name string) (storage.Pool, bool) {
	i := slices.IndexFunc(facts.Pools, func(p storage.Pool) bool { return p.Name == name })
	if i < 0 {
		return storage.Pool{}, false
	}
	return facts.Pools[i], true
}

func holds(volumes []storage.Volume, id string) bool {
	return slices.ContainsFunc(volumes, func(v storage.Volume) bool { return v.ID == id })
}

// taken returns a reason for each VM on the node that uses the given VM's card
// now. These are VMs that run, and VMs that the HA manager keeps running.
func taken(vm workstation.VMFacts, facts workstation.Facts, h HA) (why []string) {
	claims := slices.DeleteFunc(facts.Claims(), func(c gpu.Claim) bool { return c.VMID == vm.ID })
	claims = append(claims, qmconf.Claim(vm.ID, vm.Config))
	for _, conflict := range facts.PCI().ConflictsOf(vm.ID, claims) {
		other := conflict.VMs[0]
		if other == vm.ID {
			other = conflict.VMs[1]
		}
		managed, is := h.VM(other)
		switch {
		case is && managed.Wanted == "started":
			why = append(why, fmt.Sprintf("its card is the card of %s, which the HA manager keeps running there", facts.VMs[other]))
		case facts.VMs[other].Running:
			why = append(why, fmt.Sprintf("its card is the card of %s, which runs there", facts.VMs[other]))
		}
	}
	return why
}
