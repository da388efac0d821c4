package workstation

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkHost reports resources that a VM needs and of which this host does not
// have enough.
func (d *differ) checkHost(vm VM, config map[string]string) problems {
	var problems problems
	known, count := d.facts.Cores > 0, virtualCPUs(config)
	if known && count > d.facts.Cores {
		problems.add(vm, "cores", fmt.Sprint(count), fmt.Sprintf("the host has %d logical CPUs, and PVE does not start a VM with more CPUs", d.facts.Cores))
	}
	pinned, err := qmconf.ParseCPUs(config["affinity"])
	i := slices.IndexFunc(pinned, func(cpu int) bool { return known && cpu >= d.facts.Cores })
	if err == nil && i >= 0 {
		problems.add(vm, "affinity", qmconf.FormatCPUs(pinned[i:]), fmt.Sprintf("the host has logical CPUs 0 to %d", d.facts.Cores-1))
	}
	if size, ok := memoryOf(config); ok && d.facts.MemoryTotal > 0 && size > d.facts.MemoryTotal {
		problems.add(vm, "memory", config["memory"], "the host has only "+d.facts.MemoryTotal.Human())
	}
	return problems
}

// virtualCPUs returns the number of a guest's virtual CPUs.
func virtualCPUs(config map[string]string) int {
	sockets, _ := strconv.Atoi(config["sockets"])
	cores, _ := strconv.Atoi(config["cores"])
	return max(sockets, 1) * max(cores, 1)
}

// adviseHost warns about settings that are possible but unwise on this host.
func (d *differ) adviseHost(vm VM, config map[string]string) {
	count := virtualCPUs(config)
	pinned, err := qmconf.ParseCPUs(config["affinity"])
	switch {
	case err != nil:
	case len(pinned) < count:
		d.find(proxstation.Finding{ID: "workstation.pinned-few", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vm.ID),
			Seen: fmt.Sprintf("%d virtual CPUs, pinned to %d of the host's (%s)", count, len(pinned), qmconf.FormatCPUs(pinned)),
			Why:  "Virtual CPUs have to wait for each other, so the VM stutters more than without pinning.", Fix: "Pin to more CPUs, or give the VM fewer."})
	case d.facts.Cores > 0 && len(pinned) == d.facts.Cores:
		d.find(proxstation.Finding{ID: "workstation.pinned-all", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID),
			Seen: "pinned to all CPUs of the host", Why: "The scheduler uses all CPUs by itself.", Fix: "Leave affinity out."})
	}
	if config["hugepages"] == "1024" {
		d.find(proxstation.Finding{ID: "workstation.huge-pages", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: "hugepages: 1024",
			Why: "When the VM starts, the host needs that much memory in free pieces of 1 GiB. After some time a host seldom has such pieces.",
			Fix: fmt.Sprintf("Reserve them when the host boots: hugepagesz=1G hugepages=%s on its kernel command line.", gibibytes(config["memory"]))})
	}
}

func gibibytes(memory string) string {
	mib, _ := strconv.Atoi(memory)
	return strconv.Itoa((mib + 1023) / 1024)
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
