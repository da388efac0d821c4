package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/install"
)

// destroy removes workstations with all their disks.
func (a *app) destroy(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	yes := set.Bool("yes", false, "do not ask")
	shutdown := set.Bool("shutdown", false, "shut down the workstations that run first, each within three minutes")
	return func(ctx context.Context) error {
		source, names, err := a.named()
		if err != nil {
			return err
		}
		g := goal{source: source}
		if g.site, err = a.observe(ctx, source.Page); err != nil {
			return err
		}
		if err := g.destroys(ids(source.Page, names)); err != nil {
			return err
		}
		if *shutdown && g.onlyRun() {
			if err := a.shutDown(ctx, &g, names, *yes); err != nil {
				return err
			}
			if err := g.destroys(ids(source.Page, names)); err != nil {
				return err
			}
		}
		return a.carryOut(ctx, g, *yes, "This deletes the disks with all data on them.", &install.Options{AllowDestroy: true})
	}
}

// onlyRun reports whether running VMs are the only reason why the removal is
// blocked. If there are other reasons, destroy shuts down no VM, so that nobody
// loses a desktop for a removal that cannot happen.
func (g goal) onlyRun() bool {
	return !slices.ContainsFunc(g.findings(), func(f proxstation.Finding) bool {
		return f.Severity == proxstation.Blocker && f.ID != "workstation.running"
	})
}

// destroys makes the plan that removes VMs. Each VM is removed on its own node.
func (g *goal) destroys(ids []int) error {
	g.parts = nil
	on := map[string][]int{}
	for _, id := range ids {
		_, node, there := g.site.vm(id)
		switch {
		case !there && g.site.isCluster():
			return fmt.Errorf("VM %d on the cluster: %w", id, workstation.ErrNotFound)
		case !there:
			node = g.site.facts.Node
		}
		on[node] = append(on[node], id)
	}
	for _, node := range slices.Sorted(maps.Keys(on)) {
		p := part{node: g.site.on(node), facts: g.site.facts}
		if g.site.isCluster() {
			seen, _ := g.site.all.Node(node)
			if seen.State != cluster.Online {
				return fmt.Errorf("VM %d: node %s is %s: nothing was changed", on[node][0], node, seen.State)
			}
			p.facts = seen.Facts
		}
		var err error
		if p.plan.First, err = workstation.DestroyPlan(p.facts, on[node]...); err != nil {
			return err
		}
		g.parts = append(g.parts, p)
	}
	return nil
}

// shutDown shuts down the named workstations that run, and then observes the
// node again.
func (a *app) shutDown(ctx context.Context, g *goal, names []string, yes bool) error {
	for _, name := range names {
		id := g.source.Page.Workstations[name].VMID()
		have, node, _ := g.site.vm(id)
		if !have.Running {
			continue
		}
		if !yes {
			if err := a.confirm(fmt.Sprintf("%s (VM %d) is running and is shut down first.", name, id)); err != nil {
				return err
			}
		}
		a.say("shutting down %s, which may take 3 min", name)
		if err := g.site.on(node).Shutdown(ctx, id, 3*time.Minute); err != nil {
			return err
		}
	}
	return g.site.read(ctx, g.source.Page)
}

// named reads the page and returns the workstations that the arguments name.
func (a *app) named() (*file.Source, []string, error) {
	source, err := a.read()
	if err != nil {
		return nil, nil, err
	}
	names, err := a.names(source.Page)
	return source, names, err
}

// names returns the workstations that the arguments name. It returns an error
// if the page lacks one of the names.
func (a *app) names(page file.Page) ([]string, error) {
	if len(a.args) == 0 {
		return nil, fmt.Errorf("which workstations? The page has %v", known(page))
	}
	for _, name := range a.args {
		if _, there := page.Workstations[name]; !there {
			return nil, fmt.Errorf("the page has no workstation %q: it has %v", name, known(page))
		}
	}
	return a.args, nil
}

func known(page file.Page) []string {
	var all []string
	for name := range page.Workstations {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func ids(page file.Page, names []string) []int {
	var all []int
	for _, name := range names {
		all = append(all, page.Workstations[name].VMID())
	}
	return all
}
