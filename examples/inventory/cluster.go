package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/inventory"
)

// A clusterReport is a report on a cluster. Lists in its JSON are never null.
type clusterReport struct {
	// Cluster is the name of the cluster. It is empty if the login may not read
	// it.
	Cluster string `json:"cluster"`
	// Quorate is "yes", "no" or "unknown". Why is the evidence.
	Quorate proxstation.Answer `json:"quorate"`
	Why     string             `json:"why"`
	// Nodes holds all nodes, sorted by name. Guests holds all VMs and
	// containers that the login may see, sorted by VMID.
	Nodes  []nodeReport  `json:"nodes"`
	Guests []guestReport `json:"guests"`
	// Findings holds the findings on the cluster as a whole, and on its nodes
	// as members of the cluster. The findings on the parts of a node are in the
	// Report of this node, if the node could be read.
	Findings []proxstation.Finding `json:"findings"`
}

// A nodeReport is a node of a cluster.
type nodeReport struct {
	Name    string `json:"name"`
	Address string `json:"address"` // "" if the login may not read it
	// State is "online", "forbidden", "slow", "away" or "unread".
	State cluster.State `json:"state"`
	// Version is PVE's version. CPU is the model of the processor. Memory is
	// the number of bytes that a new VM could have. A value that is not known
	// is "" or 0.
	Version string `json:"version"`
	CPU     string `json:"cpu"`
	Memory  int64  `json:"memory"`
	// Report is the inventory of the node. It is null if the node could not be
	// read.
	Report *inventory.Inventory `json:"report"`
}

// A guestReport is a VM or a container of a cluster.
type guestReport struct {
	VMID      int    `json:"vmid"`
	Name      string `json:"name"`
	Node      string `json:"node"`
	Container bool   `json:"container"`
	// Running is "yes", "no", or "unknown" if the guest's node is away.
	Running proxstation.Answer `json:"running"`
}

// readCluster reads the cluster that the environment names, or a cluster of
// embedded nodes. If the node is in no cluster, readCluster returns the report
// on this node alone.
func readCluster(ctx context.Context, embedded int, flags *connect.Flags) (fmt.Stringer, error) {
	c, err := openCluster(ctx, embedded, flags)
	if err != nil {
		return nil, err
	}
	defer c.close()
	facts, err := c.Observe(ctx)
	if err != nil {
		return nil, err
	}
	if len(facts.Nodes) == 1 && facts.Name == "" {
		return inventoryOf(facts.Nodes[0].Facts), facts.Nodes[0].Err
	}
	return ofCluster(facts), nil
}

// An openedCluster is a cluster together with the function that stops its
// embedded nodes.
type openedCluster struct {
	*cluster.Cluster
	close func()
}

func openCluster(ctx context.Context, embedded int, flags *connect.Flags) (openedCluster, error) {
	if embedded == 0 {
		c, err := flags.Cluster(ctx)
		return openedCluster{c, func() {}}, err
	}
	c, sim, err := connect.EmbeddedCluster(ctx, embedded, 1)
	if err != nil {
		return openedCluster{}, err
	}
	return openedCluster{c, sim.Close}, nil
}

// ofCluster returns the report on a cluster.
func ofCluster(facts cluster.Facts) clusterReport {
	r := clusterReport{Cluster: facts.Name, Quorate: facts.Quorate, Why: facts.QuorateSeen, Nodes: []nodeReport{}, Guests: []guestReport{}, Findings: []proxstation.Finding{}}
	r.Findings = append(r.Findings, facts.Findings...)
	for _, n := range facts.Nodes {
		node := nodeReport{Name: n.Name, Address: n.Address, State: n.State, Version: n.Facts.Version, CPU: n.Facts.CPU, Memory: int64(n.Facts.MemoryAvailable)}
		if n.Err == nil && n.State != cluster.Away {
			report := inventoryOf(n.Facts)
			node.Report = &report
		}
		r.Nodes = append(r.Nodes, node)
		r.Findings = append(r.Findings, n.Findings...)
	}
	for _, g := range facts.Guests {
		r.Guests = append(r.Guests, guestReport{g.VMID, g.Name, g.Node, g.Container, g.Running})
	}
	return r
}

// inventoryOf returns the report on a node.
func inventoryOf(facts workstation.Facts) inventory.Inventory {
	report := inventory.Of("node "+facts.Node, facts.IOMMU, facts.Disks, facts.Pools, facts.Unknown...)
	configs := map[int]map[string]string{}
	for vmid, vm := range facts.VMs {
		configs[vmid] = vm.Config
	}
	report.AddVMs(facts.IOMMU, facts.PCI(), configs)
	return report
}

// String returns the report for people: a table of the nodes, the findings on
// the cluster, and the report on each node.
func (r clusterReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Cluster %s: %d nodes, quorum: %s (%s)\n\n", printable.Line(cmp.Or(r.Cluster, "(name not known)")), len(r.Nodes), r.Quorate, printable.Line(r.Why))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  NODE\tSTATE\tPVE\tFREE MEMORY\tGUESTS\tRUNNING\tGRAPHICS CARDS")
	for _, n := range r.Nodes {
		guests, running := r.guestsOf(n.Name)
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%d\t%s\t%s\n", printable.Line(n.Name), n.State, printable.Line(cmp.Or(n.Version, "?")), memory(n), guests, running, n.cards())
	}
	w.Flush()
	b.WriteString("\nFindings about the cluster\n")
	for _, f := range r.Findings {
		b.WriteString("  " + strings.ReplaceAll(f.String(), "\n", "\n  ") + "\n")
	}
	if len(r.Findings) == 0 {
		b.WriteString("  none\n")
	}
	for _, n := range r.Nodes {
		if n.Report != nil {
			fmt.Fprintf(&b, "\n%s", n.Report)
		}
	}
	return b.String()
}

// guestsOf returns the number of guests on a node, and the number of guests
// that run.
func (r clusterReport) guestsOf(node string) (guests int, running string) {
	up := 0
	for _, g := range r.Guests {
		if g.Node != node {
			continue
		}
		guests++
		switch g.Running {
		case proxstation.Yes:
			up++
		case proxstation.Unknown:
			running = "?"
		}
	}
	return guests, cmp.Or(running, fmt.Sprint(up))
}

func (n nodeReport) cards() string {
	if n.Report == nil {
		return "?"
	}
	var names []string
	for _, g := range n.Report.GPUs {
		names = append(names, printable.Line(g.Name))
	}
	return cmp.Or(strings.Join(names, "; "), "none")
}

func memory(n nodeReport) string {
	if n.Memory == 0 {
		return "?"
	}
	return storage.Size(n.Memory).Human()
}
