package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
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
	a.flags = connect.Register(set)
	a.asJSON(set)
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
		return nil, fmt.Errorf("there is no page %s: homelab init writes one for your node, examples/homelab/homelab.yaml is one to copy, and -f names another", a.path)
	}
	if err != nil {
		return nil, err
	}
	return file.Parse(a.path, text)
}

// open connects to the node that the environment names. Without such a node it
// starts an embedded node.
func (a *app) open(ctx context.Context, page file.Page) (*workstation.Node, error) {
	if connect.Configured() {
		if a.flags.Node == "" {
			a.flags.Node = page.Node
		}
		a.flags.Tiers = page.Tiers()
		return a.flags.Open(ctx)
	}
	a.say("PROXMOX_VE_ENDPOINT is not set: this is a node embedded in the program, without VMs at the start and gone at the end. Secrets that are not set have stand-ins.\n\n")
	node, sim, err := connect.EmbeddedAsRoot(ctx, 20)
	if err != nil {
		return nil, err
	}
	a.sim, a.close = sim, sim.Close
	return node, nil
}

// A goal is the content of the page together with the observed node.
type goal struct {
	source *file.Source
	node   *workstation.Node
	facts  workstation.Facts
	spec   workstation.Spec
	copies []loader.Copy // configured copies of OpenCore images
	plan   install.Plan
}

// look reads the page, observes the node and makes the plan.
func (a *app) look(ctx context.Context) (goal, error) {
	source, err := a.read()
	if err != nil {
		return goal{}, err
	}
	return a.lookAt(ctx, source)
}

// lookAt does what look does, for a page that was read already.
func (a *app) lookAt(ctx context.Context, source *file.Source) (goal, error) {
	g := goal{source: source}
	var err error
	if g.node, err = a.open(ctx, source.Page); err != nil {
		return g, err
	}
	if g.facts, err = g.node.Observe(ctx); err != nil {
		return g, err
	}
	if g.copies, err = a.copies(source, g.facts); err != nil {
		return g, err
	}
	if g.spec, err = source.Spec(g.facts, resolve, g.copies...); err != nil {
		return g, err
	}
	guests, err := source.Guests(g.facts, resolve, a.again...)
	if err != nil {
		return g, err
	}
	facts := g.facts
	for _, c := range g.copies {
		facts = c.With(facts)
	}
	g.plan, err = install.Diff(g.spec, guests, facts)
	for _, c := range g.copies {
		g.plan.First.Findings = append(g.plan.First.Findings, c.Kept...)
	}
	return g, g.explain(err)
}

// explain adds to errors about a VM or its field the place on the page that
// describes it.
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

// standInSecret is as long as the key of a Mac.
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
