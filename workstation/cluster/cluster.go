package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// A Cluster is a PVE cluster, or a node that is in no cluster. It is safe for
// concurrent use.
type Cluster struct {
	pve       *pve.Client
	first     *workstation.Node // the node whose client is used for all nodes
	alone     bool              // whether the cluster had only one node at Connect
	addresses *pve.Addresses    // nil after Open, because the caller's client has one address
	opts      Options
}

// Options control a [Cluster]. A nil pointer means the defaults.
type Options struct {
	// Node holds the options for every node. The keys of its Tiers are names of
	// storages. A storage has the same name on all nodes.
	Node *workstation.NodeOptions
	// InFlight is the largest number of requests under way at the same time,
	// over all nodes. 0 means 64. A single node gets at most 32. Each node
	// answers with only three processes, so more requests help only if many
	// nodes share them (pve-manager PVE/Service/pveproxy.pm, max_workers).
	InFlight int
	// Limit is the time for which [Cluster.Observe] waits for one node. 0 means
	// 30 seconds, because PVE's own proxy gives up after 30 seconds as well
	// (pve-http-server PVE/APIServer/AnyEvent.pm, proxy_request). A single
	// request may take a third of Limit. If a request takes longer, a finding
	// reports which facts are missing, and Observe still reads the other facts
	// of the node.
	Limit time.Duration
}

func (o *Options) withDefaults() Options {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.InFlight = cmp.Or(max(opts.InFlight, 0), 64)
	opts.Limit = cmp.Or(max(opts.Limit, 0), 30*time.Second)
	if opts.Node == nil {
		opts.Node = &workstation.NodeOptions{}
	}
	return opts
}

// Open returns a cluster that is reached with the caller's client, and only at
// the client's address. Open makes no request. [Connect] has advantages over
// Open, which the comment of [workstation.Open] describes.
func Open(client *proxmox.Client, opts *Options) *Cluster {
	o := opts.withDefaults()
	return &Cluster{pve: pve.New(client, ""), first: workstation.Open(client, "", o.Node), opts: o}
}

// Connect logs in to the cluster at these addresses, usually one for each node.
// It uses the first address that answers. If this address stops answering, the
// next address takes its place for requests that were not sent, and for GET
// requests. A write whose answer is lost is not sent again, because PVE may
// have carried it out. The write then returns [workstation.ErrNoAnswer], as it
// does with a single address.
//
// One login is good for all nodes. An endpoint without a login or without
// RootCAs uses the login or the RootCAs of the first endpoint. In a cluster, one
// certificate authority signs the certificates of all nodes
// (/etc/pve/pve-root-ca.pem). Each endpoint has its own Fingerprint.
//
// The errors are the errors of [workstation.Connect].
func Connect(ctx context.Context, endpoints []workstation.Endpoint, opts *Options) (*Cluster, error) {
	o := opts.withDefaults()
	list := make([]pve.Endpoint, len(endpoints))
	for i, e := range endpoints {
		list[i] = pve.Endpoint(e)
	}
	joined, addresses, err := pve.Join(list, o.InFlight)
	if err != nil {
		return nil, pve.Public(err)
	}
	client, err := pve.Dial(joined)
	if err != nil {
		return nil, pve.Public(err)
	}
	c := &Cluster{pve: client, addresses: addresses, opts: o}
	var members []pve.Member
	err = c.anywhere(ctx, func(ctx context.Context) (err error) {
		if _, err = client.Probe(ctx); err == nil {
			members, err = client.MembersSeen(ctx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("cluster: %w: the cluster names no node", workstation.ErrNoNode)
	}
	c.first, err = workstation.Connect(ctx, workstation.Endpoint(joined), members[0].Name, o.Node)
	c.alone = len(members) == 1
	return c, err
}

// firstAnswer is the time for which an address may leave a request unanswered
// before the next address is tried.
const firstAnswer = 5 * time.Second

// Calls the function "work". If the address in use does not answer in time, work
// is called again, and the transport uses the next address.
func (c *Cluster) anywhere(ctx context.Context, work func(context.Context) error) error {
	if c.addresses == nil || c.addresses.Len() == 1 {
		return work(ctx)
	}
	err := work(pve.WithLimit(ctx, firstAnswer))
	for n := 1; n < c.addresses.Len() && errors.Is(err, workstation.ErrNoAnswer) && ctx.Err() == nil; n++ {
		err = work(pve.WithLimit(ctx, firstAnswer))
	}
	return err
}

// Node returns the node of this name. It makes no request, and does not check
// that the node exists. All nodes share the client and the addresses of the
// cluster.
func (c *Cluster) Node(name string) *workstation.Node { return c.first.On(name) }
