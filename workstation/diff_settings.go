package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pveschema"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// This judges every value that the steps write: by PVE's own rules, which hold
// on any node, and by the bridges and CPU models of this node.
func (d *differ) settings() {
	for _, step := range d.plan.Steps {
		vm, values := VM{}, map[string]string(nil)
		switch s := step.(type) {
		case CreateVM:
			vm, values = VM{ID: s.VMID, Name: s.Name}, s.Config
		case ChangeVM:
			vm, values = VM{ID: s.VMID, Name: s.Name}, s.Set
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err := pveschema.CheckConfig(key, values[key]); err != nil {
				d.problems.add(vm, key, shown(key, values[key]), "PVE refuses it: "+err.Error())
				continue
			}
			d.onNode(vm, key, values[key])
		}
	}
}

// onNode checks that the node has the objects that a value names.
func (d *differ) onNode(vm VM, key, value string) {
	block := func(id, seen, why, fix string) {
		d.find(proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: key + ": " + seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	switch qmconf.Family(key) {
	case "net":
		bridge, asked := qmconf.Parse(key, value).Get("bridge")
		if have := d.facts.Bridges; asked && have != nil && !slices.Contains(have, bridge) {
			block("workstation.bridge", "bridge="+bridge, "the node has no such bridge that the login may use, and the VM would not start without it",
				"choose one of "+strings.Join(have, ", ")+"; or make the bridge on the node, under System, Network")
		}
	case "cpu":
		model, _ := qmconf.Parse(key, value).Get("cputype")
		if have := d.facts.CPUModels; have != nil && strings.HasPrefix(model, "custom-") && !slices.Contains(have, model) {
			block("workstation.cpu-model", model, "the cluster has no such CPU model, and the VM would not start with it",
				"define it in /etc/pve/virtual-guest/cpu-models.conf, or choose one of PVE's own models")
		}
	}
}

func (d *differ) checkLock(v VMFacts) {
	if v.Lock == "suspended" {
		d.find(proxstation.Finding{ID: "workstation.hibernated", Severity: proxstation.Warning, Subject: v.String(), Seen: "lock: suspended, vmstate: " + v.Config["vmstate"],
			Why: "The VM is hibernated: PVE refuses changes until it is started again, and the start resumes it with its old devices.",
			Fix: fmt.Sprintf("Start it (qm start %d resumes it), shut the guest down, and plan again; qm unlock %d discards the saved state, with everything that was open.", v.ID, v.ID)})
	} else if v.Lock != "" {
		d.find(proxstation.Finding{ID: "workstation.locked", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", v.ID), Seen: "lock: " + v.Lock,
			Why: "PVE refuses changes while the VM is locked.", Fix: "Wait for the " + v.Lock + " to end; if it has crashed, run qm unlock."})
	}
}

// checkTemplate adds a finding that a change of a template affects only later
// clones.
func (d *differ) checkTemplate(have VMFacts) {
	if have.Config["template"] == "1" {
		d.find(proxstation.Finding{ID: "workstation.template", Severity: proxstation.Warning, Subject: have.String(), Seen: "template: 1",
			Why: "A template never starts. Changes in it only affect clones that are made later; existing clones stay as they are.",
			Fix: "To change a VM that runs, name a clone in the Spec."})
	}
}
