package workstation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// Advise judges the surroundings of a set of VMs that take turns. It reports
// settings that start or stop the VMs without a switch, and settings that can
// keep a guest from shutting down or from using the card after a switch. It is
// pure.
//
// In a cluster, give it the facts of each node that has a member. A finding
// names the members whose nodes are not among the facts.
//
// This package has no hookscript that switches when somebody presses Start in
// PVE's own interface. PVE runs a hookscript while it holds the VM's lock, so
// the script could not stop the other VM in time. PVE also refuses to start a
// VM whose hookscript is missing on the node, so a lost script would do harm.
// While the card is in use, PVE itself refuses Start.
func (db DualBoot) Advise(facts ...Facts) []proxstation.Finding {
	db.Members = slices.Compact(slices.Sorted(slices.Values(db.Members)))
	var findings []proxstation.Finding
	for _, node := range facts {
		for _, f := range db.adviseNode(node) {
			if !slices.Contains(findings, f) { // each node reports the jobs of the whole cluster
				findings = append(findings, f)
			}
		}
	}
	return append(findings, db.adviseNodes(facts)...)
}

// adviseNode judges the surroundings of the set on one node.
func (db DualBoot) adviseNode(facts Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	for _, f := range facts.PCI().CheckClaims(facts.Claims()) {
		if f.ID == "gpu.onboot-race" || f.ID == "gpu.split-group" {
			findings = append(findings, f)
		}
	}
	for _, job := range facts.Backups {
		if job.Pool != "" && len(job.VMs) == 0 && facts.permissions.Grants("/pool/"+job.Pool, "Pool.Audit") {
			continue // the finding is empty
		}
		findings = append(findings, db.adviseBackup(job)...)
	}
	for _, id := range db.Members {
		v, exists := facts.VMs[id]
		if !exists || !v.isOn(facts.Node) {
			continue
		}
		for _, f := range facts.cardUsers(v) {
			if !slices.Contains(findings, f) {
				findings = append(findings, f)
			}
		}
		if windows(v.Config) {
			findings = append(findings, proxstation.Finding{ID: "switch.fast-startup", Severity: proxstation.Info, Subject: v.String(), Seen: "ostype: " + v.Config["ostype"],
				Why: "With fast startup Windows does not shut down but hibernates, and comes back with the card's driver in an old state.",
				Fix: "In the guest, as administrator: powercfg /h off."})
		}
		if !agentEnabled(v.Config) {
			findings = append(findings, proxstation.Finding{ID: "switch.no-agent", Severity: proxstation.Warning, Subject: v.String(), Seen: "agent: " + v.Config["agent"],
				Why: "Without the guest agent, a shutdown only presses the power button, which guests may ignore. It is also not known when the guest is up.",
				Fix: "Install qemu-guest-agent in the guest and set agent: 1."})
		}
	}
	return findings
}

// adviseBackup reports backups that disturb a switch. In the modes stop and
// suspend, PVE takes the running VM away for a while (PVE manual, Backup
// Modes). If a VM is off, PVE starts a paused QEMU in every mode, and this QEMU
// takes the VM's PCI devices (qemu-server PVE/VZDump/QemuServer.pm,
// enforce_vm_running_for_backup).
func (db DualBoot) adviseBackup(job BackupJob) []proxstation.Finding {
	if !job.Enabled {
		return nil
	}
	var members []string
	for _, id := range db.Members {
		if job.includes(id) {
			members = append(members, fmt.Sprint(id))
		}
	}
	subject := "backup job " + job.ID
	if job.Pool != "" && len(job.VMs) == 0 {
		return []proxstation.Finding{{ID: "switch.backup-unknown", Severity: proxstation.Info, Subject: subject, Seen: "the login sees no VM in pool " + job.Pool,
			Why: "It may back up VMs that share the card.", Fix: "Give the login Pool.Audit on /pool/" + job.Pool + "."}}
	}
	if len(members) == 0 {
		return nil
	}
	seen := fmt.Sprintf("mode %s, VMs %s, %s", job.Mode, strings.Join(members, ", "), job.Schedule)
	findings := []proxstation.Finding{{ID: "switch.backup-off", Severity: proxstation.Warning, Subject: subject, Seen: seen,
		Why: "To back up a VM that is off, PVE starts the VM, paused and with its card. This fails while another VM has the card. Until the backup ends, no other VM can have the card.",
		Fix: "Let the job run at a time when all these VMs are off, or back up each VM while it runs."}}
	if job.Mode != "snapshot" {
		findings = append(findings, proxstation.Finding{ID: "switch.backup", Severity: proxstation.Warning, Subject: subject, Seen: seen,
			Why: "The backup shuts down the running VM while somebody may be using it, and the card is free for a moment.",
			Fix: "Use mode snapshot for these VMs."})
	}
	return findings
}

// StartWithHost returns the plan after which only one member starts with the
// host, so that the members do not compete for the card. If vmid is 0, no
// member starts with the host. If the set is not valid, the error is an
// [InvalidError]. If a member does not exist, the error matches [ErrNotFound].
// If its configuration was not read, the error matches [ErrUnread].
func (db DualBoot) StartWithHost(facts Facts, vmid int) (Plan, error) {
	set, err := db.withDefaults()
	if vmid != 0 {
		set, err = db.withTarget(vmid)
	}
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Node: facts.Node}
	for _, id := range set.Members {
		v, exists := facts.VMs[id]
		if !exists {
			return Plan{}, facts.missing(id)
		}
		want := "0"
		if id == vmid {
			want = "1"
		}
		if have := v.Config["onboot"]; have == want || have == "" && want == "0" {
			continue
		}
		plan.Steps = append(plan.Steps, ChangeVM{VMID: id, Name: v.Name, Digest: v.Digest, Set: map[string]string{"onboot": want},
			Have: map[string]string{"onboot": v.Config["onboot"]}, Notes: map[string]string{"onboot": "one of the VMs that share the card"}})
	}
	return plan, nil
}
