package workstation

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
)

// A Secret is text that prints as "[secret]" everywhere, in JSON too.
type Secret = proxstation.Secret

// NewSecret returns the secret that text is, and the zero Secret for "".
func NewSecret(text string) Secret { return proxstation.NewSecret(text) }

// CloudInitDrive is the Volume of a [Disk] that is the drive of cloud-init: PVE
// makes it, 4 MiB on a storage for disks, and writes it anew from the
// configuration at every start (PVE manual, Cloud-Init Support).
const CloudInitDrive = "cloudinit"

// A CloudInit is what a cloud image is told at its first boot (PVE manual,
// Cloud-Init Support). Nothing set, the guest asks DHCP for an address and has
// no user that could log in. What else cloud-init can do goes into VM.Config,
// as cicustom with the volumes of snippets.
type CloudInit struct {
	// User is the login; empty is the image's own ("ubuntu", "debian").
	User string
	// Password is the login's password. SSHKeys are better: PVE keeps a
	// password in the VM's configuration and on the drive. PVE never tells it,
	// so one that is there is left alone: put "cipassword" into VM.Absent once
	// to have another set.
	Password Secret
	// SSHKeys are the public keys that may log in, each a line as in
	// id_ed25519.pub.
	SSHKeys []string
	// Address is the guest's own address with the length of its network,
	// "192.168.1.41/24"; unset, DHCP. Gateway goes with it.
	Address netip.Prefix
	Gateway netip.Addr
	// DNS are name servers, Domain the search domain; without both the guest
	// gets the host's.
	DNS    []netip.Addr
	Domain string
}

func (c CloudInit) isZero() bool {
	return c.User == "" && c.Password.IsZero() && len(c.SSHKeys) == 0 && !c.Address.IsValid() && !c.Gateway.IsValid() && len(c.DNS) == 0 && c.Domain == ""
}

// into gives the VM the drive of cloud-init and what is to be on it.
func (c CloudInit) into(vm *VM, slot string) {
	vm.Disks = append(vm.Disks, Disk{Slot: slot, Purpose: storage.Firmware, Volume: CloudInitDrive})
	vm.Password = c.Password
	set := func(key, value string) {
		if value != "" {
			vm.Config[key] = value
		}
	}
	ip, gw := "ip", "gw"
	if c.Address.Addr().Is6() {
		ip, gw = "ip6", "gw6"
	}
	address := ip + "=dhcp"
	if c.Address.IsValid() {
		address = ip + "=" + c.Address.String()
	}
	if c.Gateway.IsValid() {
		address += "," + gw + "=" + c.Gateway.String()
	}
	var servers []string
	for _, server := range c.DNS {
		servers = append(servers, server.String())
	}
	set("ipconfig0", address)
	set("ciuser", c.User)
	set("sshkeys", encodeKeys(c.SSHKeys))
	set("nameserver", strings.Join(servers, " "))
	set("searchdomain", c.Domain)
}

// passwordKey is the key that PVE tells as "**********" (qemu-server
// PVE/API2/Qemu.pm).
const passwordKey = "cipassword"

// withPassword returns the values with the password among them, to send.
func withPassword(values map[string]string, password Secret) map[string]string {
	if password.IsZero() {
		return values
	}
	sent := map[string]string{passwordKey: password.Reveal()}
	for key, value := range values {
		sent[key] = value
	}
	return sent
}

func passwordLines(password Secret) []Line {
	if password.IsZero() {
		return nil
	}
	return []Line{{Sign: Add, Key: passwordKey, Want: password.String()}}
}

// cloudInitVolume is a drive of cloud-init, made or asked for (qemu-server
// PVE/QemuServer/Drive.pm, drive_is_cloudinit).
var cloudInitVolume = regexp.MustCompile(`[:/](vm-\d+-)?cloudinit(\.(raw|qcow2|vmdk))?$`)

func isCloudInit(value string) bool {
	drive, err := storage.ParseDrive(value)
	return err == nil && cloudInitVolume.MatchString(drive.Volume)
}

func (d Disk) cloudInit() bool { return d.Volume == CloudInitDrive }

// encodeKeys writes public keys as PVE wants them: one to a line, and escaped
// as encodeURIComponent does, so that a space is %20 and never +.
func encodeKeys(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	lines := ""
	for _, key := range keys {
		lines += strings.TrimSpace(key) + "\n"
	}
	return strings.ReplaceAll(url.QueryEscape(lines), "+", "%20")
}

// sshKeys returns the keys in a value of sshkeys.
func sshKeys(encoded string) []string {
	lines, err := url.PathUnescape(encoded)
	if err != nil {
		return []string{encoded}
	}
	var keys []string
	for line := range strings.Lines(lines) {
		if key := strings.TrimSpace(line); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// badKey returns what is wrong with a line that should be a public key, or "".
// It never shows the line: people paste private keys by mistake.
func badKey(line string) string {
	if strings.Contains(line, "PRIVATE KEY") {
		return "that is a private key: give the one in the .pub file"
	}
	fields := strings.Fields(line)
	for i := range len(fields) - 1 {
		blob, err := base64.StdEncoding.DecodeString(fields[i+1])
		if parts := sshStrings(blob); err == nil && len(parts) > 1 && parts[0] == fields[i] {
			return ""
		}
	}
	return "not a public key: want a line such as ssh-ed25519 AAAA... name"
}

// sshStrings splits a public key into its strings, the first of which says its
// type (RFC 4253, section 6.6; RFC 4251, section 5); nil if it is none.
func sshStrings(blob []byte) []string {
	var parts []string
	for len(blob) > 0 {
		if len(blob) < 4 || uint64(binary.BigEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return nil
		}
		n := 4 + int(binary.BigEndian.Uint32(blob))
		parts, blob = append(parts, string(blob[4:n])), blob[n:]
	}
	return parts
}

// checkCloudInit reports what cloud-init could make nothing of.
func (vm VM) checkCloudInit(problems *problems) {
	drives := 0
	for _, disk := range vm.Disks {
		if disk.cloudInit() {
			drives++
		}
	}
	if drives > 1 {
		problems.add(vm, "disk", "", "a VM has one drive of cloud-init")
	}
	if _, there := vm.Config[passwordKey]; there {
		problems.add(vm, passwordKey, "", "a password belongs in VM.Password, so that no plan shows it")
	}
	for _, key := range sortedKeys(vm.Config) {
		privilege := keyPrivileges[family(key)]
		if drives == 0 && strings.Contains(privilege, "Cloudinit") {
			problems.add(vm, key, "", "without a drive of cloud-init it reaches nobody: it goes with a cloud image, not with an installer")
		}
		if family(key) == "ipconfig" {
			if why := badAddress(vm.Config[key]); why != "" {
				problems.add(vm, key, vm.Config[key], why)
			}
		}
	}
	switch {
	case vm.Password.IsZero():
	case drives == 0:
		problems.add(vm, passwordKey, "", "without a drive of cloud-init it reaches nobody")
	case slices.Contains(vm.Absent, passwordKey):
		problems.add(vm, passwordKey, "", "both wanted and absent")
	}
	for i, key := range sshKeys(vm.Config["sshkeys"]) {
		if why := badKey(key); why != "" {
			problems.add(vm, fmt.Sprintf("sshkeys, key %d", i+1), "", why)
		}
	}
}

// badAddress returns what is wrong with a value of ipconfig, or "" (qemu-server
// PVE/QemuServer/Network.pm, parse_ipconfig; PVE only warns of some of it and
// then ignores the value).
func badAddress(value string) string {
	p := parseProperties("ipconfig0", value)
	for _, v := range []struct{ ip, gateway, words string }{{"ip", "gw", "dhcp manual"}, {"ip6", "gw6", "dhcp auto manual"}} {
		ip, _ := p.get(v.ip)
		gateway, routed := p.get(v.gateway)
		prefix, err := netip.ParsePrefix(ip)
		fixed := err == nil && prefix.Addr().Is4() == (v.ip == "ip")
		switch router, err := netip.ParseAddr(gateway); {
		case ip != "" && !fixed && !strings.Contains(v.words, ip):
			return v.ip + " wants an address with the length of its network, such as 192.168.1.41/24"
		case routed && !fixed:
			return v.gateway + " needs " + v.ip + " with an address of its own"
		case routed && (err != nil || router.Is4() != prefix.Addr().Is4()):
			return v.gateway + " is no such address"
		case routed && v.ip == "ip" && !prefix.Contains(router):
			return v.gateway + " is not in the network of " + v.ip
		}
	}
	return ""
}

// checkNewCloudInit refuses a drive of cloud-init in place of a disk, and a
// second one, which PVE refuses.
func (d *differ) checkNewCloudInit(vm VM, slot string, have map[string]string) {
	d.checkReplaced(vm, Disk{Slot: slot, Volume: CloudInitDrive}, have[slot])
	for _, key := range sortedKeys(have) {
		if slotFormat.MatchString(key) && isCloudInit(have[key]) {
			d.problems.add(vm, slot, "", "the VM has its drive of cloud-init at "+key)
		}
	}
}
