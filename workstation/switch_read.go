package workstation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/homes"
	"github.com/proxstation/proxstation/internal/pve"
)

// sideTime is how long a switch waits for answers that it can do without.
// nodeTime is how long it waits for another node of the cluster, which may
// hang. PVE's proxy waits as long as nodeTime (pve-http-server
// PVE/APIServer/AnyEvent.pm, proxy_request).
const (
	sideTime = 10 * time.Second
	nodeTime = 30 * time.Second
)

// errSlow reports an answer that took too long to wait for. errAway ends the
// requests to a node that the cluster has lost sight of.
var (
	errSlow = fmt.Errorf("%w in %s", ErrNoAnswer, sideTime)
	errAway = fmt.Errorf("%w: the cluster has lost sight of the node", ErrNoAnswer)
)

// setFacts holds the facts about a set of VMs that share a card.
type setFacts struct {
	// nodes holds the facts of each node that has members, by the name of the
	// node. Each of these facts contains all members of the set.
	nodes map[string]Facts
	homes map[int]string // the node of each member
}

// This returns the facts with which a switch to a member is judged: the facts
// of the member's node.
func (s setFacts) of(id int) Facts { return s.nodes[s.homes[id]] }

// A setReader reads the facts that [Preflight] needs about a set of VMs. It
// does not read disks, SMART data or the content of storages.
type setReader struct {
	node *Node
	db   DualBoot
	all  observation // the answers that belong to no single node

	resources  pve.Resources
	mappings   []gpu.Mapping
	noMappings error // the reason why the mappings are unknown
	quorate    proxstation.Answer

	mu    sync.Mutex
	parts map[string]*nodeReader
	away  map[string]string // nodes that are away, each with the evidence
}

// observeSet reads the facts that a switch needs. It sends two rounds of
// requests. They ask for the members, the mappings, and the cluster's last
// reports about nodes, guests and storages. They also ask each node with
// members for its PCI functions and its running VMs. If PVE has moved a member
// to another node since the last read, there is one round more.
//
// If a necessary request gets no answer, observeSet returns the error, with one
// exception: another node of the cluster that does not answer counts as away.
// Facts.Unknown names missing facts that a switch does not need.
func (n *Node) observeSet(ctx context.Context, db DualBoot) (setFacts, error) {
	r := &setReader{node: n, db: db, parts: map[string]*nodeReader{}, away: map[string]string{}}
	r.all.facts = &Facts{}
	ctx = pve.WithOdd(ctx, r.all.odd)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return r.readMappings(inner) })
	group.Go(func() error { return r.remembered(inner) })
	r.read(inner, group, db.Members)
	err := group.Wait()
	if err == nil {
		group, inner = errgroup.WithContext(ctx)
		r.read(inner, group, r.strayed())
		group.Go(func() error { return r.quorum(inner) })
		err = group.Wait()
	}
	if err == nil {
		err = cmp.Or(r.settle(), r.mapped())
	}
	if err != nil {
		return setFacts{}, fmt.Errorf("workstation: reading the VMs that share the card on node %s: %w", n.name, err)
	}
	return r.join(ctx), nil
}

// read requests the members, and the facts of the nodes on which the members
// were seen last.
func (r *setReader) read(ctx context.Context, group *errgroup.Group, members []int) {
	at := map[string][]int{}
	for _, id := range members {
		if home := r.node.vms.Home(id); !slices.Contains(r.db.NodesOff, home) {
			at[home] = append(at[home], id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, home := range slices.Sorted(maps.Keys(at)) {
		part, read := r.parts[home]
		if !read {
			part = r.part(home)
		}
		ctx, stop := r.limit(ctx, part)
		part.stop = stop
		if !read {
			part.read(ctx, group)
		}
		for _, id := range at[home] {
			part.asked[id] = true
			group.Go(func() error { return part.member(ctx, id) })
		}
	}
}

// This returns the context of the requests to a node. Requests to another node
// of the cluster get a time limit, so that a node that hangs delays the other
// nodes only for a short time.
func (r *setReader) limit(ctx context.Context, p *nodeReader) (context.Context, context.CancelCauseFunc) {
	ctx = pve.WithOdd(ctx, p.o.odd)
	if p.node != r.node {
		limited, cancel := context.WithTimeoutCause(ctx, nodeTime, fmt.Errorf("%w in %s", ErrNoAnswer, nodeTime))
		context.AfterFunc(ctx, cancel) // the group's context ends with its requests
		ctx = limited
	}
	return context.WithCancelCause(ctx)
}

// This returns the members that have not been requested from the node that has
// them. At first, members are requested from the nodes on which they were seen
// last. By now it is known which nodes have them.
func (r *setReader) strayed() []int {
	var ids []int
	for _, id := range r.db.Members {
		home := r.node.vms.Home(id)
		if part, read := r.parts[home]; r.away[home] == "" && !(read && part.asked[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *setReader) readMappings(ctx context.Context) error {
	r.mappings, r.noMappings = r.node.pve.Mappings(ctx)
	if r.noMappings != nil && ctx.Err() != nil {
		return r.noMappings
	}
	return nil
}

// This judges the error of the request for the mappings. If no member needs the
// mappings, a missing answer is not an error but a finding.
func (r *setReader) mapped() error {
	used := false
	for _, id := range r.db.Members {
		if part, read := r.parts[r.node.vms.Home(id)]; read {
			uses := func(h gpu.HostPCI) bool { return h.Mapping != "" }
			used = used || slices.ContainsFunc(part.o.facts.VMs[id].hostPCI(), uses)
		}
	}
	const privilege = "Mapping.Audit on /mapping/pci"
	if used {
		return r.all.needs(subjectMappings, privilege, r.noMappings)
	}
	return r.all.tolerate(subjectMappings, privilege, r.noMappings)
}

// This reads the last reports that the node has of the cluster's nodes, guests
// and storages, without asking those nodes. From then on, no request waits for
// a node that is away.
func (r *setReader) remembered(ctx context.Context) (err error) {
	side, cancel := context.WithTimeoutCause(ctx, sideTime, errSlow)
	defer cancel()
	r.resources, err = r.node.pve.Resources(side)
	if err == nil {
		r.node.vms.See(r.resources)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, seen := range homes.Away(r.resources.Nodes) {
		r.away[name] = seen
		if part, asked := r.parts[name]; asked {
			part.stop(errAway)
		}
	}
	return r.all.tolerate(subjectCluster, "Datastore.Audit and VM.Audit on /", err)
}

// If a node is away, this asks whether this part of the cluster still has
// quorum. If no node is away, it does not ask: a node that sees all other nodes
// has quorum.
func (r *setReader) quorum(ctx context.Context) (err error) {
	r.quorate = proxstation.Yes
	if len(r.away) > 0 {
		r.quorate, err = r.node.pve.Quorate(ctx)
	}
	return r.all.tolerate(subjectQuorum, "Sys.Audit on /", err)
}

// settle decides how unanswered requests are treated. On a single node, every
// such request is an error. In a cluster, another node that does not answer
// counts as away.
func (r *setReader) settle() error {
	for _, name := range slices.Sorted(maps.Keys(r.parts)) {
		part := r.parts[name]
		switch err := cmp.Or(part.noList, part.noMember); {
		case err == nil:
		case r.away[name] == "" && (!uncertain(err) || len(r.resources.Nodes) < 2):
			return err
		case r.away[name] == "":
			r.away[name] = err.Error()
		}
		if err := part.settlePCI(r.node.vms.Clustered()); err != nil {
			return err
		}
	}
	return nil
}

// join puts the answers together.
func (r *setReader) join(ctx context.Context) setFacts {
	s := setFacts{nodes: map[string]Facts{}, homes: map[int]string{}}
	members := map[int]VMFacts{}
	for _, id := range r.db.Members {
		home := r.node.vms.Home(id)
		s.homes[id] = home
		part, read := r.parts[home]
		switch {
		case r.away[home] != "" || slices.Contains(r.db.NodesOff, home):
			members[id] = r.lostSight(id, home)
		case read:
			part.join()
		}
		if !read {
			r.part(home)
		}
	}
	for _, id := range r.db.Members {
		if v, found := r.parts[s.homes[id]].o.facts.VMs[id]; found && members[id].ID == 0 {
			members[id] = v
		}
	}
	var group errgroup.Group
	for _, home := range slices.Compact(slices.Sorted(maps.Values(s.homes))) {
		group.Go(func() error {
			part := r.parts[home]
			if r.away[home] == "" {
				part.last(ctx)
			}
			return nil
		})
	}
	_ = group.Wait() // the findings report every part that could not be read
	for _, home := range s.homes {
		s.nodes[home] = r.parts[home].whole(members)
	}
	return s
}

// lostSight returns the facts that the cluster remembers about a member on a
// node that is away.
func (r *setReader) lostSight(id int, home string) VMFacts {
	v := VMFacts{ID: id, Node: home}
	for _, g := range r.resources.Guests {
		if g.VMID == id {
			v.Name = g.Name
		}
	}
	return v
}

// This returns the HA manager's state of the guests: the guests that it
// manages, and the guests that it ignores.
func (r *setReader) ha() (states map[int]string, managed, ignored []int) {
	states = map[int]string{}
	for _, g := range r.resources.Guests {
		states[g.VMID] = g.HA
		switch {
		case g.Container || g.HA == "":
		case g.HA == "ignored":
			ignored = append(ignored, g.VMID)
		default:
			managed = append(managed, g.VMID)
		}
	}
	return states, managed, ignored
}
