package file

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// An Account is the local account of a new Windows, an administrator.
type Account struct {
	// Name is the account's name.
	Name string
	// Password refers to the account's password.
	Password Reference
}

// A Login is the person who may log in to a new Linux.
type Login struct {
	// Name is the login's name.
	Name string
	// Password refers to the login's password.
	Password Reference
	// Keys are public SSH keys that may log in: each a line as in id_ed25519.pub,
	// or a reference to a file of such lines.
	Keys []Key
}

// A Network is the address of a guest.
type Network struct {
	// Address is the guest's own address with the length of its network,
	// "192.168.1.41/24".
	Address netip.Prefix
	// Gateway is the router of that network.
	Gateway netip.Addr
	// DNS are name servers; unset, the image's own.
	DNS []netip.Addr
	// MAC is the hardware address of the guest's network card; unset, it is made of
	// the VMID.
	MAC MAC
}

// A MAC is the hardware address of a network card, "bc:24:11:00:00:8d".
type MAC string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *MAC) UnmarshalText(text []byte) error {
	mac, err := net.ParseMAC(string(text))
	if err != nil || len(mac) != 6 {
		return fmt.Errorf("file: %q is not a hardware address: want six bytes, such as bc:24:11:00:00:8d", text)
	}
	*m = MAC(mac.String())
	return nil
}

// A CloudInit is what PVE's own drive tells a cloud image; see
// [profile.CloudInit].
type CloudInit struct {
	profile.CloudInit `omit:"Password,SSHKeys"`
	// Password refers to the login's password.
	Password Reference
	// Keys are public SSH keys that may log in: each a line as in id_ed25519.pub,
	// or a reference to a file of such lines.
	Keys []Key
}

// A WindowsSetup says how a new VM installs Windows by itself.
type WindowsSetup struct {
	firstboot.Windows11 `omit:"User,Password,ProductKey,Games"`
	// ProductKey refers to a key of your own, which chooses the edition and
	// activates it.
	ProductKey Reference
	// Games says how drive D: is called.
	Games *firstboot.GamesDisk
	// Storage is where the CD with the answers lies meanwhile; the default is local.
	Storage string
	// Card is when the VM gets its card: later, when Windows is installed, or at-once.
	Card install.CardTime
}

// A LinuxSetup says how a new Linux sets itself up.
type LinuxSetup struct {
	firstboot.LinuxAI `omit:"User,Password,Keys,Network,Models"`
	// Models says where the disk for models is mounted.
	Models *firstboot.ModelsDisk
	// Storage is where the CD with the answers lies meanwhile; the default is local.
	Storage string
	// Card is when the VM gets its card: later, when the guest has reported, or at-once.
	Card install.CardTime
}

// Guests says which new VMs set themselves up, and how, for install.Diff beside
// the Spec: the workstations with a user. RustDesk is part of it where the page
// has a package for the guest's system. The workstations named in again are set up
// once more, after a failure. The error is an [Errors], as for [Page.Spec]; the
// secrets of a guest that is there, and is not set up again, are not needed.
func (p Page) Guests(facts workstation.Facts, resolve Resolver, again ...string) ([]install.Guest, error) {
	c := &conversion{page: p, facts: facts, resolve: resolve, errs: p.check()}
	for _, name := range again {
		if w, there := p.Workstations[name]; !there {
			c.errs.add("workstations", "no workstation of the page has the name %q: %s", name, unknown(names(p.Workstations), name))
		} else if !setsItselfUp(w) {
			c.errs.add("workstations."+name, "%s has no user, so it does not set itself up", name)
		}
	}
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	var guests []install.Guest
	for _, name := range names(p.Workstations) {
		if w := p.Workstations[name]; setsItselfUp(w) {
			isAgain := indexOf(again, name) >= 0
			guest := c.setUp(name, w, isAgain)
			guest.Again = isAgain
			guests = append(guests, guest)
		}
	}
	return guests, c.errs.err()
}

// Guests is [Page.Guests] with line and column in its errors.
func (s *Source) Guests(facts workstation.Facts, resolve Resolver, again ...string) ([]install.Guest, error) {
	guests, err := s.Page.Guests(facts, resolve, again...)
	return guests, s.explain(err)
}

// setsItselfUp reports whether a new VM of the workstation sets itself up.
func setsItselfUp(w Workstation) bool {
	switch w := w.(type) {
	case *Windows11:
		return w.User != nil
	case *LinuxAI:
		return w.User != nil
	case *RustDeskServer:
		return w.User != nil
	}
	return false
}

// setUp returns how a workstation sets itself up.
func (c *conversion) setUp(name string, w Workstation, again bool) install.Guest {
	c.enter(name, w)
	c.has = c.has && !again && !hasSeed(c.facts.VMs[w.VMID()])
	g := install.Guest{VMID: w.VMID()}
	switch w := w.(type) {
	case *Windows11:
		setup := orNew(w.Setup)
		g.Windows, g.Storage, g.Card = c.windows(name, w, *setup), setup.Storage, setup.Card
	case *LinuxAI:
		setup := orNew(w.Setup)
		g.Linux, g.Storage, g.Card = c.linux(name, w.User, *setup), setup.Storage, setup.Card
		g.Linux.Network = c.network(g.VMID, w.Network)
		if w.Models != 0 {
			g.Linux.Models = orNew(setup.Models)
			g.Linux.Models.Slot = cmp.Or(g.Linux.Models.Slot, "scsi1")
		}
	case *RustDeskServer:
		setup := orNew(w.Setup)
		g.Linux, g.Storage, g.Card = c.linux(name, w.User, *setup), setup.Storage, setup.Card
		g.Linux.Network = c.network(g.VMID, w.Network)
	}
	g.RustDesk = c.firstRustDesk(name, w)
	return g
}

// hasSeed reports whether an earlier set-up has left its CD in the VM: it then
// begins anew.
func hasSeed(vm workstation.VMFacts) bool {
	for _, value := range vm.Config {
		if strings.Contains(value, ":iso/firstboot-") {
			return true
		}
	}
	return false
}

// orNew returns a copy of a value, or a new one.
func orNew[T any](p *T) *T {
	value := new(T)
	if p != nil {
		*value = *p
	}
	return value
}

func (c *conversion) windows(name string, w *Windows11, setup WindowsSetup) *firstboot.Windows11 {
	g := setup.Windows11
	g.ComputerName = cmp.Or(g.ComputerName, strings.Trim(name[:min(len(name), 15)], "-"))
	g.User, g.Password, g.ProductKey = w.User.Name, c.secret("user.password", w.User.Password), c.secret("setup.product-key", setup.ProductKey)
	if w.Games != 0 {
		g.Games = orNew(setup.Games)
		g.Games.Slot = cmp.Or(g.Games.Slot, "scsi1")
	}
	return &g
}

func (c *conversion) linux(name string, user *Login, setup LinuxSetup) *firstboot.LinuxAI {
	g := setup.LinuxAI
	g.HostName = cmp.Or(g.HostName, name)
	g.User, g.Password, g.Keys = user.Name, c.secret("user.password", user.Password), c.lines("user.keys", user.Keys)
	return &g
}

// lines returns public keys.
func (c *conversion) lines(at string, keys []Key) []string {
	var all []string
	for _, key := range keys {
		all = append(all, key.lines(c.resolveAs(at))...)
	}
	return all
}

func (c *conversion) network(vmid int, n *Network) firstboot.Network {
	if n == nil {
		return firstboot.Network{}
	}
	mac, _ := net.ParseMAC(c.mac(vmid, n)) // it was checked, or is ours
	return firstboot.Network{MAC: mac, Address: n.Address, Gateway: n.Gateway, DNS: n.DNS}
}

// mac returns the hardware address of a VM's first network card: that of the page,
// that which the VM has, or one of PVE's own range with the VMID in it.
func (c *conversion) mac(vmid int, n *Network) string {
	have := ""
	for _, part := range strings.FieldsFunc(c.facts.VMs[vmid].Config["net0"], func(r rune) bool { return r == ',' || r == '=' }) {
		if mac, err := net.ParseMAC(part); err == nil {
			have = mac.String()
		}
	}
	own := net.HardwareAddr{0xbc, 0x24, 0x11, byte(vmid >> 16), byte(vmid >> 8), byte(vmid)}
	return cmp.Or(string(n.MAC), have, own.String())
}

// withMAC gives a new VM the hardware address by which its set-up knows the card.
func (c *conversion) withMAC(vm workstation.VM, n *Network) workstation.VM {
	if n == nil {
		return vm
	}
	property := ",macaddr=" + strings.ToUpper(c.mac(vm.ID, n))
	if n.MAC != "" {
		vm.Config["net0"] = strings.TrimPrefix(vm.Config["net0"]+property, ",")
	} else {
		vm.Defaults["net0"] += property
	}
	return vm
}

// firstRustDesk returns the set-up of RustDesk in a new guest, if the page has the
// guest and a package for it.
func (c *conversion) firstRustDesk(name string, w Workstation) *rustdesk.Setup {
	system, known := rustdesk.OSOf(w.guest())
	remote := c.page.Remote
	if remote == nil || remote.RustDesk == nil || !known || indexOf(remote.RustDesk.Guests, name) < 0 || remote.RustDesk.Packages[system] == (rustdesk.Package{}) {
		return nil
	}
	c.key = "remote"
	return c.rustDesk(system)
}

// checkSetUp reports keys that would have no effect.
func checkSetUp(errs *Errors, key string, w Workstation) {
	var user, setup, network, cloudInit bool
	switch w := w.(type) {
	case *Windows11:
		user, setup = w.User != nil, w.Setup != nil
		checkDisk(errs, key+".setup.games", setup && w.Setup.Games != nil, w.Games, "games")
	case *LinuxAI:
		user, setup, network, cloudInit = w.User != nil, w.Setup != nil, w.Network != nil, w.CloudInit != nil
		checkDisk(errs, key+".setup.models", setup && w.Setup.Models != nil, w.Models, "models")
	case *RustDeskServer:
		user, setup, network, cloudInit = w.User != nil, w.Setup != nil, w.Network != nil, w.CloudInit != nil
		checkDisk(errs, key+".setup.models", setup && w.Setup.Models != nil, 0, "models")
	}
	switch {
	case user && cloudInit:
		errs.add(key+".cloud-init", "the guest would be told two things: want user, network and setup, or cloud-init")
	case !user && setup:
		errs.add(key+".setup", "without a user nobody could log in: add user")
	case !user && network:
		errs.add(key+".network", "it is for guests that set themselves up: add user, or put it into cloud-init")
	}
}

func checkDisk(errs *Errors, key string, set bool, size storage.Size, name string) {
	if set && size == 0 {
		errs.add(key, "the workstation has no such disk: give its size at %s", name)
	}
}
