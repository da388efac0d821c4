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
	Node         string                `json:"node"`
	Workstations []stationView         `json:"workstations"`
	Sets         []setView             `json:"sets"`
	Storages     []storageView         `json:"storages"`
	Findings     []proxstation.Finding `json:"findings"` // the parts that could not be read
}

type stationView struct {
	Name    string  `json:"name"`
	VMID    int     `json:"vmid"`
	Profile string  `json:"profile"`
	State   string  `json:"state"`   // missing, off, running, paused or asleep
	Seconds float64 `json:"seconds"` // how long it has been running
	Set     string  `json:"set"`     // the set in which it takes turns, or empty
}

type setView struct {
	Name    string       `json:"name"`
	Running string       `json:"running"` // the workstation that has the card, or empty
	Lease   string       `json:"lease"`   // the controller that holds the lease, or empty
	Members []memberView `json:"members"`
}

type memberView struct {
	Name     string                `json:"name"`
	VMID     int                   `json:"vmid"`
	Running  bool                  `json:"running"`
	CanStart proxstation.Answer    `json:"canStart"`
	Why      []proxstation.Finding `json:"why"`
}

type storageView struct {
	Name      string       `json:"name"`
	Tier      storage.Tier `json:"tier"`
	Total     storage.Size `json:"total"`
	Available storage.Size `json:"available"`
}

// status shows the workstations, their sets and the storages as they are now.
func (a *app) status(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	return func(ctx context.Context) error {
		source, err := a.read()
		if err != nil {
			return err
		}
		node, err := a.open(ctx, source.Page)
		if err != nil {
			return err
		}
		facts, err := node.Observe(ctx)
		if err != nil {
			return err
		}
		v := statusOf(source.Page, facts)
		for _, name := range setNames(source.Page) {
			one, err := setStatus(ctx, node, source.Page, name)
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
}

func statusOf(page file.Page, facts workstation.Facts) statusView {
	v := statusView{Node: facts.Node, Workstations: []stationView{}, Sets: []setView{}, Storages: []storageView{}, Findings: append([]proxstation.Finding{}, facts.Unknown...)}
	for _, name := range known(page) {
		w := page.Workstations[name]
		have, there := facts.VMs[w.VMID()]
		s := stationView{Name: name, VMID: w.VMID(), Profile: w.Profile(), State: "off", Set: page.SetOf(name)}
		switch {
		case !there:
			s.State = "missing"
		case have.Asleep:
			s.State = "asleep"
		case have.Paused:
			s.State = "paused"
		case have.Running:
			s.State, s.Seconds = "running", have.Uptime.Seconds()
		}
		v.Workstations = append(v.Workstations, s)
	}
	slices.SortFunc(v.Workstations, func(a, b stationView) int { return a.VMID - b.VMID })
	for _, pool := range facts.Pools {
		v.Storages = append(v.Storages, storageView{pool.Name, pool.Tier, pool.Total, pool.Available})
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

// setStatus asks the node which member of a set has the card.
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
		one := memberView{VMID: m.VMID, Running: m.Running, CanStart: m.CanStart, Why: append([]proxstation.Finding{}, m.Why...)}
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
	a.out.Title("Workstations on node " + v.Node)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  NAME\tVM\tPROFILE\tSTATE\tTAKES TURNS IN")
	for _, s := range v.Workstations {
		state := s.State
		if s.Seconds > 0 {
			state += " for " + (time.Duration(s.Seconds) * time.Second).String()
		}
		fmt.Fprintf(w, "  %s\t%d\t%s\t%s\t%s\n", s.Name, s.VMID, s.Profile, state, s.Set)
	}
	w.Flush()
	for _, set := range v.Sets {
		a.printSet(set)
	}
	a.out.Title("Storages")
	w = tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  NAME\tTIER\tFREE\tOF")
	for _, s := range v.Storages {
		fmt.Fprintf(w, "  %s\t%s %s\t%s\t%s\n", s.Name, s.Tier, s.Tier.Media(), s.Available.Human(), s.Total.Human())
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
		if m.Running {
			state = "has the card"
		}
		fmt.Fprintf(a.out, "  %-20s %-14s can have it: %s\n", m.Name, state, m.CanStart)
		if m.CanStart != proxstation.Yes {
			a.out.Findings(m.Why)
		}
	}
}
