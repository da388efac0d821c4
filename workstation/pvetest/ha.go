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

// An haStack is the state of the high availability (HA) of a cluster
// (pve-ha-manager). It holds the configuration (/etc/pve/ha), the state of the
// active cluster resource manager (CRM), and for each node the state of its
// local resource manager (LRM).
type haStack struct {
	d         *datacenter
	resources map[string]*haResource // resources.cfg, by service ID: "vm:140"
	rules     map[string]*haRule     // rules.cfg, by name
	groups    map[string]*haGroup    // groups.cfg, by name
	commands  [][]string             // crm_commands: {"migrate", "vm:140", "pve2"}
	crm       haCRM
	lrms      map[string]*haLRM // LRMs, by node
	inRound   *compiledRules    // the rules for the CRM's present round, compiled once
	ticking   bool
	ticks     int
	uids      int
}

// An haResource is a section of resources.cfg. The field "options" holds only
// the options that are set.
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
	uid     string // ID of the state, under which the LRM reports its result
	running bool   // whether the LRM saw the service run since the last change of state
	failed  []string
	command []string // command that the CRM has not yet carried out
}

// newHA returns the HA stack of a cluster without resources.
func newHA(d *datacenter) *haStack {
	return &haStack{d: d, resources: map[string]*haResource{}, rules: map[string]*haRule{}, groups: map[string]*haGroup{},
		crm: haCRM{nodes: map[string]string{}, services: map[string]*haService{}, seen: map[string]time.Time{}}, lrms: map[string]*haLRM{}}
}

// The method "settle" puts the CRM and the LRMs into the state in which they
// are after some time of work. It does so only if a host's description puts VMs
// under high availability.
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

// describe adds the VMs that a host's description puts under high availability.
// A running VM gets the state "started", and any other VM gets the state
// "stopped".
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

// uid returns a new ID for a state of a service (compute_new_uuid).
func (h *haStack) uid() string {
	h.uids++
	return fmt.Sprintf("%x", sha1.Sum([]byte(text(h.uids))))[:22]
}

// The method "state" returns the requested state of a resource. The old name
// "enabled" stands for "started".
func (r *haResource) state() string {
	if state := cmp.Or(r.options["state"], "started"); state != "enabled" {
		return state
	}
	return "started"
}

// The method "number" returns the value of an option whose default is 1:
// max_restart, max_relocate or failback.
func (r *haResource) number(name string) int { return atoi(r.options[name], 1) }

// The method "managed" reports whether PVE passes requests about a VM to the HA
// manager (PVE/HA/Config.pm, vm_is_ha_managed).
func (h *haStack) managed(id int) bool {
	r := h.resources[sidOf(id)]
	return r != nil && r.state() != "ignored"
}

// The method "configured" reports whether a VM is a resource. A resource in the
// state "ignored" counts too.
func (h *haStack) configured(id int) bool { return h.resources[sidOf(id)] != nil }

// The method "home" returns the node that has a VM's configuration file, and
// the VM.
func (h *haStack) home(id int) (*Node, *vm) {
	if n, kind := h.d.ownerOf(id); kind == "VM" {
		return n, n.vms[id]
	}
	return nil, nil
}

// moveTo moves a VM's configuration file to another node.
func (v *vm) moveTo(from, to *Node) {
	from.removeVM(v.id)
	to.addVM(v)
}

// The method "migrated" reports whether all groups have become rules, so that
// no groups are left (PVE/HA/Config.pm, have_groups_been_migrated).
func (h *haStack) migrated() bool { return len(h.groups) == 0 }

// The function "section" returns the text of one section of a configuration
// file.
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
// (PVE/API2/HA/Groups.pm and PVE/HA/Config.pm, update). Options in the list
// "required" cannot be deleted.
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

// The function "shown" converts options to the form of the API, in which
// numbers are not strings.
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
