package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A reachView lists changes in one guest for remote access: the changes that
// the guest needs, or the changes that were made.
type reachView struct {
	Name    string   `json:"name"`
	VMID    int      `json:"vmid"`
	Changes []string `json:"changes"`
	Error   string   `json:"error"` // why the guest could not be asked or set up; empty if there was no error
	ID      string   `json:"id"`    // RustDesk's ID in the guest, after the set-up
	off     bool     // the VM is off, so its guest cannot be asked
}

// remote sets up RustDesk and the other ways into the guests, over their
// agents.
func (a *app) remote(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	apply := set.Bool("apply", false, "set it up; without this flag the changes are only shown")
	yes := set.Bool("yes", false, "with -apply: do not ask")
	return func(ctx context.Context) error {
		if *yes && !*apply {
			return a.flags.Useless("remote without -apply", "yes")
		}
		source, err := a.read()
		if err != nil {
			return err
		}
		reach, err := a.reach(source)
		if err != nil {
			return err
		}
		s, err := a.open(ctx, source.Page)
		if err != nil {
			return err
		}
		if err := s.locate(ctx, source.Page); err != nil {
			return err
		}
		home := func(r file.Reach) *workstation.Node { _, node, _ := s.vm(r.VMID); return s.on(node) }
		var views []reachView
		for _, r := range reach {
			views = append(views, planned(ctx, home(r), r).explained(source.Page))
		}
		changes := slices.ContainsFunc(views, func(v reachView) bool { return len(v.Changes) > 0 })
		if !*apply || !changes {
			return a.told(views, changes)
		}
		if !a.json {
			a.tell(views)
		}
		if !*yes {
			if err := a.confirm("These changes are made in the guests, which ends connections over RustDesk. Go on?"); err != nil {
				return err
			}
		}
		for i, r := range reach {
			if len(views[i].Changes) > 0 {
				views[i] = a.doReach(ctx, home(r), r, views[i])
			}
		}
		return a.told(views, false)
	}
}

// reach returns the guests that the arguments name. Without arguments it
// returns all guests of the page.
func (a *app) reach(source *file.Source) ([]file.Reach, error) {
	all, err := source.Page.Reach(resolve)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no key remote, which sets up remote access", a.path)
	}
	if len(a.args) == 0 {
		return all, nil
	}
	for _, name := range a.args {
		if !slices.ContainsFunc(all, func(r file.Reach) bool { return r.Workstation == name }) {
			return nil, fmt.Errorf("the page sets up no remote access to %q", name)
		}
	}
	return slices.DeleteFunc(all, func(r file.Reach) bool { return !slices.Contains(a.args, r.Workstation) }), nil
}

// The function "planned" asks a guest for its state and returns the changes that
// it needs.
func planned(ctx context.Context, node *workstation.Node, r file.Reach) reachView {
	v := reachView{Name: r.Workstation, VMID: r.VMID, Changes: []string{}}
	agent := node.Agent(r.VMID)
	if r.RustDesk != nil {
		have, err := rustdesk.ReadConfig(ctx, agent, r.RustDesk.OS)
		switch {
		case err == nil:
			for _, change := range rustdesk.Diff(have, *r.RustDesk.Config) {
				v.Changes = append(v.Changes, "RustDesk: "+change.String())
			}
		case errors.Is(err, workstation.ErrNotRunning) || errors.Is(err, workstation.ErrAgent) || r.RustDesk.Package == (rustdesk.Package{}):
			v.Error, v.off = err.Error(), errors.Is(err, workstation.ErrNotRunning)
			return v
		default:
			v.Changes = append(v.Changes, "RustDesk: "+r.RustDesk.Package.Version.String()+" is installed and set up")
		}
	}
	for _, way := range r.Ways {
		plan, err := way.Plan(ctx, agent)
		if err != nil {
			v.Error, v.off = err.Error(), errors.Is(err, workstation.ErrNotRunning)
			return v
		}
		for _, c := range plan.Changes {
			v.Changes = append(v.Changes, fmt.Sprintf("%s: %s: %s -> %s", plan.Way, c.What, c.From, c.To))
		}
	}
	return v
}

// explained returns the view. If the VM is off, the error of the view says how
// to start the VM.
func (v reachView) explained(page file.Page) reachView {
	if !v.off {
		return v
	}
	start := fmt.Sprintf("qm start %d, on its node", v.VMID)
	if page.SetOf(v.Name) != "" {
		start = "homelab switch " + v.Name
	}
	v.Error = "The VM is off, so its guest cannot be asked. Start it: " + start + "."
	return v
}

// doReach sets up the ways into one guest.
func (a *app) doReach(ctx context.Context, node *workstation.Node, r file.Reach, v reachView) reachView {
	agent := node.Agent(r.VMID)
	if r.RustDesk != nil {
		report, err := rustdesk.SetUp(ctx, agent, *r.RustDesk, func(e rustdesk.Event) { a.say("  %s: %s", r.Workstation, e.Message) })
		if err != nil {
			v.Error = err.Error()
			return v
		}
		v.ID = string(report.ID)
	}
	for _, way := range r.Ways {
		plan, err := way.Plan(ctx, agent)
		if err == nil {
			err = access.Apply(ctx, agent, way, plan)
		}
		if err != nil {
			v.Error = err.Error()
			return v
		}
	}
	v.Changes = []string{}
	a.say("  %s: done", r.Workstation)
	return v
}

// The method "told" prints the changes that are needed or were made. If a guest
// could not be asked, it returns an error. If changes were only shown, it
// returns an error with the code [connect.Changes].
func (a *app) told(views []reachView, changes bool) error {
	failed := slices.ContainsFunc(views, func(v reachView) bool { return v.Error != "" })
	if a.json {
		if err := a.show(views); err != nil {
			return err
		}
	} else {
		a.tell(views)
	}
	switch {
	case failed:
		return errors.New("not every guest could be asked or set up, for the reasons above")
	case changes:
		a.say("\nNothing was changed. homelab remote -apply makes these changes.")
		return &connect.Exit{Status: connect.Changes}
	}
	return nil
}

func (a *app) tell(views []reachView) {
	for _, v := range views {
		a.out.Title(fmt.Sprintf("%s (VM %d)", v.Name, v.VMID))
		switch {
		case v.Error != "":
			a.say("  %s", v.Error)
		case v.ID != "":
			a.say("  RustDesk has the ID %s", v.ID)
		case len(v.Changes) == 0:
			a.say("  nothing to do")
		}
		for _, change := range v.Changes {
			a.out.Lines("  ~ " + change)
		}
	}
}
