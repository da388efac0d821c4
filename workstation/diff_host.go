package workstation

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// checkHost refuses what this host has too little of, and says what is unwise
// on it.
func (d *differ) checkHost(vm VM) {
	sockets, _ := strconv.Atoi(vm.Config["sockets"])
	cores, _ := strconv.Atoi(vm.Config["cores"])
	count := max(sockets, 1) * max(cores, 1)
	known := d.facts.Cores > 0
	if known && count > d.facts.Cores {
		d.problems.add(vm, "cores", fmt.Sprint(count), fmt.Sprintf("the host has %d logical CPUs, and PVE starts no VM with more", d.facts.Cores))
	}
	pinned, err := qmconf.ParseCPUs(vm.Config["affinity"])
	if err == nil {
		i := slices.IndexFunc(pinned, func(cpu int) bool { return known && cpu >= d.facts.Cores })
		switch {
		case i >= 0:
			d.problems.add(vm, "affinity", qmconf.FormatCPUs(pinned[i:]), fmt.Sprintf("the host has logical CPUs 0 to %d", d.facts.Cores-1))
		case len(pinned) < count:
			d.find(proxstation.Finding{ID: "workstation.pinned-few", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vm.ID),
				Seen: fmt.Sprintf("%d virtual CPUs, pinned to %d of the host's (%s)", count, len(pinned), qmconf.FormatCPUs(pinned)),
				Why:  "virtual CPUs wait for each other, which stutters more than no pinning", Fix: "pin to more CPUs, or give the VM fewer"})
		case known && len(pinned) == d.facts.Cores:
			d.find(proxstation.Finding{ID: "workstation.pinned-all", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID),
				Seen: "pinned to all CPUs of the host", Why: "that is what the scheduler does by itself", Fix: "leave affinity out"})
		}
	}
	if vm.Config["hugepages"] == "1024" {
		d.find(proxstation.Finding{ID: "workstation.huge-pages", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: "hugepages: 1024",
			Why: "when the VM starts, the host has to have that much memory in pieces of 1 GiB, which it seldom has after some time",
			Fix: fmt.Sprintf("reserve them when the host boots: hugepagesz=1G hugepages=%s on its kernel command line", gibibytes(vm.Config["memory"]))})
	}
}

func gibibytes(memory string) string {
	mib, _ := strconv.Atoi(memory)
	return strconv.Itoa((mib + 1023) / 1024)
}

func (d *differ) checkMemory(vm VM, memory string) {
	size, err := storage.ParseSize(memory + "M")
	if err == nil && d.facts.MemoryTotal > 0 && size > d.facts.MemoryTotal {
		d.problems.add(vm, "memory", memory, "the host has only "+d.facts.MemoryTotal.Human())
	}
}

func (d *differ) checkLock(v VMFacts) {
	if v.Lock != "" {
		d.find(proxstation.Finding{ID: "workstation.locked", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", v.ID), Seen: "lock: " + v.Lock,
			Why: "PVE refuses changes while it is locked", Fix: "wait for the " + v.Lock + " to end; if it died, qm unlock"})
	}
}
