// Package boot finds out from a VM's configuration from which device the VM
// starts, and whether the VM still starts after a change. It makes no request
// to a node.
package boot

import (
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// A Change is a change of a VM that exists.
type Change struct {
	VM    int
	Name  string
	Guest gpu.Guest
	// Now and Will are the configurations before and after the change.
	Now, Will map[string]string
	// Empty holds the slots for which the change makes a new, empty disk. Slots
	// that already have a disk keep it.
	Empty []string
	// Functions returns the PCI functions of the host that a hostpci value
	// selects.
	Functions func(gpu.HostPCI) []iommu.Address
}

// Check judges whether the VM starts after the change, and whether it starts
// the same system.
func (c Change) Check() []proxstation.Finding {
	j := &judgement{Change: c}
	j.start()
	j.machine()
	return j.findings
}

type judgement struct {
	Change
	findings []proxstation.Finding
}

func (j *judgement) tell(id string, severity proxstation.Severity, seen, why, fix string) {
	j.findings = append(j.findings, proxstation.Finding{ID: id, Severity: severity, Subject: strings.TrimSpace(printable.Sprintf("VM %d %s", j.VM, j.Name)), Seen: seen,
		Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
}
