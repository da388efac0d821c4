package main

import (
	"context"
	"flag"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
)

// check reports whether the node can be brought to the state that the page
// describes.
func (a *app) check(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	return func(ctx context.Context) error {
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		if a.json {
			if err := a.show(viewOf(g)); err != nil {
				return err
			}
			return result(connect.Blocked(g.findings()), g.partial())
		}
		a.say("%s is valid: %d workstations, %d cards. %s can be reached, and the secrets that are needed are there.", a.path, len(g.source.Page.Workstations), len(g.source.Page.Cards), g.site)
		a.out.Findings(g.findings())
		if blocked := connect.Blocked(g.findings()); blocked != nil {
			a.out.ToDo(g.findings())
			return blocked
		}
		if err := g.partial(); err != nil {
			return err
		}
		what := "node"
		if g.site.isCluster() {
			what = "cluster"
		}
		a.say("\nThe %s can have what the page says: homelab plan shows what would change.", what)
		return nil
	}
}

// plan shows the changes that apply would make.
func (a *app) plan(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	a.onAgain(set)
	a.onNodeOff(set)
	out := set.String("out", "", "save the plan in this file, for homelab apply FILE")
	return func(ctx context.Context) error {
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		if *out != "" {
			if err := save(*out, g, a.again); err != nil {
				return err
			}
		}
		if a.json {
			err = a.show(viewOf(g))
		} else {
			a.printPlan(g)
		}
		switch blocked := connect.Blocked(g.findings()); {
		case err != nil:
			return err
		case blocked != nil:
			return blocked
		case g.empty():
			return g.partial()
		}
		if *out != "" {
			a.say("\nNothing was changed. homelab apply %s carries out this plan.", *out)
		} else {
			a.say("\nNothing was changed. homelab apply carries out this plan.")
		}
		return result(g.partial(), &connect.Exit{Status: connect.Changes})
	}
}

// A planView is a plan in the form that other programs read. Before a saved
// plan is applied, it is compared with the planView of a new plan.
type planView struct {
	Node     string                `json:"node"`  // name of the node; empty if the page is about several nodes
	Nodes    []string              `json:"nodes"` // the nodes that have workstations of the page
	Empty    bool                  `json:"empty"`
	Blocked  bool                  `json:"blocked"`
	Changes  []changeView          `json:"changes"`
	SetUps   []setUpView           `json:"setUps"` // guests that the plan sets up
	Copies   []copyView            `json:"copies"` // images that are written and uploaded first
	Findings []proxstation.Finding `json:"findings"`
	// Unplanned holds the workstations for which nothing is planned, because a
	// node could not be read.
	Unplanned []string `json:"unplanned"`
}

type copyView struct {
	Node    string   `json:"node"`
	VMID    int      `json:"vmid"`
	Image   string   `json:"image"`
	File    string   `json:"file"`    // the copy on this machine
	Volume  string   `json:"volume"`  // the copy on the node
	Changes []string `json:"changes"` // changes of the image
}

type setUpView struct {
	Node  string     `json:"node"`
	VMID  int        `json:"vmid"`
	Name  string     `json:"name"`
	Seed  string     `json:"seed"` // the CD with the answers, which is removed after the set-up
	Later []lineView `json:"later"`
	Needs []string   `json:"needs"`
}

type changeView struct {
	Node       string     `json:"node"` // name of the node; empty for a change of the cluster, such as a mapping
	Sign       string     `json:"sign"` // +, ~ or -
	Object     string     `json:"object"`
	Lines      []lineView `json:"lines"`
	Needs      []string   `json:"needs"`      // privileges that the login needs
	RootTicket []string   `json:"rootTicket"` // keys that only root@pam with a password may set
}

type lineView struct {
	Sign string `json:"sign"`
	Key  string `json:"key"`
	Have string `json:"have"`
	Want string `json:"want"`
	Note string `json:"note"`
}

func viewOf(g goal) planView {
	findings := append([]proxstation.Finding{}, g.findings()...)
	v := planView{Nodes: []string{}, Copies: []copyView{}, Empty: g.empty(), Blocked: proxstation.Worst(findings) == proxstation.Blocker, Changes: []changeView{}, SetUps: []setUpView{}, Findings: findings, Unplanned: append([]string{}, g.unplanned...)}
	v.changes("", g.plan.Changes())
	for _, p := range g.parts {
		node := p.plan.First.Node
		v.Nodes = append(v.Nodes, node)
		v.changes(node, p.plan.First.Changes())
		for _, c := range p.copies {
			if c.Volume != "" {
				v.Copies = append(v.Copies, copyView{Node: node, VMID: c.VMID(), Image: c.From, File: c.To, Volume: c.Volume, Changes: append([]string{}, c.Plan.Lines()...)})
			}
		}
		for _, s := range p.plan.SetUps {
			v.SetUps = append(v.SetUps, setUpView{Node: node, VMID: s.VMID, Name: s.Name, Seed: s.Seed, Later: lines(s.Later), Needs: privileges(s.Needs)})
		}
	}
	if len(v.Nodes) == 1 {
		v.Node = v.Nodes[0]
	}
	return v
}

// The method "changes" adds the changes of a node to the view.
func (v *planView) changes(node string, all []workstation.StepChange) {
	for _, c := range all {
		v.Changes = append(v.Changes, changeView{Node: node, Sign: string(c.Sign), Object: c.Object, Lines: lines(c.Lines), Needs: privileges(c.Needs), RootTicket: append([]string{}, c.RootTicket...)})
	}
}

func lines(all []workstation.StepLine) []lineView {
	views := []lineView{}
	for _, l := range all {
		views = append(views, lineView{string(l.Sign), l.Key, l.Have, l.Want, l.Note})
	}
	return views
}

func privileges(all []workstation.Privilege) []string {
	names := []string{}
	for _, p := range all {
		names = append(names, p.String())
	}
	return names
}

// export prints the page as a Spec, in JSON.
func (a *app) export(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.connects(set)
	return func(ctx context.Context) error {
		a.json = true
		g, err := a.look(ctx)
		if err != nil {
			return err
		}
		if !g.site.isCluster() {
			return a.show(g.parts[0].spec)
		}
		specs := map[string]workstation.Spec{}
		for _, p := range g.parts {
			specs[p.facts.Node] = p.spec
		}
		return result(a.show(specs), g.partial())
	}
}
