package rules

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// A Host describes the resources that a host has for its VMs.
type Host struct {
	Cores  int          // the number of logical CPUs; 0 if it is not known
	Memory storage.Size // 0 if it is not known
}

// Check reports resources that a VM needs and of which this host does not
// have enough.
func (h Host) Check(config map[string]string) []Fault {
	var faults faults
	known, count := h.Cores > 0, virtualCPUs(config)
	if known && count > h.Cores {
		faults.add("cores", fmt.Sprint(count), fmt.Sprintf("the host has %d logical CPUs, and PVE does not start a VM with more CPUs", h.Cores))
	}
	pinned, err := qmconf.ParseCPUs(config["affinity"])
	i := slices.IndexFunc(pinned, func(cpu int) bool { return known && cpu >= h.Cores })
	if err == nil && i >= 0 {
		faults.add("affinity", qmconf.FormatCPUs(pinned[i:]), fmt.Sprintf("the host has logical CPUs 0 to %d", h.Cores-1))
	}
	if size, ok := Memory(config); ok && h.Memory > 0 && size > h.Memory {
		faults.add("memory", config["memory"], "the host has only "+h.Memory.Human())
	}
	return faults
}

// virtualCPUs returns the number of a guest's virtual CPUs.
func virtualCPUs(config map[string]string) int {
	sockets, _ := strconv.Atoi(config["sockets"])
	cores, _ := strconv.Atoi(config["cores"])
	return max(sockets, 1) * max(cores, 1)
}

// Advise warns about settings that are possible but unwise on this host.
func (h Host) Advise(vmid int, config map[string]string) []proxstation.Finding {
	var findings []proxstation.Finding
	count := virtualCPUs(config)
	pinned, err := qmconf.ParseCPUs(config["affinity"])
	switch {
	case err != nil:
	case len(pinned) < count:
		findings = append(findings, proxstation.Finding{ID: "workstation.pinned-few", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vmid),
			Seen: fmt.Sprintf("%d virtual CPUs, pinned to %d of the host's (%s)", count, len(pinned), qmconf.FormatCPUs(pinned)),
			Why:  "Virtual CPUs have to wait for each other, so the VM stutters more than without pinning.", Fix: "Pin to more CPUs, or give the VM fewer."})
	case h.Cores > 0 && len(pinned) == h.Cores:
		findings = append(findings, proxstation.Finding{ID: "workstation.pinned-all", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vmid),
			Seen: "pinned to all CPUs of the host", Why: "The scheduler uses all CPUs by itself.", Fix: "Leave affinity out."})
	}
	if config["hugepages"] == "1024" {
		findings = append(findings, proxstation.Finding{ID: "workstation.huge-pages", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vmid), Seen: "hugepages: 1024",
			Why: "When the VM starts, the host needs that much memory in free pieces of 1 GiB. After some time a host seldom has such pieces.",
			Fix: fmt.Sprintf("Reserve them when the host boots: hugepagesz=1G hugepages=%s on its kernel command line.", gibibytes(config["memory"]))})
	}
	return findings
}

func gibibytes(memory string) string {
	mib, _ := strconv.Atoi(memory)
	return strconv.Itoa((mib + 1023) / 1024)
}
