package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// A machine is the host to prepare.
type machine struct {
	tree  fs.FS    // files of the machine; nil means the running machine
	files *os.Root // the machine's root directory
	run   iommu.Runner
	clean func() error // removes the temporary files
	out   io.Writer
}

// openMachine opens the machine to prepare: the running machine, a directory
// that is a machine's root, or a described host. It writes a described host to
// a temporary directory first.
func openMachine(root string) (*machine, error) {
	m := &machine{clean: func() error { return nil }}
	m.run = func(ctx context.Context, command []string) error {
		m.say("$ %s", strings.Join(command, " "))
		return iommu.Exec(ctx, command)
	}
	dir := "/"
	if root != "" {
		m.run = func(_ context.Context, command []string) error {
			m.say("$ %s   (shown, not run)", strings.Join(command, " "))
			return nil
		}
		dir = root
	}
	if strings.HasSuffix(root, ".txt") {
		description, err := os.ReadFile(root)
		if err != nil {
			return nil, err
		}
		if dir, err = m.write(description); err != nil {
			return nil, err
		}
	}
	var err error
	if root != "" {
		m.tree, err = hosttree.Open(dir)
	}
	if err == nil {
		m.files, err = os.OpenRoot(dir)
	}
	if err != nil {
		return nil, errors.Join(err, m.clean())
	}
	return m, nil
}

// write writes a described host to a temporary directory and returns its path.
func (m *machine) write(description []byte) (dir string, err error) {
	tree, err := hosttree.Parse(description)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "host-"); err != nil {
		return "", err
	}
	m.clean = func() error { return os.RemoveAll(dir) }
	if err := tree.WriteDir(dir); err != nil {
		return "", errors.Join(err, m.clean())
	}
	return dir, nil
}

func (m *machine) close() error { return errors.Join(m.files.Close(), m.clean()) }

func (m *machine) say(format string, args ...any) { fmt.Fprintf(m.out, format+"\n", args...) }

func (m *machine) facts() (iommu.Facts, error) { return iommu.Read(m.tree) }

// The method "do" shows the plan for a request. With -apply it also carries the
// plan out.
func (m *machine) do(ctx context.Context, r request) error {
	if r.apply && m.tree == nil && os.Geteuid() != 0 {
		return errors.New("only root may change the host: run it with sudo, or as root")
	}
	facts, err := m.facts()
	if err != nil {
		return err
	}
	addresses, err := functions(facts, r.addresses)
	if err != nil {
		return err
	}
	switch {
	case r.keep:
		return m.keep(ctx, facts, addresses, r)
	case r.giveBack:
		if len(addresses) == 0 {
			addresses = facts.Kept()
		}
		plan, err := facts.GiveBack(addresses)
		return m.carryOut(ctx, plan, err, r.apply)
	case r.undo:
		plan, err := iommu.PlanUndo(ctx, m.files)
		if err != nil || !r.apply {
			return m.carryOut(ctx, plan, err, false)
		}
		m.say("%s", plan)
		return m.undo(ctx)
	case r.bind:
		return m.bind(facts, addresses, r)
	}
	return m.release(addresses, r)
}

func (m *machine) keep(ctx context.Context, facts iommu.Facts, addresses []iommu.Address, r request) error {
	m.verdict(facts, addresses)
	plan, err := facts.Prepare(addresses, &iommu.PrepareOptions{Args: r.args, Allow: r.allow})
	if err := m.carryOut(ctx, plan, err, r.apply); err != nil || !r.apply {
		return err
	}
	after, err := m.facts()
	if err != nil {
		return err
	}
	m.restart(facts, after)
	return nil
}

// carryOut shows a plan. With -apply it also makes the changes.
func (m *machine) carryOut(ctx context.Context, plan iommu.HostPlan, err error, apply bool) error {
	if err != nil {
		return m.refused(err)
	}
	if plan.Empty() {
		m.say("Nothing has to change.")
		return nil
	}
	m.say("%s", plan)
	if !apply {
		m.say("Nothing was changed. To carry this out, run the same command with -apply, as root.")
		return nil
	}
	if err := plan.Apply(ctx, m.files, m.run); err != nil {
		return fmt.Errorf("%w. The same command goes on from here; -undo -apply takes the changes back", err)
	}
	m.say("Done. To take the changes back: go run ./examples/host -undo -apply")
	return nil
}

// refused shows the findings that made a plan impossible.
func (m *machine) refused(err error) error {
	refused, ok := errors.AsType[*iommu.RefusedError](err)
	if !ok {
		return err
	}
	for _, finding := range refused.Findings {
		m.say("%s\n", finding)
	}
	return fmt.Errorf("%w for the reasons above; nothing was changed", iommu.ErrRefused)
}

func (m *machine) undo(ctx context.Context) error {
	if err := iommu.Undo(ctx, m.files, m.run); err != nil {
		return err
	}
	m.say("Every file is as it was before. This takes effect when the host restarts.")
	return nil
}

// functions returns the PCI functions that the names select. The name of a
// function of a graphics card selects all functions of the card. The name of a
// slot selects all functions in the slot.
func functions(facts iommu.Facts, names []string) ([]iommu.Address, error) {
	var addresses []iommu.Address
	add := func(found ...iommu.Function) {
		for _, fn := range found {
			if !slices.Contains(addresses, fn.Address) {
				addresses = append(addresses, fn.Address)
			}
		}
	}
	for _, name := range names {
		a, err := iommu.ParseAddress(name)
		whole := err != nil
		if whole {
			if a, err = iommu.ParseSlot(name); err != nil {
				return nil, err
			}
		}
		fn, ok := facts.Function(a)
		if !ok && len(facts.Slot(a)) == 0 {
			return nil, fmt.Errorf("%s: %w; go run ./examples/inventory shows the cards", name, iommu.ErrNoDevice)
		}
		card, ok := gpu.CardAt(facts.Functions, a)
		switch own := card.Own(); {
		case fn.VirtualOf == nil && whole:
			add(facts.Slot(a)...)
		case ok && slices.Contains(own, a): // excludes functions in the slot that do not belong to the card
			for _, other := range own {
				fn, _ := facts.Function(other)
				add(fn)
			}
		default:
			add(fn)
		}
	}
	return addresses, nil
}
