package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// host reserves cards of this machine for guests, as the page says.
func (a *app) host(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.asJSON(set)
	yes := set.Bool("yes", false, "with apply and undo: do not ask")
	root := set.String("root", "", "a directory with the files of another machine, in place of this machine; commands are shown and not run")
	return func(ctx context.Context) error {
		deed := "plan"
		if len(a.args) > 0 {
			deed = a.args[0]
		}
		if deed == "plan" && *yes {
			return errors.New("-yes has no effect on host plan: leave it out")
		}
		if deed != "plan" && a.json {
			return fmt.Errorf("-json has no effect on host %s: leave it out", deed)
		}
		m := machine{app: a, dir: "/"}
		if *root != "" {
			tree, err := hosttree.Open(*root)
			if err != nil {
				return err
			}
			m.dir, m.tree = *root, tree
		} else if deed != "plan" && os.Geteuid() != 0 {
			return errors.New("only root may change the host: call it as root, on the host itself")
		}
		files, err := os.OpenRoot(m.dir)
		if err != nil {
			return err
		}
		defer files.Close()
		m.files = files
		switch deed {
		case "plan":
			return m.plan()
		case "apply":
			return m.apply(ctx, *yes)
		case "undo":
			return m.undo(ctx, *yes)
		}
		return fmt.Errorf("%q: want host plan, host apply or host undo", deed)
	}
}

// A machine is the host that the program runs on, or a captured host.
type machine struct {
	app   *app
	dir   string
	tree  fs.FS // files of a captured host; nil means this machine
	files *os.Root
}

// look returns the plan for the changes that the page wants on the machine. It
// prints the findings that block the plan.
func (m machine) look() (iommu.HostPlan, error) {
	source, err := m.app.read()
	if err != nil {
		return iommu.HostPlan{}, err
	}
	facts, err := iommu.Read(m.tree)
	if err != nil {
		return iommu.HostPlan{}, err
	}
	plan, err := source.Page.HostPlan(facts)
	if refused, ok := errors.AsType[*iommu.RefusedError](err); ok {
		if m.app.json {
			return plan, result(m.app.show(refused.Findings), &connect.Exit{Status: connect.Block})
		}
		m.app.out.Findings(refused.Findings)
		m.app.out.ToDo(refused.Findings)
		return plan, &connect.Exit{Status: connect.Block}
	}
	return plan, err
}

func (m machine) plan() error {
	plan, err := m.look()
	switch {
	case err != nil:
		return err
	case m.app.json:
		err = m.app.show(plan)
	case plan.Empty():
		return m.nothing()
	default:
		fmt.Fprint(m.app.out, plan)
		m.app.say("\nNothing was changed. homelab host apply carries out this plan, as root.")
	}
	if err == nil && !plan.Empty() {
		return &connect.Exit{Status: connect.Changes}
	}
	return err
}

// nothing says that the host needs no change. If the page keeps no card, it
// also says how to keep cards.
func (m machine) nothing() error {
	source, err := m.app.read()
	if err != nil {
		return err
	}
	const nothing = "Nothing has to change on this host."
	cards := slices.Sorted(maps.Keys(source.Page.Cards))
	switch {
	case source.Page.Host != nil && len(source.Page.Host.Keep) > 0:
		m.app.say(nothing)
	case len(cards) == 0:
		m.app.say("%s The page keeps no card for guests: it has no host: keep:, and no cards: either. homelab init writes a page with the cards of the node.", nothing)
	default:
		m.app.say("%s The page keeps no card for guests, because it has no host: keep:. To keep cards, the page needs these lines, with only the cards that guests get:", nothing)
		fmt.Fprintf(m.app.out, "\nhost:\n  keep: [%s]\n", strings.Join(cards, ", "))
	}
	return nil
}

func (m machine) apply(ctx context.Context, yes bool) error {
	plan, err := m.look()
	if err != nil {
		return err
	}
	if plan.Empty() {
		return m.nothing()
	}
	fmt.Fprint(m.app.out, plan)
	if !yes {
		if err := m.app.confirm("These files are changed and these commands are run, and nothing else. Go on?"); err != nil {
			return err
		}
	}
	if err := plan.Apply(ctx, m.files, m.run); err != nil {
		return fmt.Errorf("%w; the same command goes on from here, and homelab host undo takes the changes back", err)
	}
	m.app.say("Done. The changes take effect when the host restarts. homelab host undo takes them back, byte for byte.")
	return nil
}

func (m machine) undo(ctx context.Context, yes bool) error {
	plan, err := iommu.PlanUndo(ctx, m.files)
	if err != nil {
		return err
	}
	fmt.Fprint(m.app.out, plan)
	if !yes {
		if err := m.app.confirm("This takes back the changes of the last apply. Go on?"); err != nil {
			return err
		}
	}
	if err := iommu.Undo(ctx, m.files, m.run); err != nil {
		return err
	}
	m.app.say("Every file is as it was before. This takes effect when the host restarts.")
	return nil
}

// run runs a command on this machine. For a captured machine it only prints the
// command.
func (m machine) run(ctx context.Context, command []string) error {
	if m.tree != nil {
		m.app.say("$ %s   (shown, not run)", strings.Join(command, " "))
		return nil
	}
	m.app.say("$ %s", strings.Join(command, " "))
	return iommu.Exec(ctx, command)
}
