package workstation_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// These are the privileges that are needed to observe everything.
var looks = []string{"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}

// asOps returns the host's node for a token that has the given privileges and
// may also observe everything.
func asOps(t *testing.T, host pvetest.Host, needs []workstation.Privilege) (*workstation.Node, *pvetest.Node) {
	t.Helper()
	privileges := map[string][]string{"/": slices.Clone(looks)}
	for _, p := range needs {
		name, _, _ := strings.Cut(p.Name, "|")
		if len(privileges[p.Path]) == 0 {
			privileges[p.Path] = slices.Clone(looks) // privileges on a path hide the privileges on the paths above it
		}
		privileges[p.Path] = append(privileges[p.Path], name)
	}
	host.Users = []pvetest.User{{ID: "ops@pve", Privileges: privileges, Tokens: []pvetest.Token{{ID: "do", Secret: "a-secret"}}}}
	sim := pvetest.New(host, nil)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Token: "ops@pve!do=a-secret", Transport: sim.Transport()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return node, sim
}

// TestPlansNeedWhatTheySay gives a token exactly the privileges that a plan
// names, and applies the plan. Then it takes away one privilege at a time: no
// apply may begin.
func TestPlansNeedWhatTheySay(t *testing.T) {
	t.Parallel()
	type making struct {
		host pvetest.Host
		plan func(workstation.Facts) (workstation.Plan, error)
	}
	of := func(spec workstation.Spec) func(workstation.Facts) (workstation.Plan, error) {
		return func(facts workstation.Facts) (workstation.Plan, error) { return workstation.Diff(spec, facts) }
	}
	cases := map[string]making{
		"change": {busy(), of(meddled())},
		"restore": {tampered(), func(facts workstation.Facts) (workstation.Plan, error) {
			return workstation.RestorePlan(original(), facts)
		}},
	}
	for _, g := range goldens() {
		if g.config["hugepages"] == "" { // only root@pam may set hugepages
			cases[g.name] = making{pvetest.Reference(), of(workstation.Spec{VMs: []workstation.VM{g.vm}, Mappings: dualBootSpec().Mappings})}
		}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first, err := c.plan(observe(t, pvetest.New(c.host, nil)))
				if err != nil {
					t.Fatal(err)
				}
				need := map[workstation.Privilege]bool{}
				for _, change := range first.Changes() {
					for _, p := range change.Needs {
						need[p] = true
					}
				}
				needs := slices.Collect(maps.Keys(need))
				node, _ := asOps(t, c.host, needs)
				if err := node.Apply(t.Context(), first, nil); err != nil {
					t.Errorf("with all that the plan needs: %v\n%v", err, needs)
				}
				for i, lacking := range needs {
					implied := func(p workstation.Privilege) bool {
						name, _, _ := strings.Cut(p.Name, "|")
						return p != lacking && p.Path == lacking.Path && slices.Contains(strings.Split(lacking.Name, "|"), name)
					}
					name, _, _ := strings.Cut(lacking.Name, "|")
					if slices.Contains(looks, name) || slices.ContainsFunc(needs, implied) {
						continue // the token has this privilege anyway
					}
					node, sim := asOps(t, c.host, slices.Delete(slices.Clone(needs), i, i+1))
					facts, err := node.Observe(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					p, err := c.plan(facts)
					if err != nil {
						t.Fatal(err)
					}
					if err := node.Apply(t.Context(), p, nil); !errors.Is(err, workstation.ErrBlocked) || !strings.Contains(err.Error(), lacking.String()) || len(sim.Writes()) > 0 {
						t.Errorf("without %s: %v, writes %v", lacking, err, sim.Writes())
					}
				}
			})
		})
	}
}
