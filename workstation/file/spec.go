package file

import (
	"cmp"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/profile"
)

// Spec returns the wanted state of a node, for workstation.Diff. The facts must
// come from this node, because they say which card is at an address, and which
// processor the host has. Spec leaves out a workstation that names another
// node. If the Resolver is nil, no secret is set, and VMs keep their secrets.
// An existing VM also keeps a secret whose reference cannot be resolved.
//
// The error is an [Errors]. It holds mistakes of [Page.Validate], references
// that the Resolver could not resolve, and cards that the node does not have.
// [Source.Spec] adds line and column.
//
// The parameter "copies" holds the copies that were planned from
// [Page.Loaders]. A workstation with an OpenCore image needs its copy there.
func (p Page) Spec(facts workstation.Facts, resolve Resolver, copies ...loader.Copy) (workstation.Spec, error) {
	c := &conversion{page: p, facts: facts, resolve: resolve, copies: copies, errs: p.check()}
	if err := c.errs.err(); err != nil {
		return workstation.Spec{}, err
	}
	spec := workstation.Spec{Place: p.Place}
	used := map[string]bool{}
	for _, name := range c.here() {
		w := p.Workstations[name]
		c.enter(name, w)
		used[w.card()] = true
		spec.VMs = append(spec.VMs, w.made(name, c).VM())
	}
	slices.SortFunc(spec.VMs, func(a, b workstation.VM) int { return a.ID - b.ID })
	for _, name := range names(p.Cards) {
		if p.Cards[name].kind() != (cluster.Kind{}) && used[name] {
			if card := c.card(name); len(card.Functions) > 0 {
				spec.Mappings = append(spec.Mappings, workstation.CardMapping{ID: p.mapping(name), Card: cmp.Or(p.Cards[name].Address, card.Address())})
			}
		}
	}
	return spec, c.errs.err()
}

// Spec does what [Page.Spec] does, with line and column in its errors.
func (s *Source) Spec(facts workstation.Facts, resolve Resolver, copies ...loader.Copy) (workstation.Spec, error) {
	spec, err := s.Page.Spec(facts, resolve, copies...)
	return spec, s.explain(err)
}

// explain adds line and column to mistakes.
func (s *Source) explain(err error) error {
	if errs, ok := err.(Errors); ok { //nolint:errorlint // it is ours, and not wrapped
		return s.locate(errs).err()
	}
	return err
}

// This returns the name of a card's mapping. It returns "" if there is no card.
func (p Page) mapping(card string) string { return cmp.Or(p.Cards[card].Mapping, card) }

// A conversion turns a page into a Spec.
type conversion struct {
	page    Page
	facts   workstation.Facts
	resolve Resolver
	copies  []loader.Copy // configured copies of OpenCore images
	errs    Errors
	key     string // the key of the current workstation
	has     bool   // the VM exists, and unknown secrets may stay as they are
}

// enter makes w the current workstation.
func (c *conversion) enter(name string, w Workstation) {
	c.key = "workstations." + name
	_, c.has = c.facts.VMs[w.VMID()]
}

// This returns the secret to which a reference refers.
func (c *conversion) secret(key string, r Reference) proxstation.Secret {
	if r == "" || c.resolve == nil {
		return proxstation.Secret{}
	}
	secret, err := c.resolve(r)
	switch {
	case c.has && (err != nil || secret.IsZero()):
		return proxstation.Secret{}
	case err != nil:
		c.errs.add(join(c.key, key), "%s: %v", r, err)
	case secret.IsZero():
		c.errs.add(join(c.key, key), "%s is empty", r)
	}
	return secret
}

// resolveAs returns a function that resolves references with the method
// "secret". All errors of this function get the given key.
func (c *conversion) resolveAs(key string) func(Reference) proxstation.Secret {
	return func(r Reference) proxstation.Secret { return c.secret(key, r) }
}

// This returns the names of the workstations for this node. A workstation that
// names another node is included only if its VM exists on this node.
func (c *conversion) here() []string {
	return slices.DeleteFunc(names(c.page.Workstations), func(name string) bool {
		w := c.page.Workstations[name]
		_, exists := c.facts.VMs[w.VMID()]
		return !exists && w.home() != "" && w.home() != c.facts.Node
	})
}

// card returns a graphics card of the node. The parameter is the name of the
// card on the page. If the node has no such card, the method adds an error.
func (c *conversion) card(name string) gpu.Card {
	if name == "" {
		return gpu.Card{}
	}
	if c.page.Cards[name].Model != "" {
		card, _ := c.kindAt(name)
		return card
	}
	address := c.page.Cards[name].Address
	if address == (iommu.Address{}) {
		address = c.mapped(c.page.mapping(name))
	}
	card, ok := gpu.CardAt(c.facts.IOMMU.Functions, address)
	key := "cards." + name
	if !ok && !slices.ContainsFunc(c.errs, func(e *Error) bool { return e.Key == key }) {
		c.errs.add(key, "node %s has no graphics card at %s: %s", c.facts.Node, address.Slot(), c.cards())
	}
	return card
}

// This returns the card's address in a mapping of the node.
func (c *conversion) mapped(mapping string) (a iommu.Address) {
	for _, m := range c.facts.Mappings {
		for _, entry := range m.Entries {
			if m.ID == mapping && entry.Node == c.facts.Node && len(entry.Devices) > 0 {
				return entry.Devices[0].Address
			}
		}
	}
	return a
}

// cards lists the node's cards, for an error message.
func (c *conversion) cards() string {
	var all []string
	for _, card := range c.facts.Cards() {
		all = append(all, card.Address().String()+" "+card.Name())
	}
	if len(all) == 0 {
		return "the login sees no graphics card"
	}
	return "it has " + oneOf(all)
}

// cloudInit returns the data that PVE's own drive gives to a guest.
func (c *conversion) cloudInit(init *CloudInit) profile.CloudInit {
	if init == nil {
		return profile.CloudInit{}
	}
	p := init.CloudInit
	p.Password, p.SSHKeys = c.secret("cloud-init.password", init.Password), c.lines("cloud-init.keys", init.Keys)
	return p
}

func (w *Windows11) made(name string, c *conversion) maker {
	p := w.Windows11
	p.Name, p.Card = cmp.Or(p.Name, name), c.page.mapping(p.Card)
	return p
}

func (w *LinuxAI) made(name string, c *conversion) maker {
	p := w.LinuxAI
	p.Name, p.Card, p.CloudInit = cmp.Or(p.Name, name), c.page.mapping(p.Card), c.cloudInit(w.CloudInit)
	return asIs{c.withMAC(p.VM(), w.Network), p}
}

func (w *RustDeskServer) made(name string, c *conversion) maker {
	p := w.RustDeskServer
	p.Name, p.CloudInit = cmp.Or(p.Name, name), c.cloudInit(w.CloudInit)
	return asIs{c.withMAC(p.VM(), w.Network), p}
}

func (w *MacOS) made(name string, c *conversion) maker {
	p := c.macOS(name, w)
	vm := p.VM()
	i := slices.IndexFunc(c.copies, func(made loader.Copy) bool { return made.VMID() == vm.ID })
	switch {
	case w.OpenCore.Image == "":
	case i < 0:
		c.errs.add(join(c.key, "opencore.image"), "a configured copy of the image has to be planned first (Page.Loaders, or the Copier of Page.Cluster)")
	default:
		vm = c.copies[i].VM()
	}
	asked := p
	asked.Mode = w.Mode
	if choice := asked.Choose(c.facts); choice.Mode != w.Mode && w.Stage != profile.MacOffCard {
		vm.Notes = append(vm.Notes, choice.Finding(vm.ID))
	}
	return asIs{vm, p}
}

// macOS returns the profile of a macOS workstation. If the page does not set
// the mode of its iGPU, the facts choose the mode.
func (c *conversion) macOS(name string, w *MacOS) profile.MacOS {
	p := w.MacOS
	p.Name, p.OSK, p.HostCPU, p.OpenCore = cmp.Or(p.Name, name), c.secret("osk", w.OSK), c.facts.CPU, w.OpenCore.Volume
	if w.Card != "" {
		p.Card, p.Mapping = c.card(w.Card), c.page.mapping(w.Card)
		p.Mode = cmp.Or(p.Mode, p.Choose(c.facts).Mode)
	}
	return p
}

// asIs is a maker whose VM is made already.
type asIs struct {
	vm   workstation.VM
	from any // the profile of the VM
}

// VM implements maker.
func (a asIs) VM() workstation.VM { return a.vm }

func (w *Custom) made(name string, c *conversion) maker {
	vm := w.VM
	vm.Name = cmp.Or(vm.Name, name)
	vm.OSK, vm.Password = c.secret("osk", w.OSK), c.secret("password", w.Password)
	return asIs{vm, vm}
}
