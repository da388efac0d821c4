package pvetest

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// PVE has each method that is listed in "ownPaths", "quorumFirst" or
// "clusterLocks".
func TestTablesNameMethods(t *testing.T) {
	t.Parallel()
	check := func(table, each string) {
		method, path, _ := strings.Cut(each, " ")
		for _, name := range []string{"{node}", "{vmid}", "{storage}", "{snapname}", "{upid}", "{userid}", "{tokenid}", "{groupid}", "{roleid}", "{poolid}", "{id}", "{sid}", "{rule}", "{group}", "{pci-id-or-mapping}"} {
			path = strings.ReplaceAll(path, name, "100")
		}
		if _, _, found := pveschema.Lookup(method, path); !found && !pveschema.Exists(method, path) {
			t.Errorf("%s: PVE has no %s", table, each)
		}
	}
	for each := range ownPaths {
		check("ownPaths", each)
	}
	for each := range quorumFirst {
		check("quorumFirst", each)
	}
	for each := range clusterLocks {
		check("clusterLocks", each)
	}
}

// A node that sees only half of the votes is not quorate.
func TestQuorate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		nodes, down int
		want        bool
	}{{1, 0, true}, {2, 0, true}, {2, 1, false}, {3, 1, true}, {3, 2, false}, {4, 1, true}, {4, 2, false}, {5, 2, true}} {
		hosts := make([]Host, tt.nodes)
		for i := range hosts {
			hosts[i] = Host{Name: strings.Repeat("n", i+1), Version: "9.1.4"}
		}
		c := NewCluster(hosts, nil)
		for i := range tt.down {
			c.Down(hosts[tt.nodes-1-i].Name)
		}
		if have := c.Nodes()[0].quorate(); have != tt.want {
			t.Errorf("%d of %d nodes down: %v", tt.down, tt.nodes, have)
		}
	}
}
