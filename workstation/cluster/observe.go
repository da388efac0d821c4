package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// Observe reads the facts of all nodes at the same time. It requests the list
// of nodes, then reads the facts of [workstation.Node.Observe] from each node
// that is online. Facts that are the same on all nodes are requested once:
// guests, mappings, storages, backups, high availability, permissions.
//
// If a node could not be read, its State says so. Observe returns an error if
// the cluster cannot be reached, the login is refused, or the context ends.
//
// If the node that answers has no quorum, Observe tries the other addresses of
// the cluster until a node with a quorum answers.
func (c *Cluster) Observe(ctx context.Context) (Facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, round := pve.WithRound(pve.WithLimit(ctx, c.opts.Limit/3), c.opts.InFlight)
	var early *reading
	if c.alone { // the node is read while the list of nodes is requested
		early = c.read(ctx, c.first.Name())
	}
	v, err := c.view(ctx)
	if err == nil {
		err = c.look(ctx, round, &v, early)
	}
	if err != nil {
		return Facts{}, fmt.Errorf("cluster: observing: %w", err)
	}
	return v.facts(), nil
}

// A view holds the answers of a cluster before they are judged.
type view struct {
	pve.Membership
	unaudited   error // the reason why Membership holds only the names of the nodes, or nil
	guests      []pve.Guest
	permissions pve.Permissions
	nodes       []*reading // one for each member, nil for a node that is offline
}

// A reading is a node that is being read. The facts and the error are there
// when done is closed.
type reading struct {
	name  string
	done  chan struct{}
	facts workstation.Facts
	err   error
}

// view reads the list of nodes.
func (c *Cluster) view(ctx context.Context) (view, error) {
	var v view
	ask := func(ctx context.Context) (err error) {
		v = view{}
		v.Membership, err = c.pve.Membership(ctx)
		if errors.Is(err, workstation.ErrPermission) {
			v.unaudited = err
			v.Members, err = c.pve.MembersSeen(ctx)
		}
		return err
	}
	err := c.anywhere(ctx, ask)
	for n := 1; c.addresses != nil && n < c.addresses.Len() && err == nil && v.unaudited == nil && !v.Quorate; n++ {
		c.addresses.Elsewhere()
		err = c.anywhere(ctx, ask)
	}
	return v, err
}

// errSlow ends the observation of a node that takes too long.
var errSlow = errors.New("the node did not answer everything in time")

// read begins to read a node.
func (c *Cluster) read(ctx context.Context, name string) *reading {
	r := &reading{name: name, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Limit, errSlow)
		defer cancel()
		r.facts, r.err = c.Node(name).Observe(ctx)
	}()
	return r
}

// look reads all nodes that are online. early is the reading of a node that has
// begun already, or nil.
func (c *Cluster) look(ctx context.Context, round *pve.Round, v *view, early *reading) (err error) {
	online := slices.DeleteFunc(slices.Clone(v.Members), func(m pve.Member) bool { return !m.Online })
	round.Share(len(online))
	v.nodes = make([]*reading, len(v.Members))
	for i, member := range v.Members {
		switch {
		case !member.Online:
		case early != nil && early.name == member.Name:
			v.nodes[i] = early
		default:
			v.nodes[i] = c.read(ctx, member.Name)
		}
	}
	if v.guests, err = c.pve.Guests(ctx); err == nil {
		v.permissions, err = c.pve.Permissions(ctx)
	}
	for _, r := range v.nodes {
		if r != nil {
			<-r.done
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
