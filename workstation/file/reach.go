package file

import (
	"cmp"
	"slices"

	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A Reach says what has to be set up in one guest for remote access.
type Reach struct {
	// Workstation is the guest's name on the page. VMID is the ID of its VM.
	Workstation string
	VMID        int
	// RustDesk is the set-up of RustDesk in the guest. It is nil if the guest
	// gets no RustDesk.
	RustDesk *rustdesk.Setup
	// Ways holds the other ways into the guest.
	Ways []access.Way
}

// Reach returns the remote access that the page wants for each guest, sorted by
// the guests' names. The error is an [Errors]. It holds references that the
// Resolver could not resolve, and kinds of access that a guest's system does
// not support.
func (p Page) Reach(resolve Resolver) ([]Reach, error) {
	c := &conversion{page: p, resolve: resolve, errs: p.check(), key: "remote"}
	if err := c.errs.err(); err != nil || p.Remote == nil {
		return nil, err
	}
	var all []Reach
	for _, name := range names(p.Workstations) {
		w := p.Workstations[name]
		r := Reach{Workstation: name, VMID: w.VMID()}
		system, known := rustdesk.OSOf(w.guest())
		for _, way := range []struct {
			key     string
			systems []rustdesk.OS
			add     func()
		}{
			{"rustdesk", []rustdesk.OS{rustdesk.Linux, rustdesk.Windows, rustdesk.MacOS}, func() { r.RustDesk = c.rustDesk(system) }},
			{"ssh", []rustdesk.OS{rustdesk.Linux}, func() { r.Ways = append(r.Ways, c.ssh()) }},
			{"rdp", []rustdesk.OS{rustdesk.Windows}, func() { r.Ways = append(r.Ways, c.rdp()) }},
			{"sunshine", []rustdesk.OS{rustdesk.Linux, rustdesk.Windows}, func() { r.Ways = append(r.Ways, c.sunshine(system)) }},
		} {
			switch {
			case !slices.Contains(p.Remote.on()[way.key], name):
			case !known || !slices.Contains(way.systems, system):
				c.errs.add("remote."+way.key+".guests", "%s runs %s, and this kind of remote access is for %v", name, guestText(w.guest()), way.systems)
			default:
				way.add()
			}
		}
		if r.RustDesk != nil || len(r.Ways) > 0 {
			all = append(all, r)
		}
	}
	return all, c.errs.err()
}

// rustDesk returns the set-up of RustDesk for a guest. The set-up allows
// unattended access, unless the page has other values.
func (c *conversion) rustDesk(system rustdesk.OS) *rustdesk.Setup {
	r := c.page.Remote.RustDesk
	server := r.Server.Server
	server.Key = c.secret("rustdesk.server.key", r.Server.Key)
	config := rustdesk.Unattended(server, c.secret("rustdesk.password", r.Password))
	approve, verify := config.Access.Approve, config.Access.Verify
	config.Access, config.Other = r.Access, r.Other
	config.Access.Approve, config.Access.Verify = cmp.Or(r.Approve, approve), cmp.Or(r.Verify, verify)
	return &rustdesk.Setup{OS: system, Package: r.Packages[system], Config: &config}
}

func (c *conversion) ssh() access.Way {
	r := c.page.Remote.SSH
	way := r.SSH
	if keys := r.Key.lines(c.resolveAs("ssh.key")); len(keys) > 0 {
		way.Key = keys[0]
	}
	return way
}

func (c *conversion) rdp() access.Way {
	r := c.page.Remote.RDP
	way := r.RDP
	way.Password = c.secret("rdp.password", r.Password)
	return way
}

func (c *conversion) sunshine(system rustdesk.OS) access.Way {
	r := c.page.Remote.Sunshine
	way := r.Sunshine
	way.Password, way.Windows, way.Package = c.secret("sunshine.password", r.Password), system == rustdesk.Windows, r.Packages[system]
	return way
}
