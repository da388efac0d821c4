package file

import (
	"cmp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/loader"
)

// A Home says on which node of a cluster a workstation is, and what the
// cluster's HA manager does with it.
type Home struct {
	// Node is the node of the cluster on which the VM is made. Without it, the
	// page's node counts. If the page names no node either, the VM is made on
	// the node that suits it best. A VM that exists stays where it is.
	Node string
	// HA puts the VM under high availability. "ha: {}" leaves all choices to
	// PVE.
	HA *HA
}

func (h *Home) home() string { return h.Node }

// NodeOf returns the node on which the page wants a workstation. It returns ""
// if the page names no node.
func (p Page) NodeOf(name string) string {
	if w := p.Workstations[name]; w != nil && w.home() != "" {
		return w.home()
	}
	return p.Node
}

// Spread reports whether the page is about a cluster. It is about a cluster if
// a workstation names its own node, or is under high availability.
func (p Page) Spread() bool {
	for _, w := range p.Workstations {
		if w.ha() != nil || w.home() != "" && w.home() != p.Node {
			return true
		}
	}
	return false
}

// A Copier plans the copy of an OpenCore image for one boot loader on one node.
// The method Plan of the Loader's Source does this. [cluster.Place] needs a
// copy for each node that it considers, because the copy depends on the node's
// card and processor.
type Copier func(l Loader, node workstation.Facts) (loader.Copy, error)

// Cluster returns the wanted state of a cluster, for [cluster.Diff]: the page's
// cards by kind, and its workstations with their needs. Secrets are resolved as
// in [Page.Spec].
//
// [cluster.Place] tries a workstation on several nodes. If [Page.Spec] or the
// Copier returns an error for a node, that node is refused, with the error as
// the reason. The plan of the cluster brings the copy of an OpenCore image to
// the chosen node. The Copier may be nil if no workstation needs such a copy.
func (p Page) Cluster(facts cluster.Facts, resolve Resolver, plan Copier) (cluster.Spec, error) {
	errs := p.check()
	if err := errs.err(); err != nil {
		return cluster.Spec{}, err
	}
	spec := cluster.Spec{Place: p.Place}
	used := map[string]bool{}
	for _, name := range names(p.Workstations) {
		w := p.Workstations[name]
		used[w.card()] = true
		needs := cluster.Needs{VM: workstation.VM{ID: w.VMID(), Name: name}, Node: p.NodeOf(name), On: p.on(name, facts, resolve, plan)}
		spec.Workstations = append(spec.Workstations, needs)
	}
	slices.SortStableFunc(spec.Workstations, func(a, b cluster.Needs) int { // a workstation that names a node comes first, because it has no other choice
		return cmp.Compare(min(len(b.Node), 1), min(len(a.Node), 1))
	})
	for _, name := range names(p.Cards) {
		if used[name] {
			spec.Cards = append(spec.Cards, cluster.Card{Mapping: p.mapping(name), Kind: p.Cards[name].kind()})
		}
	}
	return spec, nil
}

// Cluster does what [Page.Cluster] does, with line and column in its errors.
func (s *Source) Cluster(facts cluster.Facts, resolve Resolver, plan Copier) (cluster.Spec, error) {
	spec, err := s.Page.Cluster(facts, resolve, plan)
	return spec, s.explain(err)
}

// This returns a function for [cluster.Needs]. For a given node, the function
// returns the VM of the workstation and the images that this VM needs on the
// node.
func (p Page) on(name string, all cluster.Facts, resolve Resolver, plan Copier) func(workstation.Facts) (workstation.VM, []cluster.Image, error) {
	return func(node workstation.Facts) (vm workstation.VM, images []cluster.Image, err error) {
		w := p.Workstations[name]
		begin := func() *conversion {
			c := &conversion{page: p, facts: node, resolve: resolve}
			c.enter(name, w)
			c.has = c.has || slices.ContainsFunc(all.Guests, func(g cluster.Guest) bool { return g.VMID == w.VMID() })
			return c
		}
		c, reading := begin(), begin()
		if l, wants := reading.loader(name); wants && plan != nil {
			if err := reading.errs.err(); err != nil {
				return vm, nil, err
			}
			made, err := plan(l, node)
			if err != nil {
				return vm, nil, err
			}
			c.copies = []loader.Copy{made}
			if made.Volume != "" {
				images = []cluster.Image{{Volume: made.Volume, Open: made.Open}}
			}
		}
		vm = w.made(name, c).VM()
		return vm, images, c.errs.err()
	}
}

// kind returns the kind of a card. It returns the zero Kind if the page gives
// only the name of a mapping.
func (c Card) kind() cluster.Kind {
	kind := cluster.Kind{Address: c.Address}
	vendor, device, isModel := strings.Cut(c.Model, ":")
	v, vendorErr := iommu.ParseID(vendor)
	d, deviceErr := iommu.ParseID(device)
	if isModel && vendorErr == nil && deviceErr == nil {
		kind.Model = iommu.Model{Vendor: v, Device: d}
	} else {
		kind.Name = c.Model
	}
	return kind
}

// kindAt returns the card of the node that has the kind of a card on the page.
// ok is false unless the node has exactly one such card.
func (c *conversion) kindAt(name string) (card gpu.Card, ok bool) {
	kind := c.page.Cards[name].kind()
	var found []gpu.Card
	for _, card := range c.facts.Cards() {
		if kind.Is(card) {
			found = append(found, card)
		}
	}
	switch len(found) {
	case 0:
		c.errs.add("cards."+name+".model", "node %s has no graphics card that is %s: %s", c.facts.Node, kind, c.cards())
	case 1:
		return found[0], true
	default:
		c.errs.add("cards."+name+".model", "node %s has several graphics cards that are %s: give the address of one at cards.%s.address", c.facts.Node, kind, name)
	}
	return gpu.Card{}, false
}
