package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
)

// A saved plan holds the page, and the changes that a person has seen. It holds
// no secrets. The program reads the secrets again when it applies the plan.
type saved struct {
	Format  int               `json:"format"`
	Name    string            `json:"name"` // the name of the page's file
	Page    string            `json:"page"`
	Node    string            `json:"node"`
	Changes []changeView      `json:"changes"`
	SetUps  []setUpView       `json:"setUps"`
	Again   []string          `json:"again,omitempty"`
	Digests map[string]string `json:"digests"` // digests of the page's VMs at the time of the plan
}

const savedFormat = 1

func save(name string, g goal, again []string) error {
	v := viewOf(g)
	s := saved{Format: savedFormat, Name: g.source.Name, Page: string(g.source.Bytes()), Node: v.Node, Changes: v.Changes, SetUps: v.SetUps, Again: again, Digests: digests(g)}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}

// digests returns the digests of the page's VMs that exist.
func digests(g goal) map[string]string {
	all := map[string]string{}
	for _, p := range g.parts {
		for _, vm := range p.spec.VMs {
			if have, there := p.facts.VMs[vm.ID]; there {
				all[fmt.Sprint(vm.ID)] = have.Digest
			}
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
		err = errors.New("not a plan that homelab plan -out saved")
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// The method "saved" returns the goal of a saved plan. It returns an error unless
// planning again gives the same plan.
func (a *app) saved(ctx context.Context, name string) (goal, error) {
	s, err := load(name)
	if err != nil {
		return goal{}, err
	}
	source, err := file.Parse(s.Name, []byte(s.Page))
	if err != nil {
		return goal{}, err
	}
	a.again = s.Again
	g, err := a.lookAt(ctx, source)
	if err != nil {
		return g, err
	}
	if v := viewOf(g); v.Node != s.Node || !reflect.DeepEqual(v.Changes, s.Changes) || !reflect.DeepEqual(v.SetUps, s.SetUps) || !reflect.DeepEqual(digests(g), s.Digests) {
		return g, &connect.Exit{Status: connect.Stale, Err: fmt.Errorf("%s: %w: the node or its VMs have changed since the plan was made. Nothing was done; plan again with homelab plan -out %[1]s", name, workstation.ErrStale)}
	}
	return g, nil
}
