package workstation

import (
	"context"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/gpu"
)

// PutMapping is the step that makes a PCI resource mapping, or corrects its
// entry for this node.
type PutMapping struct {
	Mapping gpu.Mapping
	Node    string
	Have    string // the node's present entry; empty if there is no entry
	Note    string
	New     bool
	// HaveMDev says whether the mapping was for mediated devices before.
	HaveMDev bool
}

func (s PutMapping) change() StepChange {
	c := StepChange{Sign: SignModify, Object: "mapping " + s.Mapping.ID,
		Lines: []StepLine{{Sign: SignModify, Key: s.Node, Have: s.Have, Want: entryText(s.Mapping.On(s.Node)), Note: s.Note}},
		Needs: []Privilege{{"/mapping/pci/" + s.Mapping.ID, "Mapping.Modify"}}}
	if s.New {
		c.Sign, c.Needs[0].Path = SignAdd, "/mapping/pci"
	}
	if s.Have == "" {
		c.Lines[0].Sign = SignAdd
	}
	if s.Mapping.MDev != s.HaveMDev {
		c.Lines = append(c.Lines, StepLine{Sign: SignModify, Key: "mdev", Have: mdevText(s.HaveMDev), Want: mdevText(s.Mapping.MDev)})
	}
	return c
}

func mdevText(mdev bool) string {
	if mdev {
		return "1"
	}
	return "0"
}

func (s PutMapping) apply(ctx context.Context, a *applier) error {
	done, err := s.done(ctx, a)
	if done || err != nil {
		return err
	}
	a.say(0, "writing mapping %s", s.Mapping.ID)
	if s.New {
		err = a.pve.CreateMapping(ctx, s.Mapping)
	} else {
		err = a.pve.UpdateMapping(ctx, s.Mapping)
	}
	switch {
	case errors.Is(err, ErrStale):
		return fmt.Errorf("workstation: the mappings changed since the plan was made: observe and plan again: %w", err)
	case err != nil && !uncertain(err) && !errors.Is(err, ErrExists):
		return err
	}
	done, lookErr := s.done(ctx, a)
	if lookErr != nil || done {
		return lookErr
	}
	return errors.Join(err, fmt.Errorf("workstation: mapping %s is not as it was written", s.Mapping.ID))
}

// done reports whether the mapping has the entry.
func (s PutMapping) done(ctx context.Context, a *applier) (bool, error) {
	mappings, err := a.pve.Mappings(ctx)
	if err != nil {
		return false, err
	}
	for _, m := range mappings {
		if m.ID == s.Mapping.ID {
			return entryText(m.On(s.Node)) == entryText(s.Mapping.On(s.Node)) && m.MDev == s.Mapping.MDev, nil
		}
	}
	return false, nil
}
