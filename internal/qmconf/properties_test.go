package qmconf

import (
	"testing"
)

func TestMergeValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, have, want, merged string
		same                          bool
	}{
		{"equal", "machine", "q35", "q35", "q35", true},
		{"PVE pins the machine of a Windows guest", "machine", "pc-q35-10.1", "q35", "pc-q35-10.1", true},
		{"another machine is not pinned", "machine", "pc-i440fx-10.1", "q35", "q35", false},
		{"plain", "memory", "4096", "16384", "16384", false},
		{"text with commas is one value", "description", "a,b=c", "a,b=c", "a,b=c", true},
		{"a MAC address of PVE's stays", "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1", "model=virtio,bridge=vmbr1",
			"virtio,macaddr=BC:24:11:00:00:01,bridge=vmbr1,firewall=1", false},
		{"the bridge is there already", "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio,bridge=vmbr0",
			"virtio=BC:24:11:00:00:01,bridge=vmbr0", true},
		{"agent by default key and by name", "agent", "1,fstrim_cloned_disks=1", "enabled=1", "1,fstrim_cloned_disks=1", true},
		{"booleans have many spellings", "agent", "enabled=yes", "1", "enabled=yes", true},
		{"options others set stay", "scsi0", "local-lvm:vm-140-disk-0,size=64G,backup=0", "iothread=1",
			"local-lvm:vm-140-disk-0,size=64G,backup=0,iothread=1", false},
		{"what is no boolean keeps its spelling", "scsi0", "a:b,discard=on", "cache=writeback", "a:b,discard=on,cache=writeback", false},
		{"a mapping replaces an address", "hostpci0", "0000:01:00,pcie=1,rombar=0", "mapping=rtx,pcie=1",
			"pcie=1,rombar=0,mapping=rtx", false},
		{"an address replaces a mapping", "hostpci0", "mapping=rtx,pcie=1", "host=0000:01:00", "0000:01:00,pcie=1", false},
		{"boot order is one thing", "boot", "order=scsi0;net0", "order=scsi0", "order=scsi0", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			merged, same := Merge(test.key, test.have, test.want)
			if merged != test.merged || same != test.same {
				t.Errorf("mergeValue(%q, %q, %q) = %q, %v, want %q, %v",
					test.key, test.have, test.want, merged, same, test.merged, test.same)
			}
			if again, same := Merge(test.key, merged, test.want); !same || again != merged {
				t.Errorf("merging again gives %q, %v; want no change of %q", again, same, merged)
			}
		})
	}
}

func FuzzMergeValue(f *testing.F) {
	f.Add("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0", "model=virtio,bridge=vmbr1")
	f.Add("hostpci0", "0000:01:00,pcie=1", "mapping=rtx")
	f.Add("args", "-cpu host,kvm=on", "-cpu host")
	f.Fuzz(func(t *testing.T, key, have, want string) {
		merged, _ := Merge(key, have, want)
		if again, _ := Merge(key, merged, want); len(again) > len(merged)+len(want)+16 {
			t.Errorf("merging %q into %q grows: %q", want, merged, again)
		}
	})
}
