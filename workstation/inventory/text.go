package inventory

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/storage"
)

// String returns the report for people.
func (i Inventory) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Inventory of %s\n\nIOMMU: %s (%s)\n", printable.Line(i.Source), printable.Line(i.IOMMU.State), printable.Line(i.IOMMU.Why))
	fmt.Fprintf(&b, "       %s, interrupt remapping: %s\n", count(len(i.IOMMU.Groups), "group"), i.IOMMU.InterruptRemapping)
	fmt.Fprintf(&b, "Kernel arguments: %s\n", i.Boot)
	b.WriteString("\nGraphics cards\n")
	for _, g := range i.GPUs {
		fmt.Fprintf(&b, "  %s  %s:%s  %s (%s)\n", g.Address, g.VendorID, g.DeviceID, printable.Line(g.Name), g.Family)
		fmt.Fprintf(&b, "      %s, driver %s, group %s, isolated: %s%s\n", count(len(g.Functions), "function"), driver(g), g.Group, g.Isolated, with(g))
	}
	if len(i.GPUs) == 0 {
		b.WriteString("  none found\n")
	}
	table(&b, "Storages", len(i.Pools), "TIER\tSTORAGE\tTYPE\tFREE\tDISKS", func(w *tabwriter.Writer) {
		for _, p := range i.Pools {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", tierName(p.Tier), printable.Line(p.Name), printable.Line(p.Type), known(p.Available), printable.Line(strings.Join(p.Disks, " ")))
		}
	})
	table(&b, "Disks", len(i.Disks), "TIER\tDISK\tSIZE\tMODEL\tBECAUSE", func(w *tabwriter.Writer) {
		for _, d := range i.Disks {
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", tierName(d.Tier), printable.Line(d.Name), storage.Size(d.Size).Human(), printable.Line(d.Model), printable.Line(d.Why))
		}
	})
	if len(i.VMs) > 0 {
		table(&b, "VMs with PCI devices", len(i.VMs), "VM\tNAME\tSTARTS WITH THE HOST\tDEVICES", func(w *tabwriter.Writer) {
			for _, vm := range i.VMs {
				fmt.Fprintf(w, "  %d\t%s\t%s\t%s\n", vm.ID, printable.Line(vm.Name), proxstation.AnswerOf(vm.OnBoot), printable.Line(strings.Join(vm.HostPCI, "; ")))
			}
		})
	}
	b.WriteString("\nFindings\n")
	for _, f := range i.Findings {
		b.WriteString("  " + strings.ReplaceAll(f.String(), "\n", "\n  ") + "\n")
	}
	if len(i.Findings) == 0 {
		b.WriteString("  none\n")
	}
	fmt.Fprintf(&b, "\nVerdict: %s\n", verdict(i.Findings))
	return b.String()
}

// String describes where the kernel's arguments are configured.
func (b Boot) String() string {
	text := "boot loader " + b.Loader.String() + " (" + b.Why + ")"
	if b.File != "" {
		text += ", " + b.File
	}
	if b.Command != "" {
		text += ", then " + b.Command
	}
	return printable.Line(text)
}

func table(b *strings.Builder, title string, rows int, head string, fill func(*tabwriter.Writer)) {
	fmt.Fprintf(b, "\n%s\n", title)
	if rows == 0 {
		b.WriteString("  none found\n")
		return
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  %s\n", head)
	fill(w)
	w.Flush()
}

func tierName(t storage.Tier) string {
	if t == storage.TierUnknown {
		return "?"
	}
	return t.String() + " " + t.Media()
}

func known(bytes *int64) string {
	if bytes == nil {
		return "?"
	}
	return storage.Size(*bytes).Human()
}

// The function "count" returns a number with a noun. The noun is in the plural
// unless the number is 1.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func driver(g GPU) string {
	switch {
	case g.Driver == nil:
		return "not known"
	case *g.Driver == "":
		return "none"
	}
	return printable.Line(*g.Driver)
}

func with(g GPU) string {
	if len(g.Blockers) == 0 {
		return ""
	}
	var others []string
	for _, a := range g.Blockers {
		others = append(others, a.String())
	}
	return ", shared with " + strings.Join(others, ", ")
}

func verdict(findings []proxstation.Finding) string {
	switch worst := proxstation.Worst(findings); worst {
	case proxstation.Blocker:
		return "faults have to be fixed before passthrough can work"
	case proxstation.Warning:
		return "it works, with the risks above"
	}
	return "nothing is in the way"
}
