package pvetest

import (
	"maps"
	"testing"
)

func TestParseDrive(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]drive{
		"local-lvm:vm-1-disk-0,size=8G,ssd=1": {"local-lvm:vm-1-disk-0", map[string]string{"size": "8G", "ssd": "1"}},
		"file=local:iso/x.iso,media=cdrom":    {"local:iso/x.iso", map[string]string{"media": "cdrom"}},
		"none":                                {"none", map[string]string{}},
		"":                                    {"", map[string]string{}},
	} {
		if got := parseDrive(value); got.volume != want.volume || !maps.Equal(got.options, want.options) {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"": 0, "64G": 64 << 30, "528K": 540672, "1.5G": 3 << 29, "1024": 1024, "9T": 9 << 40, "many": 0} {
		if got := parseSize(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for n, want := range map[int64]string{64 << 30: "64G", 540672: "528K", 3 << 29: "1536M", 1025: "1025", 0: "0"} {
		if got := printSize(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestMachines(t *testing.T) {
	t.Parallel()
	n := New(Host{Name: "pve", Version: "9.1.1"}, nil)
	for _, tt := range [][3]string{
		{"q35", "win11", "pc-q35-10.1"}, {"", "w2k8", "pc-i440fx-10.1"}, {"pc-q35-9.0", "win11", "pc-q35-9.0"}, {"q35", "l26", "q35"},
		{"", "", ""}, {"q35,viommu=intel", "win10", "pc-q35-10.1,viommu=intel"},
	} {
		if got := n.pinned(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%q for %s is %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
	for config, want := range map[string]string{"": "pc-i440fx-10.1", "q35": "pc-q35-10.1", "pc-q35-9.0+pve1": "pc-q35-9.0+pve1", "type=q35,viommu=virtio": "pc-q35-10.1"} {
		v := newVM(1)
		v.config["machine"] = config
		if got := n.machine(v); got != want {
			t.Errorf("%q runs as %q, want %q", config, got, want)
		}
	}
	for machine, old := range map[string]bool{"pc-q35-6.2": true, "pc-i440fx-5.1": true, "pc-q35-9.0": false, "q35": false, "": false} {
		if _, got := oldMachine(machine); got != old {
			t.Errorf("%q is deprecated: %v, want %v", machine, got, old)
		}
	}
}

func TestAgentValue(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"1": true, "enabled=1": true, "1,type=virtio": true, "on": true, "0": false, "enabled=0,fstrim_cloned_disks=1": false, "": false} {
		if got := enabled(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzDrive(f *testing.F) {
	f.Add("local-lvm:vm-1-disk-0,size=8G,ssd=1")
	f.Add("file=none,media=cdrom,x")
	f.Add(",=,a=,=b")
	f.Add("file==")
	f.Fuzz(func(t *testing.T, value string) {
		once := parseDrive(value)
		again := parseDrive(once.String())
		if once.volume != "" && (again.volume != once.volume || !maps.Equal(again.options, once.options)) {
			t.Errorf("%q becomes %v and then %v", value, once, again)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, seed := range []string{"64G", "1.5T", "K", "1e9", "-1M"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := parseSize(text)
		if n >= 0 && n < 1<<52 && parseSize(printSize(n)) != n {
			t.Errorf("%q is %d and then %d", text, n, parseSize(printSize(n)))
		}
	})
}
