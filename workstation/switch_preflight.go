package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/storage"
)

// Preflight judges whether a switch to a member can succeed, before anybody
// loses their desktop. It checks the VM and its lock, its card and mapping, its
// storages, the memory that will be free, other VMs with the card, the
// cluster's quorum, the nodes of the members, and high availability. The facts
// must be the facts of the node that has the VM. Preflight is pure.
func Preflight(db DualBoot, to int, facts Facts) []proxstation.Finding {
	target, exists := facts.VMs[to]
	if _, err := db.withTarget(to); err != nil {
		return []proxstation.Finding{blocker("switch.members", fmt.Sprintf("VM %d", to), fmt.Sprint(db.Members), err.Error(), "name two VMs or more, each once, and the target among them")}
	}
	if !exists {
		if strings.HasPrefix(facts.Others[to], "VM ") {
			return []proxstation.Finding{unseenMember(to, facts)}
		}
		return []proxstation.Finding{blocker("switch.no-vm", fmt.Sprintf("VM %d", to), noVM(facts), "the VM cannot be started", "create it, or correct the members")}
	}
	findings := preflightCluster(db, to, facts)
	if facts.lostSight(db, target) || slices.Contains(db.NodesOff, target.Node) {
		return append(findings, targetAway(target, facts))
	}
	findings = append(findings, preflightTarget(db, target, facts)...)
	for _, id := range db.Members {
		switch {
		case id == to:
		case facts.isUnread(id):
			findings = append(findings, unseenMember(id, facts))
		default:
			findings = append(findings, preflightHolder(db, facts.VMs[id], facts)...)
		}
	}
	findings = append(findings, facts.unreadFor(target)...)
	findings = append(findings, preflightCards(db, target, facts)...)
	findings = append(findings, preflightNoCard(db, target, facts)...)
	findings = append(findings, facts.cardUsers(target)...)
	findings = append(findings, preflightStorage(target, facts, target.String())...)
	return append(findings, preflightMemory(db, target, facts, target.String())...)
}

// The text says where the missing VM was looked for. In a cluster, this is the
// list of guests in /cluster/resources. It has the guests of all nodes, also of
// nodes that are away, as far as the login may see the guests.
func noVM(facts Facts) string {
	if len(facts.searched) < 2 {
		return "no such VM on node " + facts.Node
	}
	seen := "the cluster's list of guests, with the nodes " + strings.Join(slices.Sorted(slices.Values(facts.searched)), ", ") + ", has no such VM that the login may see"
	if len(facts.away) > 0 {
		seen += "; away: " + strings.Join(slices.Sorted(maps.Keys(facts.away)), ", ")
	}
	return seen
}

// unseenMember returns the finding about a member whose configuration is not
// among the facts: it is on another node, or was not read.
func unseenMember(id int, facts Facts) proxstation.Finding {
	return blocker("switch.elsewhere", fmt.Sprintf("VM %d", id), facts.Others[id], "the facts of node "+facts.Node+" do not show whether that node can start the VM", "read the set's status, which asks every node that has a member")
}

// blocker returns a finding that keeps a switch from beginning.
func blocker(id, subject, seen, why, fix string) proxstation.Finding {
	return proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)}
}

// preflightTarget judges whether PVE would start the target.
func preflightTarget(db DualBoot, target VMFacts, facts Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	block := func(id, seen, why, fix string) {
		findings = append(findings, blocker(id, target.String(), seen, why, fix))
	}
	resumes := target.Lock == "backup" && target.Running // a backup has started the VM's QEMU, and PVE lets the guest start in it
	switch {
	case target.Asleep && !db.Wake:
		block("switch.paused", "its guest sleeps", "it has the card, and PVE does not start a VM that has a process already", fmt.Sprintf("wake it: qm resume %d; or allow Wake", target.ID))
	case target.Paused && !target.Asleep && !resumes:
		block("switch.paused", "it is paused", "it has the card, and PVE does not start a VM that has a process already", fmt.Sprintf("resume it: qm resume %d", target.ID))
	}
	switch {
	case target.Lock == "suspended":
		findings = append(findings, hibernated(target))
	case target.Lock != "" && !resumes:
		block("switch.locked", "lock: "+target.Lock, "PVE does not start a locked VM", "wait for the "+target.Lock+" to end")
	}
	if target.Config["template"] == "1" {
		block("switch.template", "template: 1", "a template cannot be started", "name a clone of the template instead")
	}
	return append(findings, preflightHA(target, facts)...)
}

// preflightHolder judges whether a running member will give up the card when
// the switch asks it to shut down.
func preflightHolder(db DualBoot, v VMFacts, facts Facts) []proxstation.Finding {
	findings := preflightHolderHA(db, v, facts)
	if !v.Running {
		return findings
	}
	block := func(id, seen, why, fix string) {
		findings = append(findings, blocker(id, v.String(), seen, why, fix))
	}
	switch {
	case v.Lock != "":
		block("switch.holder-locked", "it has the card, and lock: "+v.Lock, "PVE does not shut down a locked VM", "wait for the "+v.Lock+" to end")
	case !v.Paused || db.Force || v.Asleep && db.Wake:
	case v.Asleep:
		block("switch.holder-paused", "it has the card, and its guest sleeps", "PVE does not shut down a guest that does not run", fmt.Sprintf("wake it: qm resume %d; or allow Wake", v.ID))
	default:
		block("switch.holder-paused", "it has the card, and is paused", "PVE does not shut down a guest that does not run", fmt.Sprintf("resume it: qm resume %d; or allow Force", v.ID))
	}
	return findings
}

// This returns the finding about a VM whose state PVE has written to disk. The
// next start resumes that state (qemu-server PVE/QemuServer.pm, vm_start).
func hibernated(v VMFacts) proxstation.Finding {
	f := proxstation.Finding{ID: "switch.hibernated", Severity: proxstation.Info, Subject: v.String(), Seen: "lock: suspended, vmstate: " + v.Config["vmstate"],
		Why: "The VM is hibernated: its start resumes it where it was.",
		Fix: fmt.Sprintf("Switch to it; to begin anew instead, discard its state: qm unlock %d; qm set %d --delete vmstate.", v.ID, v.ID)}
	if len(v.hostPCI()) > 0 {
		f.Severity = proxstation.Warning
		f.Why = "The VM is hibernated, and PVE hibernates no VM with a passed-through device: the card came later, and the state may not resume with it."
		f.Fix = fmt.Sprintf("If it does not resume, discard its state, which is as if its plug were pulled: qm unlock %d; qm set %d --delete vmstate.", v.ID, v.ID)
	}
	return f
}

// preflightCards checks that the node has the devices of the target, and that
// no VM outside the set uses them.
func preflightCards(db DualBoot, target VMFacts, facts Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	node, values, host := facts.PCI(), target.hostPCI(), facts.host(target.ID)
	for _, key := range slices.Sorted(maps.Keys(target.Config)) {
		h, err := gpu.ParseHostPCI(target.Config[key])
		if qmconf.Family(key) != "hostpci" || err != nil {
			continue
		}
		if _, known := node.Mapping(h.Mapping); h.Mapping != "" && !known {
			findings = append(findings, proxstation.Finding{ID: "switch.no-mapping", Severity: proxstation.Warning, Subject: "mapping " + h.Mapping,
				Seen: "not among the mappings that the login may see", Why: "If the mapping does not exist, PVE does not start the VM.", Fix: "Create the mapping, or give the login Mapping.Audit."})
			continue
		}
		for _, f := range node.Check(key, h, gpu.AnyGuest) {
			f.Subject = fmt.Sprintf("%s %s", target, f.Subject)
			findings = append(findings, f)
		}
		findings = append(findings, host.Check(target.takes(), key, h)...)
	}
	for _, h := range target.claim(target.Config).ByArgs {
		findings = append(findings, host.Check(target.takes(), "args", h)...)
	}
	if err := gpu.CheckRules(values, target.Config["machine"], target.Config["vga"]); err != nil {
		findings = append(findings, proxstation.Finding{ID: "switch.hostpci", Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d", target.ID),
			Seen: "its hostpci values, machine and vga", Why: printable.Sentence(err.Error()), Fix: "Correct the configuration."})
	}
	findings = append(findings, facts.claimsUnread(target)...)
	claims := facts.claimsNow(target.ID)
	for _, c := range claims {
		if c.VMID == target.ID || facts.VMs[c.VMID].Running {
			findings = append(findings, c.CheckUnread()...)
		}
	}
	for _, c := range node.ConflictsOf(target.ID, claims) {
		other := c.VMs[0]
		if other == target.ID {
			other = c.VMs[1]
		}
		if !slices.Contains(c.VMs[:], target.ID) || slices.Contains(db.Members, other) || !facts.VMs[other].Running {
			continue
		}
		findings = append(findings, proxstation.Finding{ID: "switch.outsider", Severity: proxstation.Blocker, Subject: facts.VMs[other].String(),
			Seen: "it is running, and " + c.String(), Why: "PVE gives the card to one VM at a time.", Fix: "Shut it down, or make it a member."})
	}
	return findings
}

// claimsNow returns the PCI claims of all VMs at the moment when one VM starts.
// For the VM that starts, it takes the configuration of the next start. For
// running VMs, it takes the configuration in force.
func (f Facts) claimsNow(starts int) []gpu.Claim {
	return f.claims(func(v VMFacts) map[string]string {
		if v.ID == starts {
			return v.Config
		}
		return v.now()
	})
}

// unreadFor returns the findings about parts that could not be read, if they
// matter for a switch to the VM.
func (f Facts) unreadFor(target VMFacts) []proxstation.Finding {
	decides := []string{subjectPCI, subjectStatus, subjectCluster, subjectQuorum, "high availability"}
	if slices.ContainsFunc(target.hostPCI(), func(h gpu.HostPCI) bool { return h.Mapping != "" }) {
		decides = append(decides, subjectMappings)
	}
	for _, name := range usedStorages(target.Config) {
		decides = append(decides, storageSubject(name))
	}
	var findings []proxstation.Finding
	for _, u := range f.Unknown {
		if u.ID == idUnread && (slices.Contains(decides, u.Subject) || strings.HasPrefix(u.Subject, "VM ")) {
			findings = append(findings, u)
		}
	}
	return findings
}

// unread reports whether a part of the node could not be read.
func (f Facts) unread(subject string) bool {
	return slices.ContainsFunc(f.Unknown, func(u proxstation.Finding) bool { return u.ID == idUnread && u.Subject == subject })
}

// usedStorages returns the storages of a VM's drives, each once.
func usedStorages(config map[string]string) []string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if used, _, ok := qmconf.CutVolume(config[key]); ok && qmconf.IsSlot(key) && !strings.HasPrefix(used, "/") && !slices.Contains(names, used) {
			names = append(names, used)
		}
	}
	return names
}

// preflightStorage checks that the storages of the target's drives can be used.
func preflightStorage(target VMFacts, facts Facts, subject string) []proxstation.Finding {
	if facts.unread(subjectCluster) {
		return nil // another finding reports that
	}
	var findings []proxstation.Finding
	for _, key := range slices.Sorted(maps.Keys(target.Config)) {
		used, _, ok := qmconf.CutVolume(target.Config[key])
		if !ok || !qmconf.IsSlot(key) || strings.HasPrefix(used, "/") || facts.unread(storageSubject(used)) {
			continue
		}
		pool, there := facts.pool(used)
		switch {
		case !there:
			findings = append(findings, proxstation.Finding{ID: "switch.no-storage", Severity: proxstation.Warning, Subject: subject,
				Seen: fmt.Sprintf("%s is on %s, which is not among the storages that the login may see", key, used),
				Why:  "If the storage does not exist, the VM cannot start.", Fix: "Enable the storage on this node, or give the login Datastore.Audit."})
		case !pool.Active:
			findings = append(findings, proxstation.Finding{ID: "switch.storage-offline", Severity: proxstation.Blocker, Subject: subject,
				Seen: fmt.Sprintf("%s is on %s, which is not reachable", key, used), Why: "The VM cannot start without its disk.", Fix: "Bring the storage back."})
		}
	}
	return findings
}

// preflightMemory checks that enough memory for the target will be free after
// the running member has ended.
func preflightMemory(db DualBoot, target VMFacts, facts Facts, subject string) []proxstation.Finding {
	if facts.MemoryTotal == 0 || target.Running {
		return nil
	}
	if pages := target.Config["hugepages"]; pages != "" {
		return []proxstation.Finding{{ID: "switch.hugepages", Severity: proxstation.Info, Subject: subject, Seen: "hugepages: " + pages,
			Why: "The API does not show how many huge pages are free. PVE makes them when the VM starts, which fails if the free memory is too scattered.",
			Fix: "Reserve them when the host boots, with the kernel argument hugepages=NUMBER."}}
	}
	available := facts.MemoryAvailable
	for _, id := range db.Members {
		if v := facts.VMs[id]; v.Running && id != target.ID && v.isOn(facts.Node) {
			size, _ := rules.Memory(v.now())
			available += size
		}
	}
	need, _ := rules.Memory(target.Config)
	if need <= available {
		return nil
	}
	short := proxstation.Finding{ID: "switch.memory", Severity: proxstation.Blocker, Subject: subject,
		Seen: fmt.Sprintf("it needs %s, and %s will be available", need.Human(), available.Human()),
		Why:  "A VM with a passed-through card takes all its memory when it starts.", Fix: "Shut down other VMs, or give this VM less memory."}
	if need <= facts.MemoryTotal && slices.ContainsFunc(facts.Pools, func(p storage.Pool) bool { return p.Type == "zfspool" }) {
		short.Severity = proxstation.Warning
		short.Why += " ZFS's cache counts as used memory, but the cache shrinks as far as it can."
		short.Fix += " Or limit the cache: write options zfs zfs_arc_max=BYTES in /etc/modprobe.d/zfs.conf, run update-initramfs -u -k all, and restart."
	}
	return []proxstation.Finding{short}
}
