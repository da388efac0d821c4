package inventory_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/workstation/inventory"
)

// conf describes a VM's configuration in the language of hosttree.
func conf(vmid int, lines ...string) string {
	return fmt.Sprintf("file etc/pve/nodes/pve/qemu-server/%d.conf %s", vmid, strconv.Quote(strings.Join(lines, "\n")+"\n"))
}

// container describes a container's configuration in the language of hosttree.
func container(lines string) string {
	return "file etc/pve/lxc/105.conf " + strconv.Quote("arch: amd64\n"+lines+"\n")
}

// The configurations of VMs are checked against their host. Each case is a
// host, its VMs, and the findings that must appear (ID, subject, and a part of
// the text).
func TestVMsOfAHost(t *testing.T) {
	t.Parallel()
	q35 := []string{"machine: q35", "bios: ovmf"}
	card := append([]string{"hostpci0: 0000:01:00,pcie=1,x-vga=1", "onboot: 1"}, q35...)
	for name, test := range map[string]struct {
		host  string
		lines []string
		wants [][3]string
		never []string
	}{
		"two VMs with the card start with the host": {"reference", []string{conf(140, card...), conf(141, card...)},
			[][3]string{{"gpu.onboot-race", "VMs 140 and 141", "onboot on one of them only"}}, nil},
		"one of them is a template": {"reference", []string{conf(140, card...), conf(9000, append(card, "template: 1")...)}, nil, []string{"gpu.onboot-race", "gpu.shared-card", "9000"}},
		"a snapshot has the card, the VM has not": {"reference", []string{conf(140, card...), conf(141, "cores: 2", "[before]", "hostpci0: 0000:01:00", "onboot: 1")}, nil,
			[]string{"gpu.onboot-race", "141"}},
		"the card goes with the next start": {"reference", []string{conf(140, card...), conf(141, append(card, "[PENDING]", "delete: hostpci0")...)}, nil, []string{"gpu.onboot-race"}},
		"the card comes with the next start": {"reference", []string{conf(140, card...), conf(141, "onboot: 1", "machine: q35", "[PENDING]", "hostpci0: 0000:01:00,pcie=1")},
			[][3]string{{"gpu.onboot-race", "VMs 140 and 141", "onboot"}}, nil},
		"the host's disk": {"reference", []string{conf(140, append([]string{"hostpci1: 0000:02:00.0,pcie=1"}, q35...)...)},
			[][3]string{{"iommu.in-use", "VM 140 0000:02:00.0", "qm set 140 --delete hostpci1"}}, nil},
		"memory that the firmware keeps": {"reference", []string{conf(140, append([]string{"hostpci1: 0000:00:1f.6,pcie=1"}, q35...)...),
			`file sys/kernel/iommu_groups/7/reserved_regions "0x7b800000 0x7fffffff direct\n"`}, [][3]string{{"iommu.reserved-memory", "VM 140 0000:00:1f", "1:1"}}, []string{"devices with reserved memory"}},
		"the host's disk by args": {"reference", []string{conf(140, "args: -device vfio-pci,host=0000:02:00.0")},
			[][3]string{{"iommu.in-use", "VM 140 0000:02:00.0", "/etc/pve/qemu-server/140.conf"}}, nil},
		"the host's network card in the group": {"shared-group", []string{conf(140, "hostpci0: 0000:04:00")}, [][3]string{{"iommu.shared-group", "0000:04:00", "default route"}}, []string{"gpu.takes-along"}},
		"a card alone and a card in a shared group": {"shared-group", []string{"function 0000:02:00.0 class=030000 id=10de:1c82 group=40 driver=vfio-pci",
			conf(140, "hostpci0: 0000:02:00.0", "hostpci1: 0000:03:00.0")}, [][3]string{{"iommu.shared-group", "VM 140 0000:03:00", "0000:03:00 shares its IOMMU group 12"}}, []string{"0000:02:00 shares"}},
		"the host's network card itself": {"shared-group", []string{conf(140, "hostpci0: 0000:03:00")}, [][3]string{{"iommu.in-use", "VM 140 0000:03:00.0", "default route"}}, []string{"gpu.takes-along"}},
		"a physical function and its virtual ones": {"igpu-virtual-functions-gone", []string{conf(100, append([]string{"hostpci0: 0000:00:02,pcie=1"}, q35...)...)},
			[][3]string{{"gpu.physical-taken", "0000:00:02.0", "0000:00:02.1"}}, nil},
		"x-vga in place of legacy-igd": {"reference", []string{conf(130, "bios: ovmf", "hostpci0: 0000:00:02.0,romfile=CFL_CML_GOPv9.1_igd.rom,x-vga=1", "vga: none", "ostype: l26")},
			[][3]string{{"gpu.igd-headless", "VM 130 hostpci0", "legacy-igd=1 in place of x-vga=1"}}, nil},
		"legacy-igd on q35": {"reference", []string{conf(130, "hostpci0: 0000:00:02.0,legacy-igd=1,romfile=igd.rom", "machine: q35", "vga: none")},
			[][3]string{{"inventory.hostpci-refused", "VM 130 hostpci0", "qm set 130 --machine pc"}}, nil},
		"pcie=1 on i440fx": {"reference", []string{conf(140, "hostpci0: 0000:01:00,pcie=1")},
			[][3]string{{"inventory.hostpci-refused", "VM 140 hostpci0", "qm set 140 --machine q35"}}, nil},
		"a ROM that is hidden": {"reference", []string{conf(140, append([]string{"hostpci0: 0000:01:00,pcie=1,rombar=0,romfile=card.rom"}, q35...)...)},
			[][3]string{{"gpu.rombar", "VM 140 hostpci0", "Remove rombar=0"}}, nil},
		"a device named twice": {"reference", []string{conf(140, append([]string{"hostpci1: 0000:01:00,pcie=1", "hostpci3: 0000:01:00.1,pcie=1"}, q35...)...)},
			[][3]string{{"gpu.assigned-twice", "VM 140", "qm set 140 --delete hostpci3"}}, []string{"inventory.hostpci-refused"}},
		"a card that moved": {"reference", []string{conf(140, append([]string{"hostpci0: 0000:05:00,pcie=1"}, q35...)...)},
			[][3]string{{"gpu.no-device", "VM 140 hostpci0", "0000:01:00.0 (NVIDIA Blackwell"}}, nil},
		"half a card": {"reference", []string{conf(140, append([]string{"hostpci0: 0000:01:00.0,pcie=1"}, q35...)...)},
			[][3]string{{"gpu.partial-card", "VM 140 hostpci0", "0000:01:00"}}, nil},
		"a card in two values": {"reference", []string{conf(140, append([]string{"hostpci0: 0000:01:00.0,pcie=1", "hostpci1: 0000:01:00.1,pcie=1"}, q35...)...)}, nil,
			[]string{"gpu.partial-card", "iommu.shared-group", "gpu.takes-along"}},
		"a disk of many uses": {"reference", []string{conf(140, append([]string{"hostpci1: 0000:02:00.0,pcie=1"}, q35...)...)},
			[][3]string{{"iommu.in-use", "VM 140 0000:02:00.0", "/boot/efi on nvme0n1p2 on nvme0n1; swap on"}}, nil},
		"a mapping of another card": {"reference", []string{"file etc/hostname pve", conf(140, append([]string{"hostpci0: mapping=gpu,pcie=1"}, q35...)...),
			`file etc/pve/mapping/pci.cfg "gpu\n\tmap id=10de:2684,iommugroup=1,node=pve,path=0000:01:00\n"`},
			[][3]string{{"gpu.mapping-model", "VM 140", "10de:2684"}}, nil},
		"a mapping that is not there": {"reference", []string{"file etc/hostname pve", conf(140, append([]string{"hostpci0: mapping=gone,pcie=1"}, q35...)...)},
			[][3]string{{"gpu.mapping-not-here", "VM 140", "gone"}}, nil},
		"a container with the card": {"reference", []string{conf(140, card...), container("dev0: /dev/dri/renderD129,gid=104"), "link sys/class/drm/renderD129/device ../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0"},
			[][3]string{{"inventory.container-card", "VM 140 hostpci0", "pct set 105 --delete dev0"}}, nil},
		"a container with another card": {"reference", []string{conf(140, card...), container("dev0: /dev/dri/renderD128,gid=104"), "link sys/class/drm/renderD128/device ../../../devices/pci0000:00/0000:00:02.0"}, nil,
			[]string{"inventory.container-card"}},
		"a container with NVIDIA's devices": {"reference", []string{conf(140, card...), container("lxc.cgroup2.devices.allow: c 195:* rwm\nlxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file")},
			[][3]string{{"inventory.container-card", "VM 140 hostpci0", "out of /etc/pve/lxc/105.conf"}}, nil},
		"a container with all of /dev/dri": {"reference", []string{conf(130, append([]string{"hostpci0: 0000:00:02.0"}, q35...)...), container("lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir")},
			[][3]string{{"inventory.container-card", "VM 130 hostpci0", "pct stop 105"}}, nil},
		"a container that had the card when a snapshot was made": {"reference", []string{conf(140, card...), container("[before]\ndev0: /dev/nvidia0")}, nil, []string{"inventory.container-card"}},
		"a configuration that only root may read": {"reference", []string{conf(140, card...), "deny etc/pve/nodes/pve/qemu-server/140.conf"},
			[][3]string{{"inventory.vms-unread", "/etc/pve/qemu-server/140.conf", "as root"}}, nil},
		"a cluster file system that is not there": {"reference", []string{"remove etc/pve/qemu-server"}, [][3]string{{"inventory.vms-unread", "/etc/pve/qemu-server", "pve-cluster"}}, nil},
		"a host that is no node":                  {"reference", nil, nil, []string{"inventory."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := test.lines
			if test.host != "reference" { // every node has this link, but the trees of these hosts lack it
				lines = append([]string{"link etc/pve/qemu-server nodes/pve/qemu-server"}, lines...)
			}
			if name == "a host that is no node" {
				lines = []string{"remove etc/pve"}
			}
			tree, err := hosttree.Load(test.host, lines...)
			if err != nil {
				t.Fatal(err)
			}
			report, err := inventory.Read(tree)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.wants {
				if !slices.ContainsFunc(report.Findings, func(f proxstation.Finding) bool {
					return f.ID == want[0] && strings.HasPrefix(f.Subject, want[1]) && strings.Contains(f.String(), want[2])
				}) {
					t.Errorf("no %v among %v", want, report.Findings)
				}
			}
			for _, f := range report.Findings {
				for _, word := range test.never {
					if strings.Contains(f.String(), word) {
						t.Errorf("%q is in %v", word, f)
					}
				}
			}
		})
	}
}

func ExampleInventory_AddVMs() {
	tree, err := hosttree.Load("reference", conf(140, "name: games", "hostpci0: 0000:01:00,pcie=1", "machine: q35"))
	if err != nil {
		panic(err)
	}
	report, err := inventory.Read(tree) // Read adds the VMs of the host
	fmt.Println(report.VMs, err)
	// Output: [{140 games false [hostpci0: 0000:01:00,pcie=1]}] <nil>
}

func ExampleParseConfig() {
	config := inventory.ParseConfig("#a note\nmemory: 8192\nhostpci0: 0000:01:00,pcie=1\n\n[PENDING]\nmemory: 16384\n\n[before]\nmemory: 4096\n")
	fmt.Println(config["memory"], config["hostpci0"])
	// Output: 16384 0000:01:00,pcie=1
}

func FuzzParseConfig(f *testing.F) {
	f.Add("#a\nname: x\nhostpci0: 0000:01:00,pcie=1\n[PENDING]\ndelete: name,!hostpci0\n[snap]\nname: y\n[special:cloudinit]\nname: z\n")
	f.Fuzz(func(t *testing.T, text string) {
		config := inventory.ParseConfig(text)
		var printed strings.Builder
		for key, value := range config {
			fmt.Fprintf(&printed, "%s: %s\n", key, value)
		}
		again := inventory.ParseConfig(printed.String())
		for key, value := range config {
			if again[key] != value {
				t.Errorf("%s is %q, printed and parsed %q", key, value, again[key])
			}
		}
	})
}
