package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/install"
)

// initialize writes a first page that describes the present state of the node.
func (a *app) initialize(set *flag.FlagSet) func(context.Context) error {
	set.StringVar(&a.path, "f", "homelab.yaml", "the file to write; - prints the page")
	a.connects(set)
	return func(ctx context.Context) error {
		if _, err := os.Stat(a.path); err == nil {
			return fmt.Errorf("%s is there already: -f names another file", a.path)
		}
		a.json = a.path == "-" // so that the program prints only the page
		s, err := a.observe(ctx, file.Page{})
		if err != nil {
			return err
		}
		if s.isCluster() {
			return fmt.Errorf("the cluster has the nodes %s: -node chooses the node that the page describes", strings.Join(s.names, ", "))
		}
		facts := s.facts
		page, comments := file.Adopt(facts)
		if !connect.Configured() {
			comments[""] = strings.TrimRight(embeddedPage+"\n"+comments[""], "\n")
		}
		text := file.Format(page, comments)
		if a.path == "-" {
			_, err := a.out.Write(text)
			return err
		}
		if err := os.WriteFile(a.path, text, 0o644); err != nil { //nolint:gosec // a page holds no secret
			return err
		}
		a.say("%s describes node %s as it is: %s, %s. homelab plan finds nothing to do; change a value and plan again.", a.path, facts.Node, count(len(page.Workstations), "workstation"), count(len(page.Cards), "card"))
		return nil
	}
}

// embeddedPage is the comment at the top of a page about the embedded node.
const embeddedPage = "This page describes the node that is embedded in homelab, not your node. For a page\n" +
	"about your node, set PROXMOX_VE_ENDPOINT, delete this file, and call homelab init again."

// apply makes the changes of a new plan or of a saved plan.
func (a *app) apply(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	a.onAgain(set)
	a.onNodeOff(set)
	yes := set.Bool("yes", false, "do not ask")
	return func(ctx context.Context) error {
		var g goal
		var err error
		if len(a.args) > 0 {
			if err := a.flags.Useless("a saved plan", "f", "again"); err != nil {
				return err
			}
			a.from = a.args[0]
			g, err = a.saved(ctx, a.from)
		} else {
			g, err = a.look(ctx)
		}
		if err != nil {
			return err
		}
		what := "These changes are made, and no others: no VM is started or shut down."
		if _, n := g.steps(); n > 0 {
			what = fmt.Sprintf("These changes are made, and the set-up runs in %s, one after the other, which can take hours for Windows. No other VM is started or shut down.", count(n, "guest"))
		}
		if len(g.plan.HAVMs) > 0 {
			what += " At the end the HA manager gets the states that the page wants, and starts and stops its VMs accordingly."
		}
		return a.carryOut(ctx, g, *yes, what, nil)
	}
}

// onAgain adds the flag that names guests to set up once more.
func (a *app) onAgain(set *flag.FlagSet) {
	set.Func("again", "set this workstation up once more, although its set-up has ended; may be given several times", func(name string) error {
		a.again = append(a.again, name)
		return nil
	})
}

// onNodeOff adds the flag that names nodes without power.
func (a *app) onNodeOff(set *flag.FlagSet) {
	set.Func("node-off", "this node of the cluster is switched off, as somebody has seen; may be given several times", func(name string) error {
		a.off = append(a.off, name)
		return nil
	})
}

// carryOut shows a plan, asks for confirmation, and applies the plan.
func (a *app) carryOut(ctx context.Context, g goal, yes bool, what string, opts *install.Options) error {
	if !a.json {
		a.printPlan(g)
	}
	if blocked := connect.Blocked(g.findings()); blocked != nil || g.empty() {
		ended := result(blocked, g.partial())
		if a.json {
			return result(a.show(viewOf(g)), ended)
		}
		return ended
	}
	if !yes {
		if err := a.confirm(what + " Go on?"); err != nil {
			return err
		}
	}
	if opts == nil {
		opts = &install.Options{}
	}
	if err := a.makeAll(ctx, g, opts); err != nil {
		return err
	}
	if a.json {
		return result(a.show(viewOf(g)), g.partial())
	}
	changes, setUps := g.steps()
	a.say("\nDone: %s, %s set up.", count(changes, "change"), count(setUps, "guest"))
	return g.partial()
}

// The function "count" returns a number with a noun, in the plural if need be.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// makeAll makes the changes of a goal. After an error it says how to go on. If
// something was done before the error, the exit code is 1. The other codes,
// such as [connect.Stale], promise that nothing was changed.
func (a *app) makeAll(ctx context.Context, g goal, opts *install.Options) error {
	var begun atomic.Bool
	progress := a.withProgress().Progress
	opts.Progress = func(e workstation.Event) {
		begun.Store(true)
		if progress != nil {
			progress(e)
		}
	}
	err := a.make(ctx, g, opts)
	if err == nil {
		return nil
	}
	err = a.advise(err)
	switch {
	case a.from == "":
		err = fmt.Errorf("%w; the same command goes on where it stopped", err)
	case begun.Load():
		err = fmt.Errorf("%w; what was done stays done: make a new plan with homelab plan -out %s", err, a.from)
	}
	if begun.Load() {
		return &connect.Exit{Status: 1, Err: err}
	}
	return err
}

// withProgress returns options that write progress for people.
func (a *app) withProgress() *install.Options {
	if a.json {
		return &install.Options{}
	}
	fmt.Fprintln(a.out)
	return &install.Options{Progress: a.out.Progress()}
}

// The method "make" makes the changes: first the changes of the cluster, then
// the changes of each node, and high availability last.
func (a *app) make(ctx context.Context, g goal, opts *install.Options) error {
	first, last := g.plan, cluster.Plan{HAVMs: g.plan.HAVMs, HARules: g.plan.HARules}
	first.HAVMs, first.HARules = nil, nil // only VMs that exist can be under high availability
	if err := g.site.apply(ctx, first, opts); err != nil {
		return err
	}
	for i, p := range g.parts {
		if err := a.bring(ctx, p, opts.Progress); err != nil {
			return err
		}
		a.embed(p.plan)
		reports, err := install.Apply(ctx, p.node, p.plan, opts)
		if err != nil {
			return err
		}
		a.report(reports)
		if err := a.makeWay(ctx, g, i); err != nil {
			return err
		}
	}
	return g.site.apply(ctx, last, opts)
}

// apply makes changes of the cluster. A single node has no such changes.
func (s site) apply(ctx context.Context, plan cluster.Plan, opts *install.Options) error {
	if !s.isCluster() {
		return nil
	}
	return s.cluster.Apply(ctx, plan, &workstation.ApplyOptions{Progress: opts.Progress})
}

// makeWay shuts down a guest that was just set up if another member of its set
// will be set up on a later node. Only one member of a set runs at a time. For
// members on the same node, package install does this.
func (a *app) makeWay(ctx context.Context, g goal, part int) error {
	next := map[string]bool{}
	for _, p := range g.parts[part+1:] {
		for _, s := range p.plan.SetUps {
			next[g.source.Page.SetOf(nameOf(g.source.Page, s.VMID))] = true
		}
	}
	for _, s := range g.parts[part].plan.SetUps {
		if set := g.source.Page.SetOf(nameOf(g.source.Page, s.VMID)); set != "" && next[set] {
			a.say("shutting down %s, because another member of %s is set up next", s.Name, set)
			if err := g.parts[part].node.Shutdown(ctx, s.VMID, 3*time.Minute); err != nil {
				return err
			}
		}
	}
	return nil
}

// advise prints the end of the guest's log if a set-up has failed. It gives the
// error its exit code.
func (a *app) advise(err error) error {
	failed, ok := errors.AsType[*install.SetupError](err)
	if !ok {
		return err
	}
	if failed.Log != "" {
		a.say("\nThe end of the guest's log:\n%s", failed.Log)
	}
	return &connect.Exit{Status: 1, Err: err} // the code is 1 even if a blocker ended the set-up, because the VM was already made
}

// The method "report" prints the results of the checks in the guests after their
// set-up.
func (a *app) report(reports []install.Report) {
	if a.json {
		return
	}
	for _, r := range reports {
		a.out.Title(fmt.Sprintf("VM %d is set up", r.VMID))
		if r.RustDesk.ID != "" {
			a.say("  RustDesk: %s", r.RustDesk.ID)
		}
		var findings []proxstation.Finding
		for _, check := range r.Checks {
			a.out.Lines(fmt.Sprintf("  - %s: %s: %s", check.Subject, check.Answer, check.Seen))
			if check.Answer != proxstation.Yes {
				findings = append(findings, check.Finding)
			}
		}
		a.out.Findings(findings)
	}
}

// result returns the first of the two errors that is not nil.
func result(err, then error) error {
	if err != nil {
		return err
	}
	return then
}
