package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
)

// initialize writes a first page.
func (a *app) initialize(set *flag.FlagSet) func(context.Context) error {
	set.StringVar(&a.path, "f", "homelab.yaml", "where the page goes; - is the output")
	a.flags = connect.Register(set)
	return func(ctx context.Context) error {
		if _, err := os.Stat(a.path); err == nil {
			return fmt.Errorf("%s is there already: -f names another file", a.path)
		}
		a.json = a.path == "-" // nothing but the page is printed
		node, err := a.open(ctx, file.Page{})
		if err != nil {
			return err
		}
		facts, err := node.Observe(ctx)
		if err != nil {
			return err
		}
		page, comments := file.Adopt(facts)
		text := file.Format(page, comments)
		if a.path == "-" {
			_, err := a.out.Write(text)
			return err
		}
		if err := os.WriteFile(a.path, text, 0o644); err != nil { //nolint:gosec // a page holds no secret
			return err
		}
		a.say("%s describes node %s as it is: %d workstations, %d cards. homelab plan finds nothing to do; change a value and plan again.", a.path, facts.Node, len(page.Workstations), len(page.Cards))
		return nil
	}
}

// apply carries out a plan.
func (a *app) apply(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	yes := set.Bool("yes", false, "do not ask")
	return func(ctx context.Context) error {
		var g goal
		var err error
		if len(a.args) > 0 {
			if err := a.flags.Useless("a saved plan", "f"); err != nil {
				return err
			}
			g, err = a.saved(ctx, a.args[0])
		} else {
			g, err = a.look(ctx)
		}
		if err != nil {
			return err
		}
		return a.carryOut(ctx, g, *yes, "It makes these changes and no others: no VM is started or shut down.", nil)
	}
}

// carryOut shows a plan, asks, and applies it.
func (a *app) carryOut(ctx context.Context, g goal, yes bool, what string, opts *workstation.ApplyOptions) error {
	if !a.json {
		a.out.Plan(g.plan)
	}
	if blocked := connect.Blocked(g.plan.Findings); blocked != nil || g.plan.Empty() {
		if a.json {
			return result(a.show(viewOf(g.plan)), blocked)
		}
		return blocked
	}
	if !yes {
		if err := a.confirm(what + " Go on?"); err != nil {
			return err
		}
	}
	if opts == nil {
		opts = &workstation.ApplyOptions{}
	}
	if !a.json {
		fmt.Fprintln(a.out)
		opts.Progress = a.out.Progress()
	}
	if err := g.node.Apply(ctx, g.plan, opts); err != nil {
		return fmt.Errorf("%w; the same command goes on where it stopped", err)
	}
	if a.json {
		return a.show(viewOf(g.plan))
	}
	a.say("Done: %d of %d changes.", len(g.plan.Steps), len(g.plan.Steps))
	return nil
}

// result is the first error.
func result(err, then error) error {
	if err != nil {
		return err
	}
	return then
}

// destroy removes workstations.
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
		if g.plan, err = workstation.DestroyPlan(g.facts, ids(source.Page, names)...); err != nil {
			return err
		}
		return a.carryOut(ctx, g, *yes, "The disks and all that is on them are gone then.", &workstation.ApplyOptions{AllowDestroy: true})
	}
}

// shutDown shuts down those that run, and observes again.
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

// names returns the workstations that the arguments name.
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
