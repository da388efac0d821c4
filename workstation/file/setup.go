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

// An Account is the local administrator of a new Windows.
type Account struct {
	// Name is the account's name.
	Name string
	// Password refers to the account's password.
	Password Reference
}

// A Login is a person who may log in to a new Linux.
type Login struct {
	// Name is the login name.
	Name string
	// Password refers to the password of the login.
	Password Reference
	// Keys holds public SSH keys that may log in. Each is a line like that of
	// id_ed25519.pub, or a reference to a file of such lines.
	Keys []Key
}

// A Network is the network configuration of a guest.
type Network struct {
	// Address is the guest's address with the length of its network's prefix,
	// such as "192.168.1.41/24".
	Address netip.Prefix
	// Gateway is the router of the guest's network.
	Gateway netip.Addr
	// DNS holds the name servers. Without it, the image's own servers are used.
	DNS []netip.Addr
	// MAC is the hardware address of the guest's network card. Without it, the
	// address is made from the VMID.
	MAC MAC
}

// A MAC is the hardware address of a network card, such as "bc:24:11:00:00:8d".
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

// A CloudInit is the data that PVE's own drive gives to a cloud image; see
// [profile.CloudInit].
type CloudInit struct {
	profile.CloudInit `omit:"Password,SSHKeys"`
	// Password refers to the password of the login.
	Password Reference
	// Keys holds public SSH keys that may log in. Each is a line like that of
	// id_ed25519.pub, or a reference to a file of such lines.
	Keys []Key
}

// A WindowsSetup says how a new VM installs Windows without a person.
type WindowsSetup struct {
	firstboot.Windows11 `omit:"User,Password,ProductKey,Games"`
	// ProductKey refers to your own product key. It chooses the edition of
	// Windows and activates it.
	ProductKey Reference
	// Games holds the settings of drive D:, such as its name.
	Games *firstboot.GamesDisk
	// Storage is the storage for the CD with the answers; the default is local.
	Storage string
	// Card says when the VM gets its card: later, after Windows is installed,
	// or at-once.
	Card install.CardTime
}

// A LinuxSetup says how a new Linux sets itself up.
type LinuxSetup struct {
	firstboot.LinuxAI `omit:"User,Password,Keys,Network,Models"`
	// Models holds the settings of the disk for models, such as its directory.
	Models *firstboot.ModelsDisk
	// Storage is the storage for the CD with the answers; the default is local.
	Storage string
	// Card says when the VM gets its card: later, after the guest's report, or
	// at-once.
	Card install.CardTime
}

// Guests returns the new VMs that set themselves up, for install.Diff. These
// are the workstations with a user. RustDesk is set up too if the page has a
// package for the guest's system. The parameter "again" lists workstations
// whose set-up failed and is to be repeated. Existing VMs need no secrets,
// unless they are in this list. The error is an [Errors], as for [Page.Spec].
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
	for _, name := range c.here() {
		w := p.Workstations[name]
		if _, elsewhere := facts.Others[w.VMID()]; !elsewhere && setsItselfUp(w) {
			isAgain := indexOf(again, name) >= 0
			guest := c.setUp(name, w, isAgain)
			guest.Again = isAgain
			guests = append(guests, guest)
		}
	}
	return guests, c.errs.err()
}

// Guests does what [Page.Guests] does, with line and column in its errors.
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

// setUp returns the set-up of a workstation's guest.
func (c *conversion) setUp(name string, w Workstation, again bool) install.Guest {
	c.enter(name, w)
	c.has = c.has && !again && !hasSeed(c.facts.VMs[w.VMID()])
	g := install.Guest{VMID: w.VMID(), Set: c.page.turns(name)}
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

// hasSeed reports whether the CD of an earlier set-up is still in the VM, or
// the empty drive that a set-up leaves if it has not ended. In that case the
// set-up goes on, and needs its secrets.
func hasSeed(vm workstation.VMFacts) bool {
	for _, value := range vm.Config {
		if strings.Contains(value, ":iso/firstboot-") || strings.Contains(value, ",serial=firstboot") {
			return true
		}
	}
	return false
}

// orNew returns a copy of *p, or a new value if p is nil.
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

// lines returns the lines of public keys.
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
	mac, _ := net.ParseMAC(c.mac(vmid, n)) // cannot fail: the check of the page has parsed the MAC
	return firstboot.Network{MAC: mac, Address: n.Address, Gateway: n.Gateway, DNS: n.DNS}
}

// mac returns the hardware address of a VM's first network card: from the page,
// else from the VM. If neither has one, the address is made from the VMID.
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

// withMAC sets the hardware address by which the set-up finds the VM's card.
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

// firstRustDesk returns the set-up of RustDesk in a new guest. It returns nil
// if the page does not name the guest or has no package for it.
func (c *conversion) firstRustDesk(name string, w Workstation) *rustdesk.Setup {
	system, known := rustdesk.OSOf(w.guest())
	remote := c.page.Remote
	if remote == nil || remote.RustDesk == nil || !known || indexOf(remote.RustDesk.Guests, name) < 0 || remote.RustDesk.Packages[system] == (rustdesk.Package{}) {
		return nil
	}
	c.key = "remote"
	return c.rustDesk(system)
}

// checkSetUp reports keys that have no effect, and a set-up without a user.
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
		errs.add(key+".cloud-init", "user, network and setup exclude cloud-init, because both configure the guest: want only one of the two")
	case !user && setup:
		errs.add(key+".setup", "without a user nobody could log in: add user")
	case !user && network:
		errs.add(key+".network", "network is for guests that set themselves up: add user, or put the address into cloud-init")
	}
}

func checkDisk(errs *Errors, key string, set bool, size storage.Size, name string) {
	if set && size == 0 {
		errs.add(key, "the workstation has no such disk: give its size at %s", name)
	}
}
