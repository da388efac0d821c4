package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// tour shows the commands one after the other, all on the same embedded
// cluster. In between it cuts the power of a node.
func (a *app) tour(set *flag.FlagSet) func(context.Context) error {
	set.StringVar(&a.path, "f", "examples/homelab/cluster.yaml", "the page, which has a set of two workstations")
	set.IntVar(&a.nodes, "embedded-nodes", 3, "nodes of the embedded cluster, 2 or more")
	speed := set.Float64("speed", 20, "how many times as fast as real time the clock of the embedded cluster runs")
	return func(ctx context.Context) error {
		if a.nodes < 2 {
			return errors.New("-embedded-nodes: want 2 or more")
		}
		c, sim, err := connect.EmbeddedCluster(ctx, a.nodes, *speed)
		if err != nil {
			return err
		}
		a.sims, a.close = sim.Nodes(), sim.Close
		if a.kept, err = of(ctx, c); err != nil {
			return err
		}
		return a.walk(ctx, sim)
	}
}

// walk runs the steps of the tour.
func (a *app) walk(ctx context.Context, sim *pvetest.Cluster) error {
	a.heading("homelab apply")
	g, err := a.look(ctx)
	if err != nil {
		return err
	}
	sets := setNames(g.source.Page)
	if len(sets) == 0 {
		return fmt.Errorf("%s has no dualboot set", a.path)
	}
	db, err := g.source.Page.Set(sets[0])
	if err != nil {
		return err
	}
	a.printPlan(g)
	if err := connect.Blocked(g.findings()); err != nil {
		return err
	}
	if err := a.make(ctx, g, a.withProgress()); err != nil {
		return err
	}
	names := g.source.Page.DualBoot[sets[0]].Members
	first, second := db.Members[0], db.Members[1]
	change := func(name string, id int) error {
		a.heading("homelab switch " + name)
		return a.doSwitch(ctx, a.kept.node, db, id, false)
	}
	if err := change(names[0], first); err != nil {
		return err
	}
	if err := change(names[1], second); err != nil {
		return err
	}
	gone := sim.Where(second)
	if err := a.cut(ctx, sim, gone, sim.Where(first)); err != nil {
		return err
	}
	if err := a.showStatus(ctx, g.source.Page); err != nil {
		return err
	}
	if err := change(names[0], first); connect.Code(err) != connect.Block {
		return fmt.Errorf("a switch to %s should have been refused, because %s may still run: %w", names[0], names[1], err)
	}
	a.heading("node " + gone + " is back")
	sim.Up(gone)
	if err := a.until(ctx, func(away int) bool { return away == 0 }); err != nil {
		return err
	}
	return change(names[0], first)
}

// cut cuts the power of a node. From then on, the program asks another node.
func (a *app) cut(ctx context.Context, sim *pvetest.Cluster, gone, other string) error {
	a.heading("the power of node " + gone + " is cut")
	sim.Down(gone)
	if gone == a.kept.node.Name() {
		a.kept.node = a.kept.cluster.Node(other)
	}
	return a.until(ctx, func(away int) bool { return away == 1 })
}

func (a *app) heading(text string) { a.out.Title("# " + text) }

// The method "until" calls the function "reached" with the number of nodes that are
// away, again and again, until reached returns true.
func (a *app) until(ctx context.Context, reached func(away int) bool) error {
	for {
		_, away, err := a.kept.cluster.Names(ctx)
		if err == nil && reached(len(away)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
		if err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
			return err
		}
	}
}
