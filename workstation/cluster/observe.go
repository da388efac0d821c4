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
//
// In a cluster with many VMs, most requests are for the configurations of VMs.
// If the facts are for a known Spec, [Cluster.ObserveFor] makes fewer requests.
func (c *Cluster) Observe(ctx context.Context) (Facts, error) { return c.observe(ctx, nil) }

// ObserveFor reads the facts for [Place] and [Diff] of one Spec. Unlike
// [Cluster.Observe], it reads the configurations of VMs only on those nodes
// where the Spec depends on them. A node counts if it has a workstation of the
// Spec, if a mapping of the Spec gets a changed entry for the node, or if a new
// workstation may take one of its PCI devices. The VMs of all other nodes are
// in the field Unread of [workstation.Facts]. If a method of the facts needs
// such a VM, it returns [workstation.ErrUnread], or a finding which says that
// the answer is not known.
//
// ObserveFor uses the fields VM and Node of the workstations, and whether On is
// set. It does not call On.
func (c *Cluster) ObserveFor(ctx context.Context, spec Spec) (Facts, error) {
	return c.observe(ctx, spec.needed)
}

// A needed function returns the VMs of a node whose configurations are needed.
// It is the argument of [workstation.Node.ObserveFor]. A nil function means all
// VMs.
type needed func(seen workstation.Facts) []int

func (c *Cluster) observe(ctx context.Context, needed needed) (Facts, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, round := pve.WithRound(pve.WithLimit(ctx, c.opts.Limit/3), c.opts.InFlight)
	var early *reading
	if c.alone { // begin to read the only node while the list of nodes is requested
		early = c.read(ctx, c.first.Name(), needed)
	}
	v, err := c.view(ctx)
	if err == nil {
		err = c.look(ctx, round, &v, func(name string) *reading {
			if early != nil && early.name == name {
				return early
			}
			return c.read(ctx, name, needed)
		})
	}
	if err != nil {
		return Facts{}, fmt.Errorf("cluster: observing: %w", err)
	}
	return v.facts(), nil
}

// A view holds the answers of a cluster before they are judged.
type view struct {
	pve.Membership
	unaudited   error // not nil if the login may read only the names of the members
	guests      []pve.Guest
	permissions pve.Permissions
	nodes       []*reading // an entry for each member, nil if the node is offline
}

// A reading holds the facts of one node while they are read. The fields facts
// and err are set when the channel done is closed.
type reading struct {
	name  string
	done  chan struct{}
	facts workstation.Facts
	err   error
}

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

func (c *Cluster) read(ctx context.Context, name string, needed needed) *reading {
	r := &reading{name: name, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Limit, errSlow)
		defer cancel()
		r.facts, r.err = c.Node(name).ObserveFor(ctx, needed)
	}()
	return r
}

// Reads all nodes that are online. The parameter "read" is a function that
// begins to read a node.
func (c *Cluster) look(ctx context.Context, round *pve.Round, v *view, read func(name string) *reading) (err error) {
	online := slices.DeleteFunc(slices.Clone(v.Members), func(m pve.Member) bool { return !m.Online })
	round.Share(len(online))
	v.nodes = make([]*reading, len(v.Members))
	for i, member := range v.Members {
		if member.Online {
			v.nodes[i] = read(member.Name)
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
