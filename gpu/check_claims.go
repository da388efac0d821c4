package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// CheckClaims judges all VMs of the node together. The ID is gpu.hostpci-unread
// if a part of a value cannot be read, and gpu.assigned-twice if a VM names a
// device twice. If two VMs cannot run at the same time, the ID is
// gpu.shared-card, gpu.split-group, gpu.args-card or gpu.same-uuid. If both VMs
// start with the host, the finding gpu.onboot-race is added. If the caller
// passes VMIDs, CheckClaims judges only these VMs and their conflicts with all
// VMs.
func (n Node) CheckClaims(claims []Claim, about ...int) []proxstation.Finding {
	var findings []proxstation.Finding
	onBoot := map[int]bool{}
	for _, c := range claims {
		onBoot[c.VMID] = c.OnBoot
		if len(about) > 0 && !slices.Contains(about, c.VMID) {
			continue
		}
		findings = append(findings, c.CheckUnread()...)
		findings = append(findings, n.checkTwice(c)...)
	}
	for _, c := range n.conflicts(claims, about) {
		f := proxstation.Finding{ID: "gpu.shared-card", Severity: proxstation.Info, Subject: fmt.Sprintf("VMs %d and %d", c.VMs[0], c.VMs[1]), Seen: c.String(),
			Why: "Only one of them can run at a time: the start of the second VM fails with \"PCI device '…' already in use by VMID\"."}
		if hasGroupID(c) {
			f.ID, f.Severity = "gpu.split-group", proxstation.Warning
			f.Why = "The kernel gives an IOMMU group to only one VM: PVE lets the second VM start, and then QEMU fails."
			f.Fix = "Give both devices to one VM, or put one of them in a slot with its own group."
		}
		switch {
		case c.UUID != "":
			f.ID, f.Severity = "gpu.same-uuid", proxstation.Warning
			f.Why = "The vGPU driver distinguishes VMs by their UUID, so the second VM does not start."
			f.Fix = fmt.Sprintf("Give VM %d a UUID of its own in its args: qm config %d shows them.", c.VMs[1], c.VMs[1])
		case c.ByArgs:
			f.ID, f.Severity = "gpu.args-card", proxstation.Warning
			f.Why = "One of them names the card in args, which PVE does not check: PVE starts the second VM, and then QEMU fails or the first VM loses its card."
			f.Fix = "Give the card by a hostpci key instead of -device vfio-pci, so that PVE reserves the card. Until then, never run both VMs."
		}
		findings = append(findings, f)
		if onBoot[c.VMs[0]] && onBoot[c.VMs[1]] {
			f.ID, f.Severity = "gpu.onboot-race", proxstation.Warning
			f.Seen = "onboot: 1 on both, and " + f.Seen
			f.Why = "When the host starts, one of them gets the card, and the start of the other VM fails."
			f.Fix = "Set onboot on one of them only."
			findings = append(findings, f)
		}
	}
	return findings
}

// CheckUnread reports the hostpci values of the VM that cannot be read
// completely. The ID is gpu.hostpci-unread.
func (c Claim) CheckUnread() []proxstation.Finding {
	var findings []proxstation.Finding
	subject := fmt.Sprint("VM ", c.VMID)
	for _, text := range c.Unread {
		findings = append(findings, proxstation.Finding{ID: "gpu.hostpci-unread", Severity: proxstation.Warning, Subject: subject, Seen: text,
			Why: "It is not known which PCI device the VM has, so a conflict with another VM may go unnoticed.",
			Fix: fmt.Sprintf("Correct the value: qm config %d shows it, qm set %d changes it.", c.VMID, c.VMID)})
	}
	for _, h := range c.Values {
		if len(h.Unread) > 0 {
			findings = append(findings, proxstation.Finding{ID: "gpu.hostpci-unread", Severity: proxstation.Warning, Subject: subject,
				Seen: fmt.Sprintf("%s, of which %s is not understood", h, strings.Join(h.Unread, " and ")),
				Why:  "PVE does not start a VM if it does not understand a part of a hostpci value. This report still counts the value's device as the VM's.",
				Fix:  fmt.Sprintf("Correct the value, unless this PVE is newer than the program: qm config %d shows it, qm set %d changes it.", c.VMID, c.VMID)})
		}
	}
	return findings
}

// fixTwice returns the command that removes a value, because the value names a
// device for the second time.
func (c Claim) fixTwice(i int, h HostPCI) string {
	switch {
	case i < len(c.Keys):
		return fmt.Sprintf("take %s away (%s): qm set %d --delete %s", c.Keys[i], h, c.VMID, c.Keys[i])
	case i < len(c.Values):
		return "remove " + h.String()
	}
	return fmt.Sprintf("take -device vfio-pci with %s out of the line args of /etc/pve/qemu-server/%d.conf", h, c.VMID)
}

// checkTwice finds functions that a VM's values name more than once.
func (n Node) checkTwice(claim Claim) []proxstation.Finding {
	var findings []proxstation.Finding
	seen := map[iommu.Address]bool{}
	for i, h := range slices.Concat(claim.Values, claim.ByArgs) {
		alternatives := n.Resolve(h)
		if h.MDev != "" || len(alternatives) != 1 {
			continue
		}
		for _, a := range alternatives[0] {
			if seen[a] {
				findings = append(findings, proxstation.Finding{ID: "gpu.assigned-twice", Severity: proxstation.Blocker, Subject: fmt.Sprint("VM ", claim.VMID),
					Seen: fmt.Sprintf("device '%s' assigned more than once", a), Why: "The VM does not start.", Fix: printable.Sentence(claim.fixTwice(i, h))})
			}
			seen[a] = true
		}
	}
	return findings
}
