package pvetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A base is the state that all parts of a node use: the node's description, the
// node's VMs, and the state of the cluster.
type base struct {
	*datacenter
	reach
	host    Host
	release pveschema.Version
	pids    int
	vms     map[int]*vm // /etc/pve/nodes/{node}/qemu-server
	inUse   int64       // memory of the running VMs, in bytes
	booted  time.Time   // time at which the host started
	boots   int         // number of starts of the host; events planned before the newest start never happen
}

// The method "after" schedules an event of the node that happens after the
// duration d. If the host loses its power meanwhile, the event does not happen.
func (b *base) after(d time.Duration, happen func()) {
	boots := b.boots
	b.schedule(d, func() {
		if b.boots == boots {
			happen()
		}
	})
}

// addVM adds a VM, and removeVM removes a VM. No other code changes the map of
// VMs.
func (b *base) addVM(v *vm) { b.vms[v.id] = v }

func (b *base) removeVM(id int) {
	delete(b.vms, id)
	b.lowest = min(b.lowest, id)
}

// The method "pid" returns the process ID of a new process.
func (b *base) pid() int {
	b.pids += 1 + b.random.IntN(40)
	return b.pids
}

// The method "guest" returns the behaviour of a VM's guest. Fields that are not
// set have their defaults.
func (b *base) guest(vmid int) Guest {
	g := b.behaviours[vmid]
	g.Boot, g.Shutdown = cmp.Or(g.Boot, 10*time.Second), cmp.Or(g.Shutdown, 5*time.Second)
	return g
}

func (b *base) keepGuest(id int, guest Guest) { b.behaviours[id] = guest }

// noConfig returns PVE's error for a VM that does not exist.
func (b *base) noConfig(vmid int) error {
	return refuse("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", b.host.Name, vmid)
}

// olderThan reports whether the node's PVE is older than the given release.
func (b *base) olderThan(major, minor int) bool {
	return cmp.Or(cmp.Compare(b.release.Major, major), cmp.Compare(b.release.Minor, minor)) < 0
}

// qemu returns the QEMU version of the node's PVE (release notes of PVE 8.4,
// 9.1 and 9.2).
func (b *base) qemu() string {
	switch {
	case b.olderThan(9, 0):
		return "9.2.0"
	case b.olderThan(9, 2):
		return "10.1.2"
	}
	return "11.0.0"
}

// freeMemory returns the number of bytes of memory that neither the host nor
// the running VMs use.
func (b *base) freeMemory() int64 { return b.host.Memory - 2<<30 - b.inUse } // the host itself uses 2 GiB

// bridgeExists returns PVE's error if the node does not have the bridge.
func (b *base) bridgeExists(bridge string) error {
	if bridge == "" || slices.Contains(b.host.Bridges, bridge) {
		return nil
	}
	return refuse("bridge '%s' does not exist", bridge)
}
