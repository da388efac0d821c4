package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
)

// A VM is a VM of the host that takes PCI devices.
type VM struct {
	ID   int    `json:"id"`
	Name string `json:"name"` // "" if the VM has no name
	// OnBoot says whether the VM starts with the host.
	OnBoot bool `json:"onBoot"`
	// HostPCI holds the lines of the configuration, sorted by key, such as
	// "hostpci0: 0000:01:00,pcie=1". A line with the key args stands for a
	// device that QEMU gets by the VM's args.
	HostPCI []string `json:"hostpci"`
}

// AddVMs adds to the report the VMs that take PCI devices, and the findings on
// their configurations. The parameter "configs" holds the configurations by
// VMID ([ParseConfig] parses the files of a host). Templates are left out,
// because they never start. A finding has the ID inventory.hostpci-refused, or
// an ID of [gpu.Node.Check], [gpu.Node.CheckConfig], [gpu.Node.CheckClaims] or
// [iommu.Facts.CheckFunctions]. AddVMs omits a finding if the report already
// has a finding with the same cause.
func (i *Inventory) AddVMs(facts iommu.Facts, node gpu.Node, configs map[int]map[string]string) {
	i.addVMs(facts, node, configs)
}

// addVMs does what AddVMs does, and returns the devices that each VM takes.
func (i *Inventory) addVMs(facts iommu.Facts, node gpu.Node, configs map[int]map[string]string) (claims []gpu.Claim) {
	var found []proxstation.Finding
	for _, vmid := range slices.Sorted(maps.Keys(configs)) {
		config := configs[vmid]
		claim := qmconf.Claim(vmid, config)
		if config["template"] == "1" || len(claim.Values)+len(claim.ByArgs)+len(claim.Unread) == 0 {
			continue
		}
		vm := VM{ID: vmid, Name: config["name"], OnBoot: claim.OnBoot, HostPCI: []string{}}
		for _, key := range slices.Sorted(maps.Keys(config)) {
			if qmconf.Family(key) == "hostpci" {
				vm.HostPCI = append(vm.HostPCI, key+": "+config[key])
			}
		}
		for _, h := range claim.ByArgs {
			vm.HostPCI = append(vm.HostPCI, "args: "+h.String())
		}
		i.VMs, claims = append(i.VMs, vm), append(claims, claim)
		found = append(found, checkVM(facts, node, claim, config)...)
	}
	i.add(append(found, node.CheckClaims(claims)...))
	return claims
}

// add adds findings to the report, except findings that it already has. If the
// report has the same finding with severity Info, a finding of higher severity
// replaces it.
func (i *Inventory) add(findings []proxstation.Finding) {
	for _, f := range findings {
		i.Findings = slices.DeleteFunc(i.Findings, func(old proxstation.Finding) bool {
			return old.ID == f.ID && old.Severity == proxstation.Info && f.Severity > old.Severity && strings.Contains(old.Seen, f.Seen)
		})
		if !slices.ContainsFunc(i.Findings, func(old proxstation.Finding) bool { return old.ID == f.ID && old.Seen == f.Seen }) {
			i.Findings = append(i.Findings, f)
		}
	}
}

// checkVM returns the findings on the devices of one VM. Several keys of the
// configuration can each take some functions of the same card. So checkVM looks
// at all functions together to find what the host loses.
func checkVM(facts iommu.Facts, node gpu.Node, claim gpu.Claim, config map[string]string) []proxstation.Finding {
	var values, host []proxstation.Finding
	keys := map[iommu.Address]string{}
	for n, h := range slices.Concat(claim.Values, claim.ByArgs) {
		key := "args"
		if n < len(claim.Keys) {
			key = claim.Keys[n]
			values = append(values, node.Check(key, h, guestOf(config))...)
		}
		for _, set := range node.Resolve(h) {
			for _, a := range set {
				if _, ok := facts.Function(a); ok && h.MDev == "" && !h.KeepDriver {
					keys[a] = key
				}
			}
		}
	}
	if len(keys) > 0 {
		host = checkTaken(facts, claim.VMID, keys)
	}
	found := slices.Concat(checkRules(claim, config), merge(values, host, keys, facts), node.CheckConfig(config))
	for n := range found {
		if found[n].ID == "gpu.no-device" {
			found[n].Fix += cardsHere(facts)
		}
		if !strings.HasPrefix(found[n].Subject, "VM ") {
			found[n].Subject = subject(claim.VMID, found[n].Subject)
		}
	}
	return found
}

// cardsHere lists the host's graphics cards. The list is for a finding on a VM
// whose device does not exist: the device may be a card that has moved to
// another address.
func cardsHere(facts iommu.Facts) string {
	var cards []string
	for _, card := range gpu.Cards(facts.Functions) {
		cards = append(cards, fmt.Sprintf("%s (%s)", card.Address(), card.Name()))
	}
	if len(cards) == 0 {
		return ""
	}
	return " The graphics cards here: " + strings.Join(cards, ", ") + "."
}

// merge joins the findings on hostpci keys ("values") with the findings on what
// the host loses ("host"). It leaves out gpu.takes-along if "host" has the
// finding iommu.shared-group, which is more exact. It leaves out
// gpu.partial-card for a card if several hostpci keys together take all
// functions of the card.
func merge(values, host []proxstation.Finding, taken map[iommu.Address]string, facts iommu.Facts) []proxstation.Finding {
	shared := slices.ContainsFunc(host, func(f proxstation.Finding) bool { return f.ID == "iommu.shared-group" })
	whole := func(key string) bool {
		for a, of := range taken {
			card, ok := gpu.CardAt(facts.Functions, a)
			if of == key && ok && slices.ContainsFunc(card.Own(), func(own iommu.Address) bool { return taken[own] == "" }) {
				return false
			}
		}
		return true
	}
	values = slices.DeleteFunc(values, func(f proxstation.Finding) bool {
		return f.ID == "gpu.takes-along" && shared || f.ID == "gpu.partial-card" && whole(f.Subject)
	})
	return append(values, host...)
}

// byGroup splits functions by their IOMMU groups, in the order of addresses. A
// function without a group gets a list of its own.
func byGroup(facts iommu.Facts, taken map[iommu.Address]string) [][]iommu.Address {
	var groups [][]iommu.Address
	at := map[iommu.GroupID]int{}
	for _, a := range slices.SortedFunc(maps.Keys(taken), iommu.Address.Compare) {
		fn, _ := facts.Function(a)
		i, there := at[fn.Group]
		if _, grouped := fn.Group.Int(); !there || !grouped {
			i = len(groups)
			groups, at[fn.Group] = append(groups, nil), i
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// checkTaken reports what the host loses with the functions that a VM takes.
// The parameter "taken" maps each function to its key in the VM's configuration.
// If the host uses a device in several ways, checkTaken adds one finding.
func checkTaken(facts iommu.Facts, vmid int, taken map[iommu.Address]string) []proxstation.Finding {
	var all, found []proxstation.Finding
	for _, functions := range byGroup(facts, taken) {
		all = append(all, facts.CheckFunctions(functions...)...)
	}
	for _, f := range all {
		if f.ID == "iommu.in-use" {
			a, _ := iommu.ParseAddress(f.Subject)
			f.Fix = fmt.Sprintf("Take the device from the VM before it starts: qm set %d --delete %s. Or move the host's data or connection to another device.", vmid, taken[a])
			if taken[a] == "args" {
				f.Fix = fmt.Sprintf("Take the device out of the line args of /etc/pve/qemu-server/%d.conf before the VM starts. Or move the host's data or connection to another device.", vmid)
			}
		}
		last := len(found) - 1
		if last >= 0 && f.ID == "iommu.in-use" && found[last].ID == f.ID && found[last].Subject == f.Subject && found[last].Severity == f.Severity {
			found[last].Seen += "; " + f.Seen
			continue
		}
		found = append(found, f)
	}
	return found
}

// ruleFixes holds, for each rule of PVE, the fix for a value that breaks the
// rule. A fix is a format for the VMID and the key.
var ruleFixes = map[gpu.Rule]string{
	gpu.RulePCIeNeedsQ35:    "Take pcie=1 out of %[2]s, or run qm set %[1]d --machine q35, which changes the guest's hardware.",
	gpu.RuleIGDNeedsI440FX:  "Run qm set %[1]d --machine pc; or take legacy-igd out of %[2]s: on q35 the iGPU then shows no picture of its own.",
	gpu.RuleIGDNeedsNoVGA:   "Run qm set %[1]d --vga none.",
	gpu.RuleIGDNeedsROMBar:  "Take rombar=0 out of %[2]s.",
	gpu.RuleIGDWithoutXVGA:  "Take x-vga=1 out of %[2]s.",
	gpu.RuleIGDWithoutMDev:  "Take legacy-igd or mdev out of %[2]s.",
	gpu.RuleIGDOnce:         "Take legacy-igd out of one of VM %[1]d's values, such as %[2]s.",
	gpu.RuleMDevOneFunction: "Name one function in %[2]s of VM %[1]d.",
}

// checkRules reports values that PVE refuses. It omits values that name a wrong
// device, because [gpu.Node.Check] and [gpu.Node.CheckClaims] report them.
func checkRules(claim gpu.Claim, config map[string]string) []proxstation.Finding {
	var broken []proxstation.Finding
	for n, h := range claim.Values {
		for _, err := range unjoin(gpu.CheckRules(claim.Values[:n+1], config["machine"], config["vga"])) {
			rule, ok := errors.AsType[*gpu.RuleError](err)
			if !ok || ruleFixes[rule.Rule] == "" || rule.Value.String() != h.String() {
				continue
			}
			broken = append(broken, proxstation.Finding{ID: "inventory.hostpci-refused", Severity: proxstation.Blocker, Subject: claim.Keys[n],
				Seen: fmt.Sprintf("%s: %s; %s", claim.Keys[n], config[claim.Keys[n]], rule.Seen), Why: "PVE refuses to start the VM: " + string(rule.Rule) + ".",
				Fix: fmt.Sprintf(ruleFixes[rule.Rule], claim.VMID, claim.Keys[n])})
		}
	}
	return broken
}

// unjoin returns the errors that err joins.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
