package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A site is the node that a page is about, or the cluster whose nodes have the
// page's workstations.
type site struct {
	cluster *cluster.Cluster // the cluster; nil if only one node was asked for
	names   []string         // names of the cluster's nodes
	node    *workstation.Node
	facts   workstation.Facts // facts of the node
	all     cluster.Facts     // facts of the cluster
}

// isCluster reports whether the page can be about several nodes.
func (s site) isCluster() bool { return len(s.names) > 1 }

// String names the site.
func (s site) String() string {
	if s.isCluster() {
		return "The cluster " + strings.TrimSpace(s.all.Name+" ("+strings.Join(s.names, ", ")+")")
	}
	return "Node " + s.facts.Node
}

// The method "on" returns the node with a name.
func (s site) on(name string) *workstation.Node {
	if s.cluster == nil || name == "" {
		return s.node
	}
	return s.cluster.Node(name)
}

// vm returns a VM of the site, and the name of the VM's node. If the node is
// away, the VM has no facts.
func (s site) vm(id int) (have workstation.VMFacts, node string, there bool) {
	if !s.isCluster() {
		have, there = s.facts.VMs[id]
		return have, s.facts.Node, there
	}
	for _, guest := range s.all.Guests {
		if guest.VMID == id && !guest.Container {
			home, _ := s.all.Node(guest.Node)
			return home.Facts.VMs[id], guest.Node, true
		}
	}
	return have, "", false
}

// open connects to the endpoint in PROXMOX_VE_ENDPOINT. If this variable is not
// set, open starts an embedded node or an embedded cluster.
//
// The endpoint may be a cluster. Then open uses the node that the flag -node
// names, or else the only node that the page names. If the page names no node
// or several nodes, open uses the whole cluster.
func (a *app) open(ctx context.Context, page file.Page) (site, error) {
	if a.kept.cluster != nil {
		return a.kept, nil
	}
	if connect.Configured() {
		a.flags.Tiers = page.Tiers()
		if err := a.chosen(page); err != nil {
			return site{}, err
		}
		if node := cmp.Or(a.flags.Node, page.Node); node != "" && (a.flags.Node != "" || !page.Spread()) {
			a.flags.Node = node
			only, err := a.flags.Open(ctx)
			return site{node: only}, err
		}
		c, err := a.flags.Cluster(ctx)
		if err != nil {
			return site{}, err
		}
		return of(ctx, c)
	}
	const gone = "without VMs, which ends with the program. Secrets that are not set have stand-ins.\n\n"
	if a.nodes > 1 {
		a.say("PROXMOX_VE_ENDPOINT is not set: this is a cluster of %d nodes embedded in the program, "+gone, a.nodes)
		c, sim, err := connect.EmbeddedCluster(ctx, a.nodes, 20)
		if err != nil {
			return site{}, err
		}
		a.sims, a.close = sim.Nodes(), sim.Close
		return of(ctx, c)
	}
	if page.Spread() {
		return site{}, errors.New("the page is about a cluster, and PROXMOX_VE_ENDPOINT is not set: -embedded-nodes 3 embeds a cluster, with the nodes pve, pve2 and pve3")
	}
	a.say("PROXMOX_VE_ENDPOINT is not set: this is a node embedded in the program, " + gone)
	node, sim, err := connect.EmbeddedAsRoot(ctx, 20)
	if err != nil {
		return site{}, err
	}
	a.sims, a.close = []*pvetest.Node{sim}, sim.Close
	return site{node: node}, nil
}

// chosen returns an error if the flag -node names a node and the page places a
// workstation on another node. The flag replaces the node that the page names
// for all workstations, so this node does not count.
func (a *app) chosen(page file.Page) error {
	if a.flags.Node != "" && len(page.HA().VMs) > 0 {
		return fmt.Errorf("-node %s: the page has high availability (ha), which is about the whole cluster: leave the flag out", a.flags.Node)
	}
	page.Node = ""
	for _, name := range known(page) {
		if home := page.NodeOf(name); a.flags.Node != "" && home != "" && home != a.flags.Node {
			return fmt.Errorf("-node %s: the page wants %s on node %s: leave the flag out", a.flags.Node, name, home)
		}
	}
	return nil
}

// unknown returns an error if the page names a node that the cluster does not
// have.
func (s site) unknown(source *file.Source) error {
	for _, name := range known(source.Page) {
		if home := source.Page.NodeOf(name); s.cluster != nil && home != "" && !slices.Contains(s.names, home) {
			key := "workstations." + name + ".node"
			return fmt.Errorf("%s: %s: %w: %q is not among the nodes %s", source.Where(key), key, workstation.ErrNoNode, home, strings.Join(s.names, ", "))
		}
	}
	return nil
}

// The function "of" returns the site of a cluster.
func of(ctx context.Context, c *cluster.Cluster) (site, error) {
	online, away, err := c.Names(ctx)
	if err == nil && len(online) == 0 {
		err = fmt.Errorf("%w: no node of the cluster is online", workstation.ErrNoNode)
	}
	if err != nil {
		return site{}, err
	}
	return site{cluster: c, names: slices.Sorted(slices.Values(slices.Concat(online, away))), node: c.Node(online[0])}, nil
}

// observe connects to the site of a page and reads it.
func (a *app) observe(ctx context.Context, page file.Page) (site, error) {
	s, err := a.open(ctx, page)
	if err != nil {
		return s, err
	}
	return s, s.read(ctx, page)
}

// read reads the facts of the site. If the site is a cluster, it reads only the
// facts that are needed to plan for the page.
func (s *site) read(ctx context.Context, page file.Page) (err error) {
	if !s.isCluster() {
		s.facts, err = s.node.Observe(ctx)
		return err
	}
	spec, err := page.Cluster(cluster.Facts{}, resolve, nil)
	if err != nil { // planning reports the error, with its line
		s.all, err = s.cluster.Observe(ctx)
		return err
	}
	s.all, err = s.cluster.ObserveFor(ctx, spec)
	return err
}

// locate finds the node of each VM, if the site has several nodes.
func (s *site) locate(ctx context.Context, page file.Page) error {
	if !s.isCluster() {
		return nil
	}
	return s.read(ctx, page)
}

// spread makes the plan for a page about several nodes. It first plans the
// places of the workstations and the mappings of their cards, and then each
// node.
func (a *app) spread(g *goal) error {
	copies := copiesOn{made: map[string][]loader.Copy{}}
	spec, err := g.source.Cluster(g.site.all, resolve, a.copier(g.source, &copies))
	if err != nil {
		return err
	}
	if g.plan, err = cluster.Diff(spec, g.site.all); err != nil {
		return result(errors.Join(copies.mistakes...), err)
	}
	for _, name := range known(g.source.Page) {
		id := g.source.Page.Workstations[name].VMID()
		if !slices.ContainsFunc(g.plan.Placements, func(p cluster.Placement) bool { return p.VMID == id }) {
			g.unplanned = append(g.unplanned, name)
		}
	}
	g.plan.Nodes = nil // each node is planned below, together with the guests that set themselves up
	for _, name := range g.site.names {
		p := part{brought: true, node: g.site.cluster.Node(name), spec: workstation.Spec{Place: spec.Place}}
		home := map[int]bool{}
		for _, placed := range g.plan.Placements {
			if placed.Node == name {
				p.spec.VMs, home[placed.VMID] = append(p.spec.VMs, placed.VM), true
			}
		}
		if len(home) == 0 {
			continue
		}
		slices.SortFunc(p.spec.VMs, func(a, b workstation.VM) int { return a.ID - b.ID })
		seen, _ := g.site.all.Node(name)
		p.facts, p.copies = after(seen.Facts, g.plan), copies.on(name, home)
		for _, c := range p.copies {
			p.facts = c.With(p.facts)
		}
		guests, err := a.guests(g.source, p.facts, home)
		if err != nil {
			return err
		}
		if p.plan, err = install.Diff(p.spec, guests, p.facts); err != nil {
			return err
		}
		for _, c := range p.copies {
			p.plan.First.Findings = append(p.plan.First.Findings, c.Kept...)
		}
		g.parts = append(g.parts, p)
	}
	return a.againThere(g)
}

// guests returns the guests of a node that set themselves up. home holds the VMs
// that the node has or will have.
func (a *app) guests(source *file.Source, facts workstation.Facts, home map[int]bool) ([]install.Guest, error) {
	guests, err := source.Guests(facts, resolve, a.again...)
	guests = slices.DeleteFunc(guests, func(guest install.Guest) bool { return !home[guest.VMID] })
	for i := range guests {
		guests[i].Set.NodesOff = a.off
	}
	return guests, err
}

// notOff checks the nodes that the flag -node-off names. It returns an error if
// one of these nodes is not away.
func (s site) notOff(names []string) error {
	for _, name := range names {
		switch node, there := s.all.Node(name); {
		case !s.isCluster():
			return fmt.Errorf("-node-off %s: the page is about a single node: leave the flag out", name)
		case !there:
			return fmt.Errorf("-node-off %s: %w: the cluster has the nodes %s", name, workstation.ErrNoNode, strings.Join(s.names, ", "))
		case node.State != cluster.Away:
			return fmt.Errorf("-node-off %s: the node is %s, not away: leave the flag out", name, node.State)
		}
	}
	return nil
}

// againThere returns an error if a guest that is to be set up again is on a
// node that could not be read.
func (a *app) againThere(g *goal) error {
	for _, name := range a.again {
		if slices.Contains(g.unplanned, name) {
			id := g.source.Page.Workstations[name].VMID()
			_, node, _ := g.site.vm(id)
			return fmt.Errorf("%s (VM %d) cannot be set up once more: its node %s was not read, for the reason that homelab status shows", name, id, node)
		}
	}
	return nil
}

// The function "after" returns the facts of a node together with the mappings
// that the plan makes.
func after(facts workstation.Facts, plan cluster.Plan) workstation.Facts {
	facts.Mappings = slices.Clone(facts.Mappings)
	for _, change := range plan.Mappings {
		facts.Mappings = slices.DeleteFunc(facts.Mappings, func(m gpu.Mapping) bool { return m.ID == change.Mapping.ID })
		facts.Mappings = append(facts.Mappings, change.Mapping)
	}
	return facts
}
