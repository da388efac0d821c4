package cluster_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// inCluster runs a test with a cluster of embedded nodes, in a synctest bubble.
func inCluster(t *testing.T, hosts []pvetest.Host, test func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts, nil)
		c, err := cluster.Connect(t.Context(), []workstation.Endpoint{{URL: "https://a:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, sim, c)
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

func observed(t *testing.T, c *cluster.Cluster) cluster.Facts {
	t.Helper()
	f, err := c.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func planned(t *testing.T, c *cluster.Cluster, spec cluster.Spec) cluster.Plan {
	t.Helper()
	plan, err := cluster.Diff(spec, observed(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// writes counts the requests to a node that change something.
func writes(node *pvetest.Node) int {
	n := 0
	for _, r := range node.Trace() {
		if r.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// A plan can be applied again, and its result matches the Spec.
func TestApplyIsRepeatable(t *testing.T) {
	t.Parallel()
	spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}, {VM: linux(141, "rtx")}}}
	inCluster(t, twins(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		plan := planned(t, c, spec)
		var said []string
		if err := c.Apply(t.Context(), plan, &workstation.ApplyOptions{Progress: func(e workstation.Event) { said = append(said, e.Message) }}); err != nil {
			t.Fatal(err)
		}
		if sim.Where(140) != "a" || sim.Where(141) != "b" || len(said) == 0 || said[0] != "writing mapping rtx" {
			t.Errorf("VM 140 is on %q, VM 141 on %q; said %q", sim.Where(140), sim.Where(141), said)
		}
		before := writes(sim.Node("a")) + writes(sim.Node("b"))
		if err := c.Apply(t.Context(), plan, nil); err != nil {
			t.Error(err)
		}
		if again := planned(t, c, spec); !again.Empty() {
			t.Errorf("still to do: %s", again)
		}
		if after := writes(sim.Node("a")) + writes(sim.Node("b")); after != before {
			t.Errorf("%d writes for nothing", after-before)
		}
	})
}

// Apply may fail if the answer to a request is lost, before or after the write.
// A second Apply of the same plan makes the changes that are missing.
func TestApplyGoesOn(t *testing.T) {
	t.Parallel()
	spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}, {VM: linux(141, "rtx")}}}
	for _, fault := range []pvetest.Fault{
		{Method: "POST", Path: "/cluster/mapping/pci", Kind: pvetest.DropBefore},
		{Method: "POST", Path: "/cluster/mapping/pci", Kind: pvetest.DropAfter},
		{Method: "POST", Path: "/cluster/mapping/pci", Kind: pvetest.Refuse},
		{Method: "POST", Path: "/nodes/b/qemu", Kind: pvetest.ProxyTimeout},
		{Task: "qmcreate", VMID: 141, Kind: pvetest.TaskFails},
	} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			t.Parallel()
			inCluster(t, twins(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				plan := planned(t, c, spec)
				node := sim.Node("a")
				if fault.Task != "" {
					node = sim.Node("b")
				}
				node.Inject(fault)
				if err := c.Apply(t.Context(), plan, nil); err != nil {
					if err = c.Apply(t.Context(), plan, nil); err != nil {
						t.Fatal(err)
					}
				}
				if again := planned(t, c, spec); !again.Empty() {
					t.Errorf("still to do: %s", again)
				}
			})
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}}}
	for name, test := range map[string]struct {
		change func(*pvetest.Cluster, *cluster.Plan)
		want   error
	}{
		"a blocker": {func(_ *pvetest.Cluster, p *cluster.Plan) {
			p.Findings = []proxstation.Finding{{ID: "x", Severity: proxstation.Blocker}}
		}, workstation.ErrBlocked},
		"a blocker of a node": {func(_ *pvetest.Cluster, p *cluster.Plan) {
			p.Nodes[0].Findings = []proxstation.Finding{{ID: "x", Severity: proxstation.Blocker}}
		}, workstation.ErrBlocked},
		"something destroyed": {func(_ *pvetest.Cluster, p *cluster.Plan) {
			p.Nodes[0].Steps = append(p.Nodes[0].Steps, workstation.DestroyVM{VMID: 99})
		}, workstation.ErrDestructive},
		"another mapping now": {func(_ *pvetest.Cluster, p *cluster.Plan) {
			have := p.Mappings[0].Mapping
			p.Mappings[0].Have = &have
			p.Mappings[0].Mapping.Entries = p.Mappings[0].Mapping.Entries[:1]
		}, workstation.ErrStale},
		"no quorum": {func(sim *pvetest.Cluster, _ *cluster.Plan) { sim.Down("b"); sim.Down("c") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, mixed(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				plan := planned(t, c, spec)
				test.change(sim, &plan)
				before := len(plan.Mappings)
				err := c.Apply(t.Context(), plan, nil)
				if before == 0 || err == nil || test.want != nil && !errors.Is(err, test.want) || sim.Where(140) != "" {
					t.Errorf("apply: %v, want %v; VM 140 is on %q", err, test.want, sim.Where(140))
				}
			})
		})
	}
}

// Diff reports a cluster without a quorum, before Apply tries anything.
func TestNoPlanWithoutQuorum(t *testing.T) {
	t.Parallel()
	inCluster(t, mixed(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		sim.Down("b")
		sim.Down("c")
		plan := planned(t, c, cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, "")}}})
		finding(t, plan.Findings, "cluster.no-quorum", proxstation.Blocker, "")
		if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrBlocked) {
			t.Error(err)
		}
	})
}

// If a login has no rights on mappings, the error names the missing rights.
func TestAMappingNeedsRights(t *testing.T) {
	t.Parallel()
	hosts := twins()
	for i := range hosts {
		hosts[i].Users = []pvetest.User{{ID: "ops@pve", Password: "secret", Privileges: map[string][]string{"/": {"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}}}}
	}
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts, nil)
		c, err := cluster.Connect(t.Context(), []workstation.Endpoint{{URL: "https://a:8006", Username: "ops@pve", Password: "secret", Transport: sim.Transport()}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan := planned(t, c, cluster.Spec{Cards: []cluster.Card{rtx}})
		finding(t, plan.Findings, "workstation.privilege", proxstation.Blocker, "the login lacks /mapping/pci Mapping.Modify")
	})
}

// An image that the caller has is brought to the chosen node before the VM is
// made.
func TestApplyBringsImages(t *testing.T) {
	t.Parallel()
	const volume = "local:import/disk.raw"
	image := bytes.Repeat([]byte("x"), 1<<20)
	spec := cluster.Spec{
		Workstations: []cluster.Needs{{VM: profile.LinuxAI{ID: 140, Image: volume, System: 32 * storage.GiB}.VM(), Node: "b"}},
		Images:       []cluster.Image{{Volume: volume, Open: func() (io.ReadSeekCloser, error) { return closing{bytes.NewReader(image)}, nil }}},
	}
	inCluster(t, twins(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		if err := c.Apply(t.Context(), planned(t, c, spec), nil); err != nil {
			t.Fatal(err)
		}
		if again := planned(t, c, spec); !again.Empty() || sim.Where(140) != "b" {
			t.Errorf("VM 140 is on %q; still to do: %s", sim.Where(140), again)
		}
		for _, r := range sim.Node("a").Trace() {
			if strings.Contains(r.Path, "/nodes/a/storage/local/upload") {
				t.Error("the image went to node a")
			}
		}
	})
}

type closing struct{ io.ReadSeeker }

func (closing) Close() error { return nil }
