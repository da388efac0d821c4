package pvetest

import (
	"cmp"
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An haStack is high availability as PVE's HA manager keeps it for a cluster
// (pve-ha-manager): its configuration (/etc/pve/ha), the state of the active
// cluster resource manager, the CRM, and that of a local resource manager, the
// LRM, for each node.
type haStack struct {
	d         *datacenter
	resources map[string]*haResource // resources.cfg, by service ID: "vm:140"
	rules     map[string]*haRule     // rules.cfg, by name
	groups    map[string]*haGroup    // groups.cfg, by name
	commands  [][]string             // crm_commands: {"migrate", "vm:140", "pve2"}
	crm       haCRM
	lrms      map[string]*haLRM // by node
	inRound   *compiledRules    // the rules during a round of the CRM, which compiles them once
	ticking   bool
	ticks     int
	uids      int
}

// An haResource is a section of resources.cfg. Options that are not set are
// absent.
type haResource struct {
	id      int // VMID
	options map[string]string
}

// An haService is the state of a resource as the CRM knows it (service_status
// in manager_status).
type haService struct {
	state   string // "started", "request_stop", "fence" and so on
	node    string
	target  string // node to which the service moves
	timeout string // of a requested stop, in seconds; "" is the default
	uid     string // of the state; a result of the LRM names it
	running bool   // the LRM has seen the service run since the newest change of state
	failed  []string
	command []string // command that was not yet done
}

// newHA returns the HA stack of a cluster whose resources have been under high
// availability for a while.
func newHA(d *datacenter) *haStack {
	return &haStack{d: d, resources: map[string]*haResource{}, rules: map[string]*haRule{}, groups: map[string]*haGroup{},
		crm: haCRM{nodes: map[string]string{}, services: map[string]*haService{}, seen: map[string]time.Time{}}, lrms: map[string]*haLRM{}}
}

// settle sets the state of managers that have worked for a while, if a host's
// description puts VMs under high availability.
func (h *haStack) settle() {
	if len(h.resources) == 0 {
		return
	}
	h.crm.master, h.crm.renewed, h.crm.stamp = h.d.peers[0].host.Name, h.d.now, h.d.now
	h.updateNodes()
	for _, n := range h.d.peers {
		l := h.lrm(n)
		l.stamp = h.d.now
		if h.count(n.host.Name, active) > 0 && h.lock(l, n.host.Name) {
			l.state = "active"
		}
	}
	h.wake()
}

// describe takes over the VMs that the description of a node puts under high
// availability, in the state in which the HA manager would keep them.
func (h *haStack) describe(host Host) {
	running := map[int]bool{}
	for _, v := range host.VMs {
		running[v.ID] = v.Running
	}
	for _, id := range host.HA {
		state := map[bool]string{true: "started", false: "stopped"}[running[id]]
		h.resources[sidOf(id)] = &haResource{id: id, options: map[string]string{"state": state}}
		h.crm.services[sidOf(id)] = &haService{state: state, node: host.Name, uid: h.uid(), running: running[id]}
	}
	for _, id := range host.HAIgnored {
		h.resources[sidOf(id)] = &haResource{id: id, options: map[string]string{"state": "ignored"}}
	}
}

func sidOf(id int) string { return fmt.Sprintf("vm:%d", id) }

// uid returns a new name for a state of a service (compute_new_uuid).
func (h *haStack) uid() string {
	h.uids++
	return fmt.Sprintf("%x", sha1.Sum([]byte(text(h.uids))))[:22]
}

// state returns the requested state of a resource ("enabled" is an old name).
func (r *haResource) state() string {
	if state := cmp.Or(r.options["state"], "started"); state != "enabled" {
		return state
	}
	return "started"
}

// number returns an option that is 1 if it is not set: max_restart,
// max_relocate, failback.
func (r *haResource) number(name string) int { return atoi(r.options[name], 1) }

// managed reports whether requests about a VM go to the HA manager
// (PVE/HA/Config.pm, vm_is_ha_managed).
func (h *haStack) managed(id int) bool {
	r := h.resources[sidOf(id)]
	return r != nil && r.state() != "ignored"
}

// configured reports whether a VM is a resource, even an ignored one.
func (h *haStack) configured(id int) bool { return h.resources[sidOf(id)] != nil }

// home returns the node with a VM's configuration file, and the VM.
func (h *haStack) home(id int) (*Node, *vm) {
	if n, kind := h.d.ownerOf(id); kind == "VM" {
		return n, n.vms[id]
	}
	return nil, nil
}

// moveTo gives a VM's configuration file to another node.
func (v *vm) moveTo(from, to *Node) {
	from.removeVM(v.id)
	to.addVM(v)
}

// migrated reports whether groups have become rules, which is the case if no
// groups are left (PVE/HA/Config.pm, have_groups_been_migrated).
func (h *haStack) migrated() bool { return len(h.groups) == 0 }

// section writes one section of a configuration file.
func section(kind, name string, options map[string]string) string {
	lines := []string{kind + ": " + name}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		lines = append(lines, "\t"+key+" "+options[key])
	}
	return strings.Join(lines, "\n") + "\n\n"
}

// digestOf returns the digest of a configuration file: the SHA-1 of its text
// (pve-common PVE/SectionConfig.pm).
func digestOf(text string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(text))) }

// resourcesDigest returns the digest of resources.cfg.
func (h *haStack) resourcesDigest() string {
	file := ""
	for _, sid := range sorted(h.resources) {
		file += section("vm", text(h.resources[sid].id), h.resources[sid].options)
	}
	return digestOf(file)
}

// changeOptions sets and deletes options of a section as PVE does
// (PVE/API2/HA/Groups.pm and PVE/HA/Config.pm, update). required names the
// options that cannot be deleted.
func changeOptions(c *call, options map[string]string, allowed, required []string) error {
	for _, key := range allowed {
		if c.has(key) {
			options[key] = c.get(key)
		}
	}
	for _, key := range splitList(c.get("delete")) {
		switch {
		case slices.Contains(required, key):
			return refuse("unable to delete required option '%s'", key)
		case !slices.Contains(allowed, key):
			return refuse("no such option '%s'", key)
		}
		delete(options, key)
	}
	return nil
}

// shown returns options in the form of the API: numbers as numbers.
func shown(options map[string]string) map[string]any {
	object := map[string]any{}
	for key, value := range options {
		object[key] = value
		switch key {
		case "failback", "max_restart", "max_relocate", "restricted", "nofailback", "strict", "disable":
			object[key] = atoi(value, 0)
		}
	}
	return object
}
