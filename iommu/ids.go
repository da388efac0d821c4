package iommu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// parseIDs parses the ids of vfio-pci as the module does (vfio_pci_fill_ids in
// drivers/vfio/pci/vfio_pci.c). Commas separate the ids. Each id needs at least
// a vendor and a device number in hexadecimal. Text after the numbers is
// ignored.
func parseIDs(value string) (models []Model, bad []string) {
	for token := range strings.SplitSeq(value, ",") {
		parts := strings.SplitN(token, ":", 3)
		if token == "" {
			continue
		}
		var numbers []uint64
		for _, part := range parts[:min(len(parts), 2)] {
			digits := strings.TrimPrefix(strings.TrimPrefix(part, "0x"), "0X")
			end := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
			if end < 0 {
				end = len(digits)
			}
			n, err := strconv.ParseUint(digits[:end], 16, 32)
			if err != nil || n > 0xffff {
				break
			}
			numbers = append(numbers, n)
			if end < len(digits) {
				bad = append(bad, token) // the kernel ignores the text after the number
				break
			}
		}
		if len(numbers) < 2 {
			if !slices.Contains(bad, token) {
				bad = append(bad, token)
			}
			continue
		}
		models = append(models, Model{ID(numbers[0]), ID(numbers[1])})
	}
	return models, bad
}

// effectiveIDs returns the models that vfio-pci gets, and the line that sets
// these models. If there are several lines, the last line counts. The kernel's
// arguments come after the lines of all files. A built-in vfio-pci only sees
// the arguments.
func (c modconf) effectiveIDs(builtIn bool) ([]Model, directive) {
	values, lines := c.options("vfio_pci", "ids")
	for i := len(values) - 1; i >= 0; i-- {
		if !builtIn || lines[i].file == "" {
			models, _ := parseIDs(values[i])
			return models, lines[i]
		}
	}
	return nil, directive{}
}

// idsLine returns a line that sets the models. It replaces the line d, which
// sets the ids now, and has the same form.
func (d directive) idsLine(models []Model) string {
	var ids []string
	for _, m := range models {
		ids = append(ids, m.String())
	}
	ids = unique(ids)
	if d.file == "" {
		return idsArgument + strings.Join(ids, ",")
	}
	words := []string{"options vfio-pci ids=" + strings.Join(ids, ",")}
	for _, word := range strings.Fields(d.rest) {
		if name, _, ok := strings.Cut(word, "="); ok && slices.Contains(knownParameters["vfio_pci"], name) && name != "ids" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// The method "rewrite" says how to replace a line of modprobe.d, or a kernel
// argument.
func (f Facts) rewrite(d directive, line string) string {
	if d.file == "" {
		return fmt.Sprintf("Write %s for %s in %s, run %s, and restart.", line, d.text, f.Place().Edit, f.Place().Command)
	}
	return fmt.Sprintf("Write line %d of /%s as %q, run update-initramfs -u -k all, and restart.", d.number, d.file, line)
}

// checkIDs judges the ids of vfio-pci: whether each id is valid, whether the
// host has such a function, and which other functions the ids take from the
// host.
func (f Facts) checkIDs() []proxstation.Finding {
	c := f.modconf(true)
	values, lines := c.options("vfio_pci", "ids")
	var found []proxstation.Finding
	add := func(id string, severity proxstation.Severity, d directive, why, fix string) {
		subject := "kernel arguments"
		if d.file != "" {
			subject = "/" + d.file
		}
		found = append(found, proxstation.Finding{ID: id, Severity: severity, Subject: subject, Seen: d.where(), Why: why, Fix: fix})
	}
	for i, d := range lines {
		models, bad := parseIDs(values[i])
		loose := looseIDs(d)
		if len(bad)+len(loose) > 0 {
			for _, token := range append(bad, loose...) {
				more, _ := parseIDs(repaired(token))
				models = append(models, more...)
			}
			fix := f.rewrite(d, d.idsLine(models))
			if len(models) == 0 {
				fix = "Write the ids as lspci -nn shows them, such as 10de:2c05, with commas and without blanks."
			}
			add("iommu.ids-bad", proxstation.Warning, d, "vfio-pci does not take "+list(append(bad, loose...))+": an id is vendor:device, and ids are separated by commas without blanks.", fix)
		}
		if i < len(lines)-1 {
			last, _ := parseIDs(values[len(values)-1])
			if lost := missingModels(models, last); len(lost) > 0 {
				add("iommu.ids-lost", proxstation.Warning, d, "vfio-pci only takes the last list of ids, which is "+lines[len(lines)-1].where()+": the ids of this line are lost.",
					"Remove this line. "+f.rewrite(lines[len(lines)-1], lines[len(lines)-1].idsLine(append(last, models...))))
			}
		}
	}
	return append(found, f.checkModels(c)...)
}

// missingModels returns the models of list that other lacks.
func missingModels(list, other []Model) []Model {
	return slices.DeleteFunc(slices.Clone(list), func(m Model) bool { return slices.Contains(other, m) })
}

// looseIDs returns the words of an options line that look like ids but are not
// part of the list, because a blank separates them from it.
func looseIDs(d directive) []string {
	var loose []string
	for _, word := range strings.Fields(d.rest) {
		token := strings.Trim(word, ",")
		if models, bad := parseIDs(token); len(models) > 0 && len(bad) == 0 && !strings.Contains(word, "=") {
			loose = append(loose, token)
		}
	}
	return loose
}

// The function "repaired" corrects a text that is almost a list of ids: it
// replaces other marks by colons and commas.
func repaired(token string) string {
	for _, mark := range []string{";", "/", "|"} {
		token = strings.ReplaceAll(token, mark, ",")
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "-", ":"), ".", ":")
}

// checkModels judges which functions the effective ids take from the host.
func (f Facts) checkModels(c modconf) []proxstation.Finding {
	models, d := c.effectiveIDs(f.vfioBuiltIn())
	subject := "kernel arguments"
	if d.file != "" {
		subject = "/" + d.file
	}
	var nobody, beyond []string
	var keep []Model
	var found []proxstation.Finding
	for _, m := range models {
		functions := f.ofModel(m)
		taken := slices.DeleteFunc(slices.Clone(functions), func(fn Function) bool { return !f.beyond(fn) })
		for _, fn := range functions {
			found = append(found, f.checkModelUses(fn, d)...)
		}
		switch {
		case len(functions) == 0 && len(f.Functions) > 0:
			nobody = append(nobody, m.String())
		case len(taken) > 0:
			for _, fn := range taken {
				beyond = append(beyond, f.describe(fn))
			}
		default:
			keep = append(keep, m)
		}
	}
	if len(nobody) > 0 {
		found = append(found, proxstation.Finding{ID: "iommu.ids-nobody", Severity: proxstation.Warning, Subject: subject, Seen: d.where(),
			Why: "The host has no function " + list(nobody) + ": a letter is wrong, or the card was replaced.",
			Fix: "Compare with lspci -nn, and correct or remove the id; then run update-initramfs -u -k all, and restart."})
	}
	if len(beyond) > 0 {
		found = append(found, proxstation.Finding{ID: "iommu.ids-beyond", Severity: proxstation.Warning, Subject: subject,
			Seen: d.where() + "; it takes " + list(beyond),
			Why:  "These functions belong to the host, not to the card. Without them the host may have no keyboard, disks or security processor.",
			Fix:  f.rewrite(d, d.idsLine(keep))})
	}
	return append(found, f.checkIdentical(models, d)...)
}

// ofModel returns the functions with a model. Virtual functions are left out.
func (f Facts) ofModel(m Model) []Function {
	return slices.DeleteFunc(slices.Clone(f.Functions), func(fn Function) bool { return fn.Model != m || fn.VirtualOf != nil })
}

// The method "beyond" reports whether a function that the ids take belongs to
// the host rather than to a card. Such functions are security processors,
// memory, system devices and the last USB controller. A controller in the slot
// of another vendor's display belongs to the host too: AMD's integrated
// graphics have such neighbours.
func (f Facts) beyond(fn Function) bool {
	switch base := fn.Class.Base(); {
	case base == 0x10, base == 0x05, base == 0x08, base == 0x06:
		return true
	case fn.Class.IsDisplay(), base == 0x0c && fn.Class.Sub() == 0x0c80:
		return false
	}
	display := slices.IndexFunc(f.Slot(fn.Address), func(o Function) bool { return o.Class.IsDisplay() })
	if display >= 0 {
		return f.Slot(fn.Address)[display].Model.Vendor != fn.Model.Vendor
	}
	if fn.Class.Sub() != 0x0c03 {
		return false
	}
	return !slices.ContainsFunc(f.Functions, func(o Function) bool {
		return o.Class.Sub() == 0x0c03 && o.Driver != vfioPCI && o.Model != fn.Model
	})
}

// checkModelUses reports ids that take a function which the host itself needs.
func (f Facts) checkModelUses(fn Function, d directive) []proxstation.Finding {
	for _, use := range f.usesOf(fn.Address) {
		if use.Kind == UseRoot || use.Kind == UseStorage || use.Kind == UseNetwork {
			return []proxstation.Finding{{ID: "iommu.ids-in-use", Severity: proxstation.Blocker, Subject: fn.Address.String(),
				Seen: d.where() + "; " + f.describe(fn), Why: "From the next start on, vfio-pci may take the device, and the host loses its " + string(use.Kind) + ".",
				Fix: "Take " + fn.Model.String() + " out of the ids and run update-initramfs -u -k all. If another device has the same model, keep the other device by its address: " +
					"go run ./examples/host -keep ADDRESS -apply."}}
		}
	}
	return nil
}

// checkIdentical reports ids that take every card of a model.
func (f Facts) checkIdentical(models []Model, d directive) []proxstation.Finding {
	draws := slices.ContainsFunc(f.Functions, func(fn Function) bool { return fn.draws() && !slices.Contains(models, fn.Model) })
	var found []proxstation.Finding
	for _, m := range models {
		var cards []string
		keep := Address{}
		for _, fn := range f.ofModel(m) {
			if !fn.Class.IsDisplay() {
				continue
			}
			cards = append(cards, fn.Address.String())
			if fn.BootVGA != proxstation.Yes {
				keep = fn.Address
			}
		}
		if len(cards) < 2 {
			continue
		}
		finding := proxstation.Finding{ID: "iommu.identical-model", Severity: proxstation.Info, Subject: m.String(), Seen: d.where() + "; " + list(cards) + " are " + m.String(),
			Why: "Ids cannot distinguish cards of one model, so vfio-pci takes all of them.",
			Fix: "If the host needs one of them, remove the line and keep the other card for guests by its address (driver_override): " + keepCommand(keep) + "."}
		if !draws {
			finding.Severity = proxstation.Warning
			finding.Why = "Ids cannot distinguish cards of one model, so vfio-pci takes all of them, and the host has no display left."
			finding.Fix = "Remove the line and keep one card for guests by its address (driver_override), so that the host has the other card: " + keepCommand(keep) + "."
		}
		found = append(found, finding)
	}
	return found
}
