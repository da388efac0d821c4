package connect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Embedded starts the reference host in this process and connects to it over
// real HTTPS, with an API token of root@pam. The host's clock runs faster by
// the factor speed.
func Embedded(ctx context.Context, speed float64) (*workstation.Node, *pvetest.Node, error) {
	host := pvetest.Reference()
	token := host.RootTokens[0]
	return embedded(ctx, speed, workstation.Endpoint{Token: "root@pam!" + token.ID + "=" + token.Secret})
}

// EmbeddedAsRoot does the same as Embedded, but logs in as root@pam with a
// password. Only this login may set args, a ROM, pinned CPUs and the like.
func EmbeddedAsRoot(ctx context.Context, speed float64) (*workstation.Node, *pvetest.Node, error) {
	return embedded(ctx, speed, workstation.Endpoint{Username: "root@pam", Password: "secret"})
}

// EmbeddedCluster starts a cluster in this process, and connects to it as
// root@pam. The parameter "nodes" is the number of nodes. They are called pve,
// pve2, pve3 and so on. Each node is like the reference host, but every third
// node has no NVIDIA card.
func EmbeddedCluster(ctx context.Context, nodes int, speed float64) (*cluster.Cluster, *pvetest.Cluster, error) {
	var hosts []pvetest.Host
	for i := range nodes {
		host := pvetest.Reference()
		if i > 0 {
			host.Name = fmt.Sprintf("%s%d", host.Name, i+1)
		}
		host.Address = fmt.Sprintf("192.168.1.%d/24", 10+i)
		if i%3 == 2 {
			host.PCI = slices.DeleteFunc(host.PCI, func(p pvetest.PCI) bool { return strings.HasPrefix(p.Address, "0000:01:00") })
		}
		hosts = append(hosts, host)
	}
	sim := pvetest.NewCluster(hosts, &pvetest.Options{Speed: speed}).Start()
	var endpoints []workstation.Endpoint
	for _, node := range sim.Nodes() {
		endpoints = append(endpoints, workstation.Endpoint{URL: node.URL(), RootCAs: node.CertPool(), Username: "root@pam", Password: "secret"})
	}
	c, err := cluster.Connect(ctx, endpoints, nil)
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return c, sim, nil
}

func embedded(ctx context.Context, speed float64, login workstation.Endpoint) (*workstation.Node, *pvetest.Node, error) {
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: speed}).Start()
	login.URL, login.RootCAs = sim.URL(), sim.CertPool()
	node, err := workstation.Connect(ctx, login, "", nil)
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return node, sim, nil
}
