package boot_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/boot"
	"github.com/proxstation/proxstation/iommu"
)

func TestDrives(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config         map[string]string
		system, loader string
		order          []string
	}{
		{map[string]string{"scsi0": "a:vm-1-disk-0,size=64G", "boot": "order=scsi0;net0", "net0": "virtio"}, "scsi0", "", []string{"scsi0"}},
		{map[string]string{"ide0": "a:iso/opencore.iso,size=150M", "virtio0": "a:vm-1-disk-0,size=64G", "boot": "order=ide0;virtio0"}, "virtio0", "ide0", []string{"ide0", "virtio0"}},
		{map[string]string{"sata0": "a:vm-1-disk-1,size=1G", "sata1": "a:vm-1-disk-0,size=64G", "boot": "order=sata0;sata1"}, "sata1", "sata0", []string{"sata0", "sata1"}},
		{map[string]string{"hostpci0": "0000:01:00.0", "scsi0": "a:vm-1-disk-0,size=64G", "boot": "order=hostpci0"}, "", "", []string{"hostpci0"}},
		{map[string]string{"ide2": "none,media=cdrom", "boot": "order=ide2"}, "", "", nil},
	} {
		if got := boot.SystemDisk(test.config); got != test.system {
			t.Errorf("%v: the system is on %q, want %q", test.config, got, test.system)
		}
		if got := boot.Loader(test.config); got != test.loader {
			t.Errorf("%v: the loader is on %q, want %q", test.config, got, test.loader)
		}
		if got := boot.Order(test.config); !slices.Equal(got, test.order) {
			t.Errorf("%v: the order is %v, want %v", test.config, got, test.order)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const system, q35 = "a:vm-1-disk-0,size=64G", "pc-q35-9.0"
	for name, test := range map[string]struct {
		guest gpu.Guest
		now   map[string]string // keys in addition to scsi0, the system disk from which the VM starts
		set   map[string]string
		empty []string
		want  []string
	}{
		"nothing changes":                 {},
		"a new disk comes first":          {set: map[string]string{"boot": "order=scsi1;scsi0", "scsi1": "a:64"}, empty: []string{"scsi1"}, want: []string{"workstation.boot-empty blocker"}},
		"no system is left in the order":  {set: map[string]string{"boot": "order=net0"}, want: []string{"workstation.boot-lost blocker"}},
		"another system comes first":      {now: map[string]string{"scsi1": system}, set: map[string]string{"boot": "order=scsi1;scsi0"}, want: []string{"workstation.boot-changed warning"}},
		"a new firmware":                  {set: map[string]string{"bios": "ovmf"}, want: []string{"workstation.boot-firmware blocker"}},
		"a controller without a driver":   {guest: gpu.Windows11, set: map[string]string{"scsihw": "virtio-scsi-pci"}, want: []string{"workstation.boot-controller blocker"}},
		"a controller that Linux knows":   {guest: gpu.Linux, set: map[string]string{"scsihw": "virtio-scsi-pci"}, want: []string{"workstation.boot-controller warning"}},
		"another machine":                 {set: map[string]string{"machine": q35}, want: []string{"workstation.machine warning"}},
		"a bus that the machine lacks":    {set: map[string]string{"args": "-device e1000,bus=pcie.0"}, want: []string{"workstation.args blocker"}},
		"a fault that the VM has already": {now: map[string]string{"args": "-device e1000,bus=pcie.0"}},
		"a card with several functions":   {now: map[string]string{"hostpci0": "0000:01:00"}, set: map[string]string{"args": "-set device.hostpci0.x-vga=on"}, want: []string{"workstation.args blocker"}},
		"Windows on an IDE disk of another machine": {guest: gpu.Windows10, now: map[string]string{"scsi0": "", "ide0": system, "boot": "order=ide0"}, set: map[string]string{"machine": q35},
			want: []string{"workstation.machine warning", "workstation.boot-ide blocker"}},
	} {
		now := map[string]string{"scsi0": system, "boot": "order=scsi0"}
		maps.Copy(now, test.now)
		maps.DeleteFunc(now, func(_, value string) bool { return value == "" })
		will := maps.Clone(now)
		maps.Copy(will, test.set)
		c := boot.Change{VM: 140, Name: "windows", Guest: test.guest, Now: now, Will: will, Empty: test.empty,
			Functions: func(gpu.HostPCI) []iommu.Address { return make([]iommu.Address, 2) }}
		var got []string
		for _, f := range c.Check() {
			got = append(got, f.ID+" "+f.Severity.String())
			if f.Subject != "VM 140 windows" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
