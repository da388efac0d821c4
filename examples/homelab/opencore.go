package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// copies returns the copies of OpenCore images that the page requires. It reads
// the images and the kernel extensions, and writes nothing. Its errors name the
// place on the page.
func (a *app) copies(source *file.Source, facts workstation.Facts) ([]loader.Copy, error) {
	loaders, err := source.Loaders(facts, resolve)
	if err != nil {
		return nil, err
	}
	var all []loader.Copy
	var mistakes []error
	for _, l := range loaders {
		made, err := a.copyOf(source, l, facts)
		mistakes = append(mistakes, err)
		all = append(all, made)
	}
	return all, errors.Join(mistakes...)
}

// copyOf returns the planned copy for one boot loader.
func (a *app) copyOf(source *file.Source, l file.Loader, facts workstation.Facts) (loader.Copy, error) {
	s := l.Source
	s.Image, s.Kexts = atHome(s.Image), slices.Clone(s.Kexts)
	for i, name := range s.Kexts {
		s.Kexts[i] = atHome(name)
	}
	if a.sims != nil && hasStandIn(s.Identity) {
		s.Identity, s.MadeUp = opencore.Identity{}, true
	}
	made, err := s.Plan(l.Mac, facts)
	if wrong, ok := errors.AsType[*loader.SourceError](err); ok {
		err = fmt.Errorf("%s: %w", source.Where("workstations."+l.Workstation+".opencore."+wrong.Field), err)
	}
	return made, err
}

// copiesOn holds the planned copies of OpenCore images for the nodes of a
// cluster.
type copiesOn struct {
	made map[string][]loader.Copy // by the name of the node
	// mistakes holds the errors about files and numbers of the page, which are
	// the same on each node.
	mistakes []error
}

// copier returns a function that plans a copy for a node. The function stores
// each planned copy in keep.
func (a *app) copier(source *file.Source, keep *copiesOn) file.Copier {
	return func(l file.Loader, node workstation.Facts) (loader.Copy, error) {
		made, err := a.copyOf(source, l, node)
		if wrong, ok := errors.AsType[*loader.SourceError](err); ok && wrong.Field != "storage" && !slices.ContainsFunc(keep.mistakes, func(other error) bool { return other.Error() == err.Error() }) {
			keep.mistakes = append(keep.mistakes, err)
		}
		if err == nil && a.sims != nil && made.Volume != "" {
			made.To, err = a.passing(made.To)
		}
		if err == nil {
			keep.made[node.Node] = append(keep.made[node.Node], made)
		}
		return made, err
	}
}

// passing returns a path for a planned copy in a new temporary directory. The
// directory is removed when the program ends, because the embedded nodes are
// gone then.
func (a *app) passing(name string) (string, error) {
	dir, err := os.MkdirTemp("", "homelab")
	if err != nil {
		return "", err
	}
	stop := a.close
	a.close = func() {
		stop()
		_ = os.RemoveAll(dir)
	}
	return filepath.Join(dir, filepath.Base(name)), nil
}

// The method "on" returns the copies of the given VMs for a node.
func (c copiesOn) on(node string, vms map[int]bool) []loader.Copy {
	return slices.DeleteFunc(slices.Clone(c.made[node]), func(made loader.Copy) bool { return !vms[made.VMID()] })
}

// hasStandIn reports whether a stand-in replaces one of the numbers of a Mac's
// identity.
func hasStandIn(i opencore.Identity) bool {
	return slices.ContainsFunc([]proxstation.Secret{i.Serial, i.Board, i.UUID, i.ROM}, func(s proxstation.Secret) bool { return s.Reveal() == standInSecret })
}

// bring writes the copies and uploads them. For the embedded node, it writes
// them to a temporary directory, because this node is gone when the program
// ends.
func (a *app) bring(ctx context.Context, p part, progress func(workstation.Event)) error {
	if p.brought {
		return nil
	}
	for _, c := range p.copies {
		if a.sims != nil {
			var err error
			if c.To, err = a.passing(c.To); err != nil {
				return err
			}
		}
		if err := c.Bring(ctx, p.node, progress); err != nil {
			return err
		}
	}
	return nil
}

// atHome returns a path in which the user's home directory replaces ~/.
func atHome(name string) string {
	if rest, home := strings.CutPrefix(name, "~/"); home {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, rest)
		}
	}
	return name
}
