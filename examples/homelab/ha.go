package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
)

// noHA returns an error if the page wants high availability, but the site is a
// single node.
func (s site) noHA(source *file.Source) error {
	if vms := source.Page.HA().VMs; len(vms) > 0 && !s.isCluster() {
		key := "workstations." + nameOf(source.Page, vms[0].VMID) + ".ha"
		return fmt.Errorf("%s: %s: %w: node %s is in no cluster of several nodes, and only a cluster has high availability", source.Where(key), key, workstation.ErrInvalid, s.facts.Node)
	}
	return nil
}

// highAvailability plans what the page requests from the HA manager. The
// requests are made last, because the VMs must exist.
func (g *goal) highAvailability(ctx context.Context) error {
	spec := g.source.Page.HA(g.unplanned...)
	if len(spec.VMs) == 0 {
		return nil
	}
	have, err := g.site.cluster.ObserveHA(ctx)
	if err != nil {
		return err
	}
	plan, err := cluster.DiffHA(spec, g.planned(), have)
	if err != nil {
		return err
	}
	g.plan.HAVMs, g.plan.HARules = plan.HAVMs, plan.HARules
	for _, f := range plan.Findings {
		if !slices.Contains(g.plan.Findings, f) {
			g.plan.Findings = append(g.plan.Findings, f)
		}
	}
	return nil
}

// planned returns the facts of the cluster as they will be after the plans of
// the nodes are carried out. They include the new VMs. The guests that are set
// up then run, but only the last one of each set.
func (g goal) planned() cluster.Facts {
	all := g.site.all
	all.Nodes, all.Guests = slices.Clone(all.Nodes), slices.Clone(all.Guests)
	for i := range all.Nodes {
		all.Nodes[i].Facts = after(all.Nodes[i].Facts, g.plan)
		all.Nodes[i].Facts.VMs = maps.Clone(all.Nodes[i].Facts.VMs)
	}
	last := map[string]int{} // by set: the guest that is set up last; the guests before it are shut down
	for _, p := range g.parts {
		at := slices.IndexFunc(all.Nodes, func(n cluster.NodeFacts) bool { return n.Name == p.facts.Node })
		for _, step := range p.plan.First.Steps {
			if made, is := step.(workstation.CreateVM); is {
				all.Nodes[at].Facts.VMs[made.VMID] = workstation.VMFacts{ID: made.VMID, Name: made.Name, Node: p.facts.Node, Config: made.Config}
				all.Guests = append(all.Guests, cluster.Guest{VMID: made.VMID, Name: made.Name, Node: p.facts.Node, Running: proxstation.No})
			}
		}
		for _, s := range p.plan.SetUps {
			setRunning(all, s.VMID, proxstation.Yes)
			if set := g.source.Page.SetOf(nameOf(g.source.Page, s.VMID)); set != "" {
				setRunning(all, last[set], proxstation.No)
				last[set] = s.VMID
			}
		}
	}
	return all
}

// setRunning changes the facts: it stores whether a guest runs.
func setRunning(facts cluster.Facts, vmid int, running proxstation.Answer) {
	for i, guest := range facts.Guests {
		if guest.VMID == vmid {
			facts.Guests[i].Running = running
		}
	}
}

// nameOf returns the workstation of a VM. It returns "" if the page does not
// have the VM.
func nameOf(page file.Page, vmid int) string {
	for name, w := range page.Workstations {
		if w.VMID() == vmid {
			return name
		}
	}
	return ""
}
