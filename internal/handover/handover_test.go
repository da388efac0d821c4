package handover_test

import (
	"slices"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/handover"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

func function(address string, class iommu.Class, group int, driver string) iommu.Function {
	a, err := iommu.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return iommu.Function{Address: a, Class: class, Group: iommu.Group(group), Driver: driver}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	host := handover.Host{
		PCI: gpu.Node{Functions: []iommu.Function{
			function("0000:00:14.0", 0x0c0330, 1, "xhci_hcd"), function("0000:00:17.0", 0x010601, 2, "ahci"),
			function("0000:00:1f.3", 0x040300, 3, "snd_hda_intel"), function("0000:00:1f.6", 0x020000, 3, "e1000e"),
			function("0000:01:00.0", 0x030000, 4, "nouveau"), function("0000:01:00.2", 0x0c0330, 4, "xhci_hcd"),
			function("0000:02:00.0", 0x010802, 5, "nvme"),
		}},
		Disks: []storage.Disk{{Path: "/dev/nvme0n1", Use: "ZFS"}, {Path: "/dev/sda"}},
		Ports: []string{"eno1"},
	}
	running := host
	if value, err := gpu.ParseHostPCI("0000:00:1f.3"); err == nil { // another running VM already has this group, which includes the network card
		running.Gone = []gpu.HostPCI{value}
	}
	for _, test := range []struct {
		host  handover.Host
		value string
		want  []string
	}{
		{host, "0000:01:00", nil},
		{host, "0000:02:00.0", []string{"switch.host-storage blocker"}},
		{host, "0000:00:17.0", []string{"switch.host-storage warning"}},
		{host, "0000:00:1f.3", []string{"switch.host-network blocker"}},
		{running, "0000:00:1f.3", nil},
		{host, "0000:00:14.0,x-vga=1", []string{"switch.no-display blocker"}},
	} {
		value, err := gpu.ParseHostPCI(test.value)
		if err != nil {
			t.Fatal(err)
		}
		vm := handover.VM{ID: 140, Name: "VM 140 windows", Values: []gpu.HostPCI{value}}
		var got []string
		for _, f := range test.host.Check(vm, "hostpci0", value) {
			got = append(got, f.ID+" "+f.Severity.String())
			if f.Subject != "VM 140 windows hostpci0" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v", test.value, f)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.value, got, test.want)
		}
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	card := function("0000:01:00.0", 0x030000, 4, "nouveau")
	card.Model = iommu.Model{Vendor: gpu.NVIDIA, Device: 0x2c05}
	host := handover.Host{PCI: gpu.Node{Functions: []iommu.Function{card}}}
	value, err := gpu.ParseHostPCI("0000:01:00.0")
	if err != nil {
		t.Fatal(err)
	}
	vm := handover.VM{ID: 140, Name: "VM 140 windows", Values: []gpu.HostPCI{value}}
	var got []string
	for _, f := range host.CheckUsers(vm, []gpu.Container{{VMID: 110, Name: "plex", Devices: []string{"/dev/nvidia0"}}}) {
		got = append(got, f.ID+" "+f.Subject)
	}
	if want := []string{"switch.host-driver VM 140 windows", "switch.container container 110 plex"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if disks, usb, network := host.Takes(vm); disks || usb || network {
		t.Errorf("a card alone: %v %v %v", disks, usb, network)
	}
}
