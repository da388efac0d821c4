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
		s := l.Source
		s.Image = atHome(s.Image)
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
		mistakes = append(mistakes, err)
		all = append(all, made)
	}
	return all, errors.Join(mistakes...)
}

// hasStandIn reports whether a number of an identity is not set.
func hasStandIn(i opencore.Identity) bool {
	return slices.ContainsFunc([]proxstation.Secret{i.Serial, i.Board, i.UUID, i.ROM}, func(s proxstation.Secret) bool { return s.Reveal() == standInSecret })
}

// bring writes the copies and uploads them. For the embedded node, it writes
// them to a temporary directory, because this node is gone when the program
// ends.
func (a *app) bring(ctx context.Context, p part, progress func(workstation.Event)) error {
	for _, c := range p.copies {
		if a.sims != nil {
			dir, err := os.MkdirTemp("", "homelab")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(dir) }()
			c.To = filepath.Join(dir, filepath.Base(c.To))
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
