package privilege_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/internal/privilege"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		set, old map[string]string
		makes    bool
		want     []string
	}{
		{set: map[string]string{"memory": "4096"}, want: []string{"/vms/140 VM.Config.Memory"}},
		{set: map[string]string{"hostpci0": "mapping=rtx"}, want: []string{"/mapping/pci/rtx Mapping.Use", "/vms/140 VM.Config.HWType"}},
		{set: map[string]string{"scsi0": "fast:64"}, makes: true, want: []string{"/storage/fast Datastore.AllocateSpace"}},
		{set: map[string]string{"scsi0": "fast:vm-140-disk-0,size=64G"}, want: []string{"/vms/140 VM.Config.Disk"}},
		{set: map[string]string{"scsi0": "fast:vm-141-disk-0,size=64G"}, want: []string{"/storage/fast Datastore.Audit", "/vms/140 VM.Config.Disk", "/vms/141 VM.Config.Disk"}},
		{set: map[string]string{"scsi0": "fast:0,import-from=local:import/a.raw"}, makes: true,
			want: []string{"/storage/fast Datastore.AllocateSpace", "/storage/local Datastore.Audit|Datastore.AllocateSpace"}},
		{set: map[string]string{"ide2": "local:iso/a.iso,media=cdrom"}, want: []string{"/storage/local Datastore.Audit|Datastore.AllocateSpace", "/vms/140 VM.Config.CDROM"}},
		{set: map[string]string{"net0": "virtio,bridge=vmbr0,tag=7"}, want: []string{"/sdn/zones/localnetwork/vmbr0/7 SDN.Use", "/vms/140 VM.Config.Network"}},
		{set: map[string]string{"args": "-no-hpet"}, want: nil},
		{old: map[string]string{"usb0": "mapping=stick"}, want: []string{"/mapping/usb/stick Mapping.Use", "/vms/140 VM.Config.HWType"}},
	} {
		var got []string
		for _, p := range privilege.Of(140, test.set, test.old, test.makes) {
			got = append(got, fmt.Sprint(p.Path, " ", p.Name))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v, was %v: %q, want %q", test.set, test.old, got, test.want)
		}
	}
}

func TestRootOnly(t *testing.T) {
	t.Parallel()
	set := map[string]string{"hostpci0": "0000:01:00.0", "hostpci1": "mapping=rtx", "usb0": "host=spice", "usb1": "host=1-2", "serial0": "socket", "memory": "4096"}
	got := privilege.RootOnly(set, map[string]string{"args": "-no-hpet"})
	want := []string{"args", "hostpci0 (an address; a mapping needs only Mapping.Use)", "usb1 (a port or device of the host; a mapping needs only Mapping.Use)"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !privilege.IsCloudInit("ipconfig0") || privilege.IsCloudInit("memory") {
		t.Error("the keys of cloud-init")
	}
}
