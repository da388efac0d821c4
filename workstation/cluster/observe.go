package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// Observe reads the facts of all nodes at the same time. It asks which nodes
// there are, then reads the facts of [workstation.Node.Observe] from each node
// that is online. Facts that are the same on all nodes are requested once:
// guests, mappings, storages, backups, high availability, permissions.
//
// If a node could not be read, its State says so. Observe returns an error if
// the cluster cannot be reached, the login is refused, or the context ends.
//
// If the node that answers has no quorum, Observe asks the other addresses of
// the cluster for one with a quorum.
func (c *Cluster) Observe(ctx context.Context) (Facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.view(ctx)
	if err == nil {
		err = c.look(ctx, &v)
	}
	if err != nil {
		return Facts{}, fmt.Errorf("cluster: observing: %w", err)
	}
	return v.facts(), nil
}

// A view holds the answers of a cluster before they are judged.
type view struct {
	pve.Membership
	unaudited   error // why Membership holds only the names of the nodes, or nil
	guests      []pve.Guest
	permissions pve.Permissions
	read        []read // one for each member
}

// A read holds the answers of a node.
type read struct {
	facts workstation.Facts
	err   error
}

// view reads which nodes there are.
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

// look reads all nodes that are online.
func (c *Cluster) look(ctx context.Context, v *view) (err error) {
	ctx, round := pve.WithRound(pve.WithLimit(ctx, c.opts.Limit/3), c.opts.InFlight)
	online := slices.DeleteFunc(slices.Clone(v.Members), func(m pve.Member) bool { return !m.Online })
	round.Share(len(online))
	v.read = make([]read, len(v.Members))
	var nodes sync.WaitGroup
	for i, member := range v.Members {
		if member.Online {
			nodes.Go(func() {
				ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Limit, errSlow)
				defer cancel()
				v.read[i].facts, v.read[i].err = c.Node(member.Name).Observe(ctx)
			})
		}
	}
	if v.guests, err = c.pve.Guests(ctx); err == nil {
		v.permissions, err = c.pve.Permissions(ctx)
	}
	nodes.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
