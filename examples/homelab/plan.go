package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
)

// check says whether the page can be had.
func (a *app) check(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	return func(ctx context.Context) error {
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		if a.json {
			if err := a.show(viewOf(g.plan)); err != nil {
				return err
			}
			return connect.Blocked(g.plan.Findings)
		}
		a.say("%s is valid: %d workstations, %d cards. Node %s can be reached, and all secrets are there.", a.path, len(g.source.Page.Workstations), len(g.source.Page.Cards), g.facts.Node)
		a.out.Findings(g.plan.Findings)
		if blocked := connect.Blocked(g.plan.Findings); blocked != nil {
			a.out.ToDo(g.plan.Findings)
			return blocked
		}
		a.say("\nThe node can have what the page says: homelab plan shows what would change.")
		return nil
	}
}

// plan shows what would change.
func (a *app) plan(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	out := set.String("out", "", "save the plan in this file, for homelab apply FILE")
	return func(ctx context.Context) error {
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		if *out != "" {
			if err := save(*out, g); err != nil {
				return err
			}
		}
		if a.json {
			err = a.show(viewOf(g.plan))
		} else {
			a.out.Plan(g.plan)
		}
		switch blocked := connect.Blocked(g.plan.Findings); {
		case err != nil:
			return err
		case blocked != nil:
			return blocked
		case g.plan.Empty():
			return nil
		}
		if *out != "" {
			a.say("\nNothing was changed. homelab apply %s carries out this plan.", *out)
		} else {
			a.say("\nNothing was changed. homelab apply carries out this plan.")
		}
		return &connect.Exit{Status: connect.Changes}
	}
}

// A planView is a plan for programs, and what a saved plan is compared by.
type planView struct {
	Node     string                `json:"node"`
	Empty    bool                  `json:"empty"`
	Blocked  bool                  `json:"blocked"`
	Changes  []changeView          `json:"changes"`
	Findings []proxstation.Finding `json:"findings"`
}

type changeView struct {
	Sign       string     `json:"sign"` // +, ~ or -
	Object     string     `json:"object"`
	Lines      []lineView `json:"lines"`
	Needs      []string   `json:"needs"`      // privileges
	RootTicket []string   `json:"rootTicket"` // keys that only root@pam with a password may set
}

type lineView struct {
	Sign string `json:"sign"`
	Key  string `json:"key"`
	Have string `json:"have"`
	Want string `json:"want"`
	Note string `json:"note"`
}

func viewOf(p workstation.Plan) planView {
	v := planView{Node: p.Node, Empty: p.Empty(), Blocked: proxstation.Worst(p.Findings) == proxstation.Blocker, Changes: []changeView{}, Findings: append([]proxstation.Finding{}, p.Findings...)}
	for _, c := range p.Changes() {
		change := changeView{Sign: string(c.Sign), Object: c.Object, Lines: []lineView{}, Needs: []string{}, RootTicket: append([]string{}, c.RootTicket...)}
		for _, l := range c.Lines {
			change.Lines = append(change.Lines, lineView{string(l.Sign), l.Key, l.Have, l.Want, l.Note})
		}
		for _, need := range c.Needs {
			change.Needs = append(change.Needs, need.String())
		}
		v.Changes = append(v.Changes, change)
	}
	return v
}

// A saved plan is the page, and what a person has seen of its plan. It holds no
// secret: they are resolved again.
type saved struct {
	Format  int               `json:"format"`
	Name    string            `json:"name"` // of the page's file
	Page    string            `json:"page"`
	Node    string            `json:"node"`
	Changes []changeView      `json:"changes"`
	Digests map[string]string `json:"digests"` // of the VMs that it changes, when it was made
}

const savedFormat = 1

func save(name string, g goal) error {
	s := saved{Format: savedFormat, Name: g.source.Name, Page: string(g.source.Bytes()), Node: g.plan.Node, Changes: viewOf(g.plan).Changes, Digests: digests(g)}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}

// digests returns the digests of the page's VMs that exist.
func digests(g goal) map[string]string {
	all := map[string]string{}
	for _, vm := range g.spec.VMs {
		if have, there := g.facts.VMs[vm.ID]; there {
			all[fmt.Sprint(vm.ID)] = have.Digest
		}
	}
	return all
}

// load reads a saved plan.
func load(name string) (saved, error) {
	var s saved
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && s.Format != savedFormat {
		err = errors.New("want a plan that homelab plan -out has saved")
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// saved returns the goal of a saved plan if its plan is still the same.
func (a *app) saved(ctx context.Context, name string) (goal, error) {
	s, err := load(name)
	if err != nil {
		return goal{}, err
	}
	source, err := file.Parse(s.Name, []byte(s.Page))
	if err != nil {
		return goal{}, err
	}
	g, err := a.lookAt(ctx, source)
	if err != nil {
		return g, err
	}
	if g.plan.Node != s.Node || !reflect.DeepEqual(viewOf(g.plan).Changes, s.Changes) || !reflect.DeepEqual(digests(g), s.Digests) {
		return g, &connect.Exit{Status: connect.Stale, Err: fmt.Errorf("%s: %w: the node or its VMs are not as they were when it was made, and nothing was changed; plan again with homelab plan -out %[1]s", name, workstation.ErrStale)}
	}
	return g, nil
}

// export prints the page as a Spec.
func (a *app) export(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.flags = connect.Register(set)
	return func(ctx context.Context) error {
		a.json = true
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		return a.show(g.spec)
	}
}
