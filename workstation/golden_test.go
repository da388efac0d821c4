package workstation_test

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A golden is a VM of a profile, with the configuration that PVE must have
// after the VM is made.
type golden struct {
	name   string
	vm     workstation.VM
	config map[string]string // the configuration without random values, as settled returns it
}

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a me@desk"

// goldens returns the profiles in the forms that people want, for the reference
// host with its card mapped as rtx5070ti.
func goldens() []golden {
	const installer, drivers, ubuntu = "local:iso/Win11_25H2_English_x64.iso", "local:iso/virtio-win-0.1.285.iso", "local:iso/ubuntu-24.04.3-live-server-amd64.iso"
	const image = "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"
	windows := map[string]string{"agent": "enabled=1", "balloon": "0", "bios": "ovmf", "boot": "order=scsi0", "cores": "8", "cpu": "host", "machine": "pc-q35-10.1", "memory": "16384",
		"name": "windows", "net0": "virtio=MAC,bridge=vmbr0", "ostype": "win11", "scsihw": "virtio-scsi-single", "sockets": "1", "vga": "std",
		"efidisk0":  "local-lvm:vm-140-disk-0,efitype=4m,pre-enrolled-keys=1,size=4M",
		"scsi0":     "local-lvm:vm-140-disk-1,discard=on,iothread=1,size=128G,ssd=1",
		"tpmstate0": "local-lvm:vm-140-disk-2,size=4M,version=v2.0"}
	linux := map[string]string{"agent": "enabled=1", "balloon": "0", "bios": "ovmf", "boot": "order=scsi0", "cores": "8", "cpu": "host", "machine": "q35", "memory": "32768",
		"name": "linux-ai", "net0": "virtio=MAC,bridge=vmbr0", "ostype": "l26", "scsihw": "virtio-scsi-single", "sockets": "1", "vga": "std",
		"efidisk0": "local-lvm:vm-141-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M",
		"scsi0":    "local-lvm:vm-141-disk-1,discard=on,iothread=1,size=64G,ssd=1"}
	tuning := profile.Tuning{Pin: "2-7", HugePages: storage.GiB, USB: []string{"keyboard", "046d:c52b", "1-2.3"}, Audio: true}
	tuned := map[string]string{"affinity": "2-7", "hugepages": "1024", "numa": "1", "cores": "6", "usb0": "mapping=keyboard", "usb1": "host=046d:c52b",
		"usb2": "host=1-2.3", "audio0": "device=ich9-intel-hda,driver=none"}
	cloud := map[string]string{"ide2": "local-lvm:vm-141-cloudinit,media=cdrom", "serial0": "socket"}
	return []golden{
		{"Windows 11", profile.Windows11{}.VM(), windows},
		{"Windows 11, being installed", profile.Windows11{Card: "rtx5070ti", Install: installer, Drivers: drivers}.VM(), with(windows, map[string]string{
			"boot": "order=scsi0;ide2", "hostpci0": "mapping=rtx5070ti,pcie=1",
			"ide0": drivers + ",media=cdrom,size=771485K", "ide2": installer + ",media=cdrom,size=7554810K"})},
		{"Windows 11, for games", profile.Windows11{Card: "rtx5070ti", Games: 100 * storage.GiB}.VM(), with(windows, map[string]string{
			"hostpci0": "mapping=rtx5070ti,pcie=1,x-vga=1", "vga": "none", "scsi1": "service-pool:vm-140-disk-0,discard=on,iothread=1,size=100G,ssd=1"})},
		{"Windows 11, tuned", profile.Windows11{Card: "rtx5070ti", Cores: 6, Tuning: tuning}.VM(), with(windows, tuned, map[string]string{
			"hostpci0": "mapping=rtx5070ti,pcie=1,x-vga=1", "vga": "none"})},
		{"Linux", profile.LinuxAI{}.VM(), linux},
		{"Linux, being installed", profile.LinuxAI{Card: "rtx5070ti", Install: ubuntu}.VM(), with(linux, map[string]string{
			"boot": "order=scsi0;ide2", "hostpci0": "mapping=rtx5070ti,pcie=1", "ide2": ubuntu + ",media=cdrom,size=3226020K"})},
		{"Linux, a cloud image", profile.LinuxAI{Image: image}.VM(), with(linux, cloud, map[string]string{"ipconfig0": "ip=dhcp"})},
		{"Linux, a cloud image that is told all", profile.LinuxAI{Image: image, Card: "rtx5070ti", Models: 80 * storage.GiB, CloudInit: profile.CloudInit{
			User: "ai", Password: proxstation.NewSecret("hunter2"), SSHKeys: []string{publicKey, publicKey + "+2"}, Domain: "home.arpa",
			Address: netip.MustParsePrefix("192.168.1.41/24"), Gateway: netip.MustParseAddr("192.168.1.1"),
			DNS: []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("9.9.9.9")}}}.VM(), with(linux, cloud, map[string]string{
			"hostpci0": "mapping=rtx5070ti,pcie=1", "scsi1": "service-pool:vm-141-disk-0,discard=on,iothread=1,size=80G,ssd=1",
			"ciuser": "ai", "cipassword": "hunter2", "ipconfig0": "ip=192.168.1.41/24,gw=192.168.1.1", "nameserver": "192.168.1.1 9.9.9.9", "searchdomain": "home.arpa",
			"sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a%20me%40desk%0A" +
				"ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a%20me%40desk%2B2%0A"})},
		{"Linux, a cloud image on IPv6", profile.LinuxAI{Image: image, CloudInit: profile.CloudInit{
			Address: netip.MustParsePrefix("fd00::41/64"), Gateway: netip.MustParseAddr("fe80::1")}}.VM(), with(linux, cloud, map[string]string{"ipconfig0": "ip6=fd00::41/64,gw6=fe80::1"})},
		{"A server for RustDesk", profile.RustDeskServer{Image: image}.VM(), with(linux, cloud, map[string]string{"name": "rustdesk-server", "cores": "1", "memory": "1024",
			"onboot": "1", "ipconfig0": "ip=dhcp", "efidisk0": "local-lvm:vm-120-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M",
			"scsi0": "local-lvm:vm-120-disk-1,discard=on,iothread=1,size=8G,ssd=1", "ide2": "local-lvm:vm-120-cloudinit,media=cdrom"})},
		{"Linux, tuned", profile.LinuxAI{Card: "rtx5070ti", Cores: 6, Tuning: tuning}.VM(), with(linux, tuned, map[string]string{"hostpci0": "mapping=rtx5070ti,pcie=1"})},
	}
}

func with(config map[string]string, more ...map[string]string) map[string]string {
	config = maps.Clone(config)
	for _, m := range more {
		maps.Copy(config, m)
	}
	return config
}

var mac = regexp.MustCompile(`BC:24:11(:[0-9A-F]{2}){3}`)

// This returns a configuration without the values that PVE makes at random.
func settled(config map[string]string) map[string]string {
	config = maps.Clone(config)
	for _, key := range []string{"meta", "smbios1", "vmgenid"} {
		delete(config, key)
	}
	config["net0"] = mac.ReplaceAllString(config["net0"], "MAC")
	return config
}

// asRoot logs in as root@pam with the password. Only this login may set the
// keys that tuning asks for.
func asRoot(t *testing.T, sim *pvetest.Node) *workstation.Node {
	t.Helper()
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// TestGoldens makes and starts each golden on an embedded node, which checks
// PVE's schema and rules. Plans before and after the start are empty.
func TestGoldens(t *testing.T) {
	t.Parallel()
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if err := g.vm.Validate(); err != nil {
					t.Fatal(err)
				}
				sim := pvetest.New(pvetest.Reference(), nil)
				node := asRoot(t, sim)
				spec := workstation.Spec{VMs: []workstation.VM{g.vm}, Mappings: []workstation.CardMapping{{ID: "rtx5070ti", Card: rtx}}}
				first := plan(t, node, spec)
				if err := node.Apply(t.Context(), first, nil); err != nil {
					t.Fatalf("%v\n%s", err, first)
				}
				state, _ := sim.VM(g.vm.ID)
				if have := settled(state.Config); !maps.Equal(have, g.config) {
					t.Errorf("PVE has\n%s\nwant\n%s", lines(have), lines(g.config))
				}
				if again := plan(t, node, spec); !again.Empty() {
					t.Errorf("a second plan is not empty:\n%s", again)
				}
				if err := sim.PowerOn(g.vm.ID); err != nil {
					t.Errorf("it does not start: %v", err)
				}
				if again := plan(t, node, spec); !again.Empty() {
					t.Errorf("a plan of the running VM is not empty:\n%s", again)
				}
				if err := sim.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func lines(config map[string]string) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(config)) {
		text += key + ": " + config[key] + "\n"
	}
	return text
}
