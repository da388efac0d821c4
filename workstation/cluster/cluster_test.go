package cluster_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// requests returns the requests that a node received, sorted by their text. It
// leaves out the oldest requests. The parameter "skip" says how many.
func requests(node *pvetest.Node, skip int) []string {
	var paths []string
	for _, r := range node.Trace()[skip:] {
		paths = append(paths, r.Method+" "+r.Path)
	}
	slices.Sort(paths)
	return paths
}

// For a node that is in no cluster, this package makes one request more than
// package workstation: it asks whether the node is in a cluster.
func TestAClusterOfOneCostsOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		endpoint := func(sim *pvetest.Node) workstation.Endpoint {
			return workstation.Endpoint{URL: "https://pve.test:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}
		}
		alone, together := pvetest.New(pvetest.Reference(), nil), pvetest.New(pvetest.Reference(), nil)
		node, err := workstation.Connect(t.Context(), endpoint(alone), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := cluster.Connect(t.Context(), []workstation.Endpoint{endpoint(together)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		skip, skipTogether := len(alone.Trace()), len(together.Trace())
		if _, err := node.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
		facts, err := c.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(facts.Nodes) != 1 || facts.Nodes[0].State != cluster.Online || facts.Quorate != proxstation.Yes {
			t.Errorf("observed %+v", facts)
		}
		want := slices.Sorted(slices.Values(append(requests(alone, skip), "GET /cluster/status")))
		if have := requests(together, skipTogether); !slices.Equal(have, want) {
			t.Errorf("requests\n%q\nwant\n%q", have, want)
		}
	})
}
