package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
)

// A statusView is the status in the form that programs read.
type statusView struct {
	Node         string                `json:"node"`  // name of the node; empty if the page is about several nodes
	Nodes        []nodeView            `json:"nodes"` // the nodes of the cluster
	Workstations []stationView         `json:"workstations"`
	Sets         []setView             `json:"sets"`
	Storages     []storageView         `json:"storages"`
	Findings     []proxstation.Finding `json:"findings"` // the parts that could not be read
}

type nodeView struct {
	Name  string `json:"name"`
	State string `json:"state"` // online, away, slow, forbidden or unread
}

type stationView struct {
	Name    string  `json:"name"`
	Node    string  `json:"node"` // name of the node; empty if the VM does not exist
	VMID    int     `json:"vmid"`
	Profile string  `json:"profile"`
	State   string  `json:"state"`   // missing, off, running, paused, asleep, or unknown on a node that is away
	Seconds float64 `json:"seconds"` // how long the VM has been running
	Set     string  `json:"set"`     // the set in which the workstation takes turns; empty if there is no set
}

type setView struct {
	Name    string       `json:"name"`
	Running string       `json:"running"` // the workstation that runs, or empty
	Lease   string       `json:"lease"`   // the controller that holds the lease, or empty
	Members []memberView `json:"members"`
}

type memberView struct {
	Name     string                `json:"name"`
	Node     string                `json:"node"`
	Away     bool                  `json:"away"` // the node is away, and the workstation may run there
	VMID     int                   `json:"vmid"`
	Running  bool                  `json:"running"`
	CanStart proxstation.Answer    `json:"canStart"`
	Why      []proxstation.Finding `json:"why"`
}

type storageView struct {
	Node      string       `json:"node"`
	Name      string       `json:"name"`
	Tier      storage.Tier `json:"tier"`
	Total     storage.Size `json:"total"`
	Available storage.Size `json:"available"`
}

// status shows the present state of the workstations, their sets and the
// storages.
func (a *app) status(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	return func(ctx context.Context) error {
		source, err := a.read()
		if err != nil {
			return err
		}
		return a.showStatus(ctx, source.Page)
	}
}

func (a *app) showStatus(ctx context.Context, page file.Page) error {
	s, err := a.observe(ctx, page)
	if err != nil {
		return err
	}
	v := statusOf(page, s)
	for _, name := range setNames(page) {
		one, err := setStatus(ctx, s.node, page, name)
		if err != nil {
			return err
		}
		v.Sets = append(v.Sets, one)
	}
	if a.json {
		return a.show(v)
	}
	a.print(v)
	return nil
}

func statusOf(page file.Page, s site) statusView {
	v := statusView{Node: s.facts.Node, Nodes: []nodeView{}, Workstations: []stationView{}, Sets: []setView{}, Storages: []storageView{}, Findings: []proxstation.Finding{}}
	for _, name := range known(page) {
		v.Workstations = append(v.Workstations, stationOf(page, s, name))
	}
	slices.SortFunc(v.Workstations, func(a, b stationView) int { return a.VMID - b.VMID })
	seen := []workstation.Facts{s.facts}
	if s.isCluster() {
		seen = nil
		v.Findings = append(v.Findings, s.all.Findings...)
		for _, node := range s.all.Nodes {
			v.Nodes = append(v.Nodes, nodeView{node.Name, node.State.String()})
			v.Findings = append(v.Findings, node.Findings...)
			seen = append(seen, node.Facts)
		}
	}
	for _, facts := range seen {
		v.Findings = append(v.Findings, facts.Unknown...)
		for _, pool := range facts.Pools {
			v.Storages = append(v.Storages, storageView{facts.Node, pool.Name, pool.Tier, pool.Total, pool.Available})
		}
	}
	return v
}

// stationOf returns the state of a workstation.
func stationOf(page file.Page, s site, name string) stationView {
	w := page.Workstations[name]
	have, node, there := s.vm(w.VMID())
	v := stationView{Name: name, Node: node, VMID: w.VMID(), Profile: w.Profile(), State: "off", Set: page.SetOf(name)}
	switch {
	case !there:
		v.State, v.Node = "missing", ""
	case have.ID == 0:
		v.State = "unknown" // the node of the VM could not be read
	case have.Asleep:
		v.State = "asleep"
	case have.Paused:
		v.State = "paused"
	case have.Running:
		v.State, v.Seconds = "running", have.Uptime.Seconds()
	}
	return v
}

func setNames(page file.Page) []string {
	var all []string
	for name := range page.DualBoot {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// setStatus asks the node which member of a set runs.
func setStatus(ctx context.Context, node *workstation.Node, page file.Page, name string) (setView, error) {
	db, err := page.Set(name)
	if err != nil {
		return setView{}, err
	}
	status, err := node.Status(ctx, db)
	if err != nil {
		return setView{}, err
	}
	v := setView{Name: name}
	if status.Lease != nil {
		v.Lease = status.Lease.String()
	}
	for _, m := range status.Members {
		one := memberView{VMID: m.VMID, Node: m.Node, Away: m.Away, Running: m.Running, CanStart: m.CanStart, Why: append([]proxstation.Finding{}, m.Why...)}
		for station, w := range page.Workstations {
			if w.VMID() == m.VMID {
				one.Name = station
			}
		}
		if m.Running {
			v.Running = one.Name
		}
		v.Members = append(v.Members, one)
	}
	return v, nil
}

// print prints a status for people.
func (a *app) print(v statusView) {
	node := func(name string) string { return "" } // only the table of a cluster has this column
	if len(v.Nodes) > 0 {
		node = func(name string) string { return "\t" + name }
		a.out.Title("Nodes of the cluster")
		for _, n := range v.Nodes {
			fmt.Fprintf(a.out, "  %-20s %s\n", n.Name, n.State)
		}
		a.out.Title("Workstations on the cluster")
	} else {
		a.out.Title("Workstations on node " + v.Node)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  NAME%s\tVM\tPROFILE\tSTATE\tTAKES TURNS IN\n", node("NODE"))
	for _, s := range v.Workstations {
		state := s.State
		if s.Seconds > 0 {
			state += " for " + (time.Duration(s.Seconds) * time.Second).String()
		}
		fmt.Fprintf(w, "  %s%s\t%d\t%s\t%s\t%s\n", s.Name, node(s.Node), s.VMID, s.Profile, state, s.Set)
	}
	w.Flush()
	for _, set := range v.Sets {
		a.printSet(set)
	}
	a.out.Title("Storages")
	w = tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  NAME%s\tTIER\tFREE\tOF\n", node("NODE"))
	for _, s := range v.Storages {
		fmt.Fprintf(w, "  %s%s\t%s %s\t%s\t%s\n", s.Name, node(s.Node), s.Tier, s.Tier.Media(), s.Available.Human(), s.Total.Human())
	}
	w.Flush()
	a.out.Findings(v.Findings)
}

func (a *app) printSet(set setView) {
	a.out.Title("Who has the card: " + set.Name)
	if set.Lease != "" {
		a.say("  %s", set.Lease)
	}
	for _, m := range set.Members {
		state := "off"
		switch {
		case m.Running && len(noCard(m.Why)) > 0:
			state = "running, without the card"
		case m.Running:
			state = "has the card"
		case m.Away:
			state = "not known"
		case slices.ContainsFunc(m.Why, func(f proxstation.Finding) bool { return f.ID == "switch.no-vm" }):
			state = "missing"
		}
		fmt.Fprintf(a.out, "  %-20s %-14s can have it: %s\n", m.Name, state, m.CanStart)
		if m.CanStart != proxstation.Yes {
			a.out.Findings(m.Why)
		} else {
			a.out.Findings(noCard(m.Why))
		}
	}
}

// noCard returns the finding about a workstation that runs, or would start,
// without the card.
func noCard(findings []proxstation.Finding) (found []proxstation.Finding) {
	for _, f := range findings {
		if f.ID == "switch.no-card" {
			found = append(found, f)
		}
	}
	return found
}
