package workstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns a random configuration. Its bus, boot order and arguments vary
// like those of people's VMs, and PVE's old notations occur too.
func generated(r *rand.Rand) map[string]string {
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	config := map[string]string{"name": "vm", "cores": fmt.Sprint(1 + r.IntN(8)), "memory": fmt.Sprint(1024 * (1 + r.IntN(16))), "smbios1": "uuid=11111111-2222-4333-8444-555555555555",
		"ostype": pick("win11", "win10", "l26", "other", "w2k19"), "sockets": "1"}
	maybe := func(key string, values ...string) {
		if value := pick(append(values, "")...); value != "" {
			config[key] = value
		}
	}
	maybe("machine", "q35", "pc-q35-9.0", "pc", "pc-i440fx-8.1", "q35,viommu=intel")
	maybe("bios", "ovmf", "seabios")
	maybe("cpu", "host", "Penryn", "host,hidden=1,flags=+pcid", "x86-64-v3")
	maybe("scsihw", "lsi", "virtio-scsi-pci", "virtio-scsi-single", "megasas")
	maybe("vga", "std", "none", "vmware", "qxl,memory=32", "serial0")
	maybe("agent", "1", "enabled=1,fstrim_cloned_disks=1", "0")
	maybe("balloon", "0", "1024")
	maybe("numa", "1", "0")
	maybe("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1", "e1000=BC:24:11:00:00:02,bridge=vmbr0", "vmxnet3=BC:24:11:00:00:03,bridge=vmbr0,queues=4")
	maybe("hostpci0", "0000:01:00,pcie=1,x-vga=1", "01:00.0", "0000:01:00.0,romfile=a.rom", "0000:02:00.0", "0000:00:02.0,legacy-igd=1", "0000:00:14.0,pcie=1")
	maybe("hostpci1", "0000:01:00.1", "0000:02:00.0,pcie=1", "0000:00:02.0")
	maybe("tags", "a;b", "games")
	maybe("description", "a note\nof two lines\n", "plain")
	maybe("args", "-cpu host,kvm=off", `-smbios 'type=2,product=A B' -device vmcoreinfo`, "-device usb-kbd,bus=ehci.0,port=2", "-set device.hostpci0.x-igd-opregion=on", `-device isa-applesmc,osk="`+dummyOSK+`" -smbios type=2`)
	maybe("ipconfig0", "ip=dhcp", "ip=192.0.2.10/24,gw=192.0.2.1")
	maybe("usb0", "host=046d:c52b,usb3=1", "spice")
	var devices []string
	number := 0
	add := func(slot, value string) {
		config[slot] = value
		devices = append(devices, slot)
	}
	for _, slot := range []string{"scsi0", "scsi3", "virtio0", "virtio1", "sata0", "sata5", "ide0", "ide2"} {
		switch r.IntN(5) {
		case 0:
			add(slot, fmt.Sprintf("%s:vm-140-disk-%d%s,size=%s", pick("local-lvm", "service-pool", "media-pool"), number, pick("", ",discard=on", ",backup=0"), pick("150M", "8G", "64G", "256G")))
			number++
		case 1:
			add(slot, pick("none,media=cdrom", "local:iso/virtio-win-0.1.285.iso,media=cdrom,size=771485K", "local:iso/opencore.iso,size=150M", "local:iso/recovery-sequoia.iso,media=disk,size=1450M", "cdrom,media=cdrom"))
		}
	}
	if r.IntN(2) == 0 {
		config["efidisk0"] = pick("local-lvm:vm-140-disk-90,size=4M", "local-lvm:vm-140-disk-90,efitype=4m,pre-enrolled-keys=1,size=4M")
	}
	if r.IntN(3) == 0 {
		config["tpmstate0"] = "local-lvm:vm-140-disk-91,size=4M,version=v2.0"
	}
	for _, key := range []string{"hostpci1", "net0"} {
		if config[key] != "" && r.IntN(3) == 0 {
			devices = append(devices, key)
		}
	}
	r.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	switch {
	case len(devices) > 0 && r.IntN(4) > 0:
		config["boot"] = "order=" + strings.Join(devices[:1+r.IntN(len(devices))], ";")
	case len(devices) > 0 && r.IntN(2) == 0:
		config["boot"], config["bootdisk"] = pick("c", "cdn", "dc"), devices[0]
	}
	return config
}

// generatedFacts returns the facts of a node whose only VM has a generated
// configuration.
func generatedFacts(t *testing.T, seed uint64, base workstation.Facts) workstation.Facts {
	t.Helper()
	base.VMs = map[int]workstation.VMFacts{140: {ID: 140, Name: "vm", Digest: "d", Config: generated(rand.New(rand.NewPCG(seed, 1)))}}
	return base
}

// profiles returns a VM of each profile. Only the ID and the name of each VM
// are set.
func profiles() map[string]workstation.VM {
	return map[string]workstation.VM{
		"windows": profile.Windows11{ID: 140, Name: "vm"}.VM(),
		"linux":   profile.LinuxAI{ID: 140, Name: "vm"}.VM(),
		"macos":   profile.MacOS{ID: 140, Name: "vm"}.VM(),
	}
}

// Whatever configuration a VM has, the plan for its adopted Spec is empty. A
// profile with nothing but an ID and a name does not change the VM either.
func TestAdoptLeavesGeneratedVMsAsTheyAre(t *testing.T) {
	t.Parallel()
	base, fit := observe(t, pvetest.New(pvetest.Reference(), nil)), 0
	for seed := range uint64(600) {
		facts := generatedFacts(t, seed, base)
		spec, err := workstation.Adopt(facts, 140)
		if err != nil {
			t.Fatal(err)
		}
		specs := map[string]workstation.Spec{"adopted": spec}
		adopted, err := profile.Adopt(facts, 140)
		if err != nil {
			t.Fatal(err)
		}
		if adopted.Profile != nil {
			specs["adopted by profile"], fit = workstation.Spec{VMs: []workstation.VM{adopted.Profile.VM()}}, fit+1
		}
		for name, vm := range profiles() {
			specs[name] = workstation.Spec{VMs: []workstation.VM{vm}}
		}
		for name, spec := range specs {
			if p, err := workstation.Diff(spec, facts); err != nil || !p.Empty() {
				t.Fatalf("seed %d, %s: %v\n%s\n%s", seed, name, err, p, lines(facts.VMs[140].Config))
			}
		}
	}
	if fit < 400 {
		t.Errorf("a profile fits %d of 600 VMs", fit)
	}
}

// The test changes an existing VM with a profile that sets everything. After
// the plan, the VM must still start from its old device, or the plan must be
// blocked.
func TestWhatBootsKeepsBooting(t *testing.T) {
	t.Parallel()
	base := observe(t, pvetest.New(pvetest.Reference(), nil))
	base.RootTicket = proxstation.Yes
	card := workstation.CardMapping{ID: "rtx", Card: rtx}
	blocked, planned := 0, 0
	for seed := range uint64(200) {
		facts := generatedFacts(t, seed, base)
		have := facts.VMs[140].Config
		for name, vm := range map[string]workstation.VM{
			"windows": profile.Windows11{ID: 140, Name: "vm", Cores: 4, Memory: 8 * storage.GiB, System: 130 * storage.GiB, Games: 40 * storage.GiB, Card: "rtx", Bridge: "vmbr0",
				Install: "local:iso/Win11_25H2_English_x64.iso", Drivers: "local:iso/virtio-win-0.1.285.iso"}.VM(),
			"linux": profile.LinuxAI{ID: 140, Name: "vm", System: 128 * storage.GiB, Models: 40 * storage.GiB, Card: "rtx", CloudInit: profile.CloudInit{User: "me"}}.VM(),
			"macos": profile.MacOS{ID: 140, Name: "vm", System: 128 * storage.GiB, Data: 20 * storage.GiB, OpenCore: openCore, Recovery: sequoia, OSK: proxstation.NewSecret(dummyOSK)}.VM(),
		} {
			p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}, Mappings: []workstation.CardMapping{card}}, facts)
			if err != nil || proxstation.Worst(p.Findings) == proxstation.Blocker {
				blocked++
				if err != nil && !errors.Is(err, workstation.ErrInvalid) && !errors.Is(err, storage.ErrNoPlace) && !errors.Is(err, gpu.ErrUnsupported) {
					t.Errorf("seed %d, %s: %v", seed, name, err)
				}
				continue
			}
			planned++
			will := maps.Clone(have)
			for _, step := range p.Steps {
				if change, ok := step.(workstation.ChangeVM); ok {
					maps.Copy(will, change.Set)
				}
			}
			seen := map[string]string{}
			for _, slot := range slices.Sorted(maps.Keys(will)) {
				drive, err := storage.ParseDrive(will[slot])
				if _, pooled := drive.Pool(); err != nil || !pooled || !strings.Contains(drive.Volume, "vm-140-") {
					continue
				}
				if other := seen[drive.Volume]; other != "" {
					t.Errorf("seed %d, %s: %s is in %s and in %s\n%s", seed, name, drive.Volume, other, slot, p)
				}
				seen[drive.Volume] = slot
			}
			was, ordered := strings.CutPrefix(have["boot"], "order=")
			is := strings.Split(strings.TrimPrefix(will["boot"], "order="), ";")
			for i, device := range strings.Split(was, ";") {
				j := slices.Index(is, device)
				if loader := name == "macos"; ordered && (j < 0 || i == 0 && j > 0 && !loader) {
					t.Errorf("seed %d, %s: boot was %s and is %s\n%s\n%s", seed, name, was, is, p, lines(have))
				}
			}
		}
	}
	if planned < 200 || blocked > 400 {
		t.Errorf("%d planned, %d blocked", planned, blocked)
	}
}

func TestAdoptKnowsTheGuest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, config string // as "key=value; key=value"
		want         gpu.Guest
	}{
		{"vm", "ostype=win11", gpu.Windows11},
		{"vm", "ostype=win10; description=stands beside the macOS VM", gpu.Windows10},
		{"vm", "ostype=win10; args=-device isa-applesmc,osk=x; description=Monterey", gpu.MacOSMonterey},
		{"vm", "ostype=l26; description=builds macOS apps", gpu.Linux},
		{"vm", "ostype=l26; ide2=local:iso/LongQT-OpenCore-v0.6.iso,media=cdrom", gpu.MacOSSequoia},
		{"mac-os", "ostype=other; ide0=local:iso/recovery-big_sur.iso", gpu.MacOSBigSur},
		{"HACK-TAHOE", "description=Hackintosh VM - tahoe", gpu.MacOSTahoe},
		{"truenas", "ostype=l26", gpu.Linux},
		{"vm", "ostype=wxp", gpu.AnyGuest},
		{"vm", "ostype=other", gpu.AnyGuest},
		{"vm", "", gpu.AnyGuest},
	} {
		config := map[string]string{}
		for field := range strings.SplitSeq(test.config, "; ") {
			key, value, _ := strings.Cut(field, "=")
			config[key] = value
		}
		spec, err := workstation.Adopt(workstation.Facts{VMs: map[int]workstation.VMFacts{140: {ID: 140, Name: test.name, Config: config}}}, 140)
		if err != nil || spec.VMs[0].Guest != test.want {
			t.Errorf("%s with %s: %v %v, want %v", test.name, test.config, spec.VMs, err, test.want)
		}
	}
}

func TestAdoptOfNoVM(t *testing.T) {
	t.Parallel()
	if _, err := workstation.Adopt(workstation.Facts{Node: "pve"}, 140); !errors.Is(err, workstation.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func ExampleAdopt() {
	facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{140: {ID: 140, Name: "game", Config: map[string]string{
		"name": "game", "ostype": "win11", "cores": "24", "memory": "32768", "boot": "order=sata0", "sata0": "local-lvm:vm-140-disk-0,size=256G"}}}}
	spec, err := workstation.Adopt(facts, 140)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := workstation.Diff(spec, facts)
	fmt.Println(plan.Empty(), err)
	text, err := json.MarshalIndent(spec, "", " ")
	fmt.Println(string(text), err)
	// Output:
	// true <nil>
	// {
	//  "vms": [
	//   {
	//    "id": 140,
	//    "name": "game",
	//    "guest": "Windows 11",
	//    "config": {
	//     "boot": "order=sata0",
	//     "cores": "24",
	//     "memory": "32768",
	//     "ostype": "win11"
	//    },
	//    "disks": [
	//     {
	//      "slot": "sata0",
	//      "purpose": "boot",
	//      "size": "256G",
	//      "storage": "local-lvm"
	//     }
	//    ]
	//   }
	//  ]
	// } <nil>
}
