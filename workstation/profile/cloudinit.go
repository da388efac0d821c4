package profile

import (
	"net/netip"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A CloudInit is the configuration that a cloud image gets at its first boot
// (PVE manual, Cloud-Init Support). With the zero CloudInit, a new guest asks
// DHCP for an address and has no user that could log in. If a field is not set,
// an existing VM keeps its value. For other features of cloud-init use
// VM.Config: cicustom names volumes of snippets.
type CloudInit struct {
	// User is the login. If it is empty, the image's own user stays ("ubuntu",
	// "debian").
	User string
	// Password is the login's password. SSHKeys are better, because PVE keeps a
	// password in the VM's configuration and on the drive. PVE never shows the
	// password, so the plan leaves an existing password alone. To replace it,
	// put "cipassword" into VM.Absent once.
	Password proxstation.Secret
	// SSHKeys holds the public keys that may log in, each a line as in
	// id_ed25519.pub.
	SSHKeys []string
	// Address is the guest's fixed address with the length of its network, such
	// as "192.168.1.41/24". If it is not set, the guest asks DHCP. Gateway may
	// only be set together with Address.
	Address netip.Prefix
	Gateway netip.Addr
	// DNS holds name servers, and Domain is the search domain. If neither is
	// set, the guest gets the host's name servers and domain.
	DNS    []netip.Addr
	Domain string
}

func (c CloudInit) isZero() bool {
	return c.User == "" && c.Password.IsZero() && len(c.SSHKeys) == 0 && !c.Address.IsValid() && !c.Gateway.IsValid() && len(c.DNS) == 0 && c.Domain == ""
}

// The method "into" gives the VM a cloud-init drive and its settings.
func (c CloudInit) into(vm *workstation.VM, slot string) {
	drive := workstation.Disk{Slot: slot, Purpose: storage.Firmware, Volume: qmconf.CloudInitDrive}
	if c.isZero() {
		drive.NewSize = firmwareSize
	}
	vm.Disks = append(vm.Disks, drive)
	vm.Password = c.Password
	set := func(key, value string) {
		if value != "" {
			vm.Config[key] = value
		}
	}
	ip, gw := "ip", "gw"
	if c.Address.Addr().Is6() || !c.Address.IsValid() && c.Gateway.Is6() {
		ip, gw = "ip6", "gw6"
	}
	var network []string
	if c.Address.IsValid() {
		network = append(network, ip+"="+c.Address.String())
	} else {
		vm.Defaults["ipconfig0"] = ip + "=dhcp"
	}
	if c.Gateway.IsValid() {
		network = append(network, gw+"="+c.Gateway.String())
	}
	var servers []string
	for _, server := range c.DNS {
		servers = append(servers, server.String())
	}
	set("ipconfig0", strings.Join(network, ","))
	set("ciuser", c.User)
	set("sshkeys", qmconf.EncodeSSHKeys(c.SSHKeys))
	set("nameserver", strings.Join(servers, " "))
	set("searchdomain", c.Domain)
}
