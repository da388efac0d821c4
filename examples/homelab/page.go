package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/loader"
)

// onPage adds the flag that names the page.
func (a *app) onPage(set *flag.FlagSet) {
	set.StringVar(&a.path, "f", "homelab.yaml", "the page")
}

// onNode adds the flags of commands that connect to a node and can print JSON.
func (a *app) onNode(set *flag.FlagSet) {
	a.connects(set)
	a.asJSON(set)
}

// connects adds the flags of commands that connect to a node.
func (a *app) connects(set *flag.FlagSet) {
	a.flags = connect.Register(set)
	set.IntVar(&a.nodes, "embedded-nodes", 1, "without PROXMOX_VE_ENDPOINT: nodes of the embedded cluster")
}

func (a *app) asJSON(set *flag.FlagSet) {
	set.BoolVar(&a.json, "json", false, "print JSON, for programs")
}

// show prints a value as JSON.
func (a *app) show(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// say prints a text for people. With -json it prints nothing.
func (a *app) say(format string, args ...any) {
	if !a.json {
		a.out.Say(format, args...)
	}
}

// read reads the page.
func (a *app) read() (*file.Source, error) {
	text, err := os.ReadFile(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no page %s: homelab init writes a page for your node, examples/homelab/homelab.yaml is a page to copy, and -f names another file", a.path)
	}
	if err != nil {
		return nil, err
	}
	return file.Parse(a.path, text)
}

// A goal is the content of the page together with the observed nodes.
type goal struct {
	source *file.Source
	site   site
	parts  []part       // one part for each node that has workstations of the page
	plan   cluster.Plan // in a cluster: the nodes of the workstations, their mappings, and high availability
	// unplanned holds the workstations for which nothing is planned, because a
	// node could not be read. The findings in plan say why.
	unplanned []string
}

// partial returns an error if the goal leaves out a workstation of the page.
func (g goal) partial() error {
	if len(g.unplanned) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was planned for %s, for the reasons above", strings.Join(g.unplanned, ", "))
}

// A part is the share of a goal that belongs to one node.
type part struct {
	node   *workstation.Node
	facts  workstation.Facts
	spec   workstation.Spec
	copies []loader.Copy // configured copies of OpenCore images
	plan   install.Plan
	// brought reports whether the plan of the cluster brings the copies.
	brought bool
}

// look reads the page, observes the nodes and makes the plan.
func (a *app) look(ctx context.Context) (goal, error) {
	source, err := a.read()
	if err != nil {
		return goal{}, err
	}
	return a.lookAt(ctx, source)
}

// lookAt does the same as look, for a page that was already read.
func (a *app) lookAt(ctx context.Context, source *file.Source) (goal, error) {
	g := goal{source: source}
	var err error
	if g.site, err = a.observe(ctx, source.Page); err != nil {
		return g, err
	}
	if err := cmp.Or(g.site.unknown(source), g.site.noHA(source), g.site.notOff(a.off)); err != nil {
		return g, err
	}
	if g.site.isCluster() {
		err = a.spread(&g)
	} else {
		err = a.alone(&g)
	}
	if err == nil {
		err = g.turns(ctx)
	}
	if err == nil {
		err = g.highAvailability(ctx)
	}
	return g, g.explain(err)
}

// The method "turns" adds findings about guests that may not be set up now. A
// guest must not be set up while another VM of its set runs on any node.
func (g goal) turns(ctx context.Context) error {
	var before []int // guests on earlier nodes, which are shut down first
	for i := range g.parts {
		p := &g.parts[i]
		findings, err := p.plan.Turns(ctx, p.node, before...)
		if err != nil {
			return err
		}
		p.plan.First.Findings = append(p.plan.First.Findings, findings...)
		for _, s := range p.plan.SetUps {
			before = append(before, s.VMID)
		}
	}
	return nil
}

// alone makes the plan for a page about a single node.
func (a *app) alone(g *goal) (err error) {
	p := part{node: g.site.node, facts: g.site.facts}
	if p.copies, err = a.copies(g.source, p.facts); err != nil {
		return err
	}
	if p.spec, err = g.source.Spec(p.facts, resolve, p.copies...); err != nil {
		return err
	}
	guests, err := g.source.Guests(p.facts, resolve, a.again...)
	if err != nil {
		return err
	}
	facts := p.facts
	for _, c := range p.copies {
		facts = c.With(facts)
	}
	p.plan, err = install.Diff(p.spec, guests, facts)
	for _, c := range p.copies {
		p.plan.First.Findings = append(p.plan.First.Findings, c.Kept...)
	}
	g.parts = []part{p}
	return err
}

// findings returns the findings of all nodes.
func (g goal) findings() []proxstation.Finding {
	all := slices.Clone(g.plan.Findings)
	for _, p := range g.parts {
		all = append(all, p.plan.First.Findings...)
	}
	return all
}

// empty reports whether there is nothing to do.
func (g goal) empty() bool {
	return g.plan.Empty() && !slices.ContainsFunc(g.parts, func(p part) bool { return !p.plan.Empty() })
}

// steps returns the number of changes, and the number of guests that are set
// up.
func (g goal) steps() (changes, setUps int) {
	changes = len(g.plan.Changes())
	for _, p := range g.parts {
		changes, setUps = changes+len(p.plan.First.Steps), setUps+len(p.plan.SetUps)
	}
	return changes, setUps
}

// printPlan writes the plan for people.
func (a *app) printPlan(g goal) {
	judged := len(g.plan.Placements)+len(g.plan.Findings) > 0 || len(g.parts) == 0 // true even if no workstation could be placed
	if judged {
		a.out.Lines(g.plan.String())
	}
	for i, p := range g.parts {
		if i > 0 || judged {
			fmt.Fprintln(a.out)
		}
		a.out.Install(p.plan, p.copies...)
	}
}

// If an error is about a VM or a field of a VM, explain adds the place on the
// page that describes the VM or the field.
func (g goal) explain(err error) error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range many.Unwrap() {
			all = append(all, g.explain(one))
		}
		return errors.Join(all...)
	}
	vmid, field := 0, ""
	if invalid, ok := errors.AsType[*workstation.InvalidError](err); ok {
		vmid, field = invalid.VMID, invalid.Field
	}
	if guest, ok := errors.AsType[*install.GuestError](err); ok {
		vmid = guest.VMID
	}
	for name, w := range g.source.Page.Workstations {
		if vmid != 0 && w.VMID() == vmid {
			return fmt.Errorf("%s: %w", g.source.Where("workstations."+name+"."+field), err)
		}
	}
	return err
}

// standInSecret replaces a secret that is not set. It has the length of the key
// of a Mac.
var standInSecret = strings.Repeat("x", 64)

// resolve reads a secret from the environment or a file. On the embedded node,
// a stand-in replaces a secret that is not set.
func resolve(r file.Reference) (proxstation.Secret, error) {
	text, err := lookUp(r)
	if (err != nil || text == "") && !connect.Configured() {
		text, err = standInSecret, nil
		if strings.HasSuffix(string(r), ".pub") {
			text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl stand-in"
		}
	}
	return proxstation.NewSecret(text), err
}

func lookUp(r file.Reference) (string, error) {
	kind, name := r.Cut()
	if kind == "env" {
		text, set := os.LookupEnv(name)
		if !set {
			return "", fmt.Errorf("the variable is not set: export %s", name)
		}
		return text, nil
	}
	text, err := os.ReadFile(atHome(name))
	return strings.TrimRight(string(text), "\r\n"), err
}
