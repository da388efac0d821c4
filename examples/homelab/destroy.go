package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/proxstation/proxstation/workstation"
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
		source, err := a.read()
		if err != nil {
			return err
		}
		names, err := a.names(source.Page)
		if err != nil {
			return err
		}
		g := goal{source: source}
		if g.node, err = a.open(ctx, source.Page); err != nil {
			return err
		}
		if g.facts, err = g.node.Observe(ctx); err != nil {
			return err
		}
		if *shutdown {
			if err := a.shutDown(ctx, &g, names, *yes); err != nil {
				return err
			}
		}
		if g.plan.First, err = workstation.DestroyPlan(g.facts, ids(source.Page, names)...); err != nil {
			return err
		}
		return a.carryOut(ctx, g, *yes, "The disks and all that is on them are gone then.", &install.Options{AllowDestroy: true})
	}
}

// shutDown shuts down the named workstations that run, and observes the node
// again.
func (a *app) shutDown(ctx context.Context, g *goal, names []string, yes bool) error {
	for _, name := range names {
		id := g.source.Page.Workstations[name].VMID()
		if !g.facts.VMs[id].Running {
			continue
		}
		if !yes {
			if err := a.confirm(fmt.Sprintf("%s (VM %d) is running and is shut down first.", name, id)); err != nil {
				return err
			}
		}
		a.say("shutting down %s, which may take 3 min", name)
		if err := g.node.Shutdown(ctx, id, 3*time.Minute); err != nil {
			return err
		}
	}
	var err error
	g.facts, err = g.node.Observe(ctx)
	return err
}

// names returns the workstations that the arguments name, and an error for
// names that the page does not have.
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
