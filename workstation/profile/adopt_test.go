package profile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const (
	rtx       = "0000:01:00.0"
	igpu      = "0000:00:02.0"
	dummyOSK  = "ourSECRETabcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrs"
	publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a me@desk"
)

func connect(t *testing.T) *workstation.Node {
	t.Helper()
	sim := pvetest.New(pvetest.Reference(), nil)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func observe(t *testing.T, node *workstation.Node) workstation.Facts {
	t.Helper()
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// chosen returns profiles with random fields.
func chosen(r *rand.Rand, facts workstation.Facts) []profile.Profile {
	size := func(most int) storage.Size { return storage.Size(1+r.IntN(most)) * storage.GiB }
	maybe := func(size storage.Size) storage.Size { return size * storage.Size(r.IntN(2)) }
	some := func(list ...string) []string { return append([]string(nil), list[:r.IntN(len(list)+1)]...) }
	tuning := profile.Tuning{USB: some("046d:c52b", "1-2.3"), Devices: some("0000:00:14.0"), Audio: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		tuning.Pin, tuning.HugePages = "0-3", storage.GiB
	}
	card := []string{"", "rtx"}[r.IntN(2)]
	cloud := profile.CloudInit{User: "me", SSHKeys: some(publicKey), DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, Domain: "example.org"}
	if r.IntN(2) == 0 {
		cloud.Address, cloud.Gateway = netip.MustParsePrefix("192.0.2.7/24"), netip.MustParseAddr("192.0.2.1")
	}
	release := gpu.MacOSMonterey + gpu.Guest(r.IntN(4))
	mac := profile.MacOS{ID: 202, Name: strings.ReplaceAll(release.String(), " ", "-"), Release: release, Cores: 1 + r.IntN(8), Memory: size(16) + 4*storage.GiB, System: size(100), Data: maybe(size(50)),
		Bridge: "vmbr0", Network: profile.VMXNET3, Screen: profile.VMwareSVGA, HostCPU: facts.CPU, OSK: proxstation.NewSecret(dummyOSK), Tuning: tuning}
	if r.IntN(2) == 0 {
		mac.Stage, mac.Mode = profile.MacOnCard, profile.IGPULegacy+profile.IGPUMode(r.IntN(2))
		mac.ROM, mac.Screen = "igd.rom", ""
		for _, c := range facts.Cards() {
			if c.Address().String() == igpu {
				mac.Card = c
			}
		}
		if mac.Mode == profile.IGPUHeadless {
			mac.Screen = profile.VMwareSVGA
		}
	}
	return []profile.Profile{
		profile.Windows11{ID: 200, Name: "win", Cores: 1 + r.IntN(8), Memory: size(32) + 4*storage.GiB, System: size(64) + 64*storage.GiB, Games: maybe(size(64)), Card: card,
			Bridge: "vmbr0", Drivers: "local:iso/virtio-win-0.1.285.iso", OnlyDisplay: card != "", Tuning: tuning},
		profile.LinuxAI{ID: 201, Name: "ai", Cores: 1 + r.IntN(8), Memory: size(32), System: size(64), Models: maybe(size(64)), Card: card, Bridge: "vmbr0", CloudInit: cloud, Tuning: tuning},
		mac,
	}
}

// If a profile made the VM, Adopt returns this profile with the same fields.
func TestAdoptReturnsWhatMadeTheVM(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			node := connect(t)
			facts := observe(t, node)
			profiles := chosen(rand.New(rand.NewPCG(seed, 2)), facts)
			address, err := iommu.ParseAddress(rtx)
			if err != nil {
				t.Fatal(err)
			}
			spec := workstation.Spec{Mappings: []workstation.CardMapping{{ID: "rtx", Card: address}}}
			for _, p := range profiles {
				spec.VMs = append(spec.VMs, p.VM())
			}
			plan, err := workstation.Diff(spec, facts)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			plan.Findings = nil // other tests check the findings about cards
			if err := node.Apply(t.Context(), plan, nil); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			facts = observe(t, node)
			for i, want := range profiles {
				adopted, err := profile.Adopt(facts, spec.VMs[i].ID)
				if mac, is := want.(profile.MacOS); is {
					mac.OSK = proxstation.Secret{} // the VM keeps its OSK, and Adopt returns no OSK
					want = mac
				}
				if err != nil || !reflect.DeepEqual(adopted.Profile, want) {
					t.Errorf("seed %d: %v\n%#v\nwant\n%#v", seed, err, adopted.Profile, want)
				}
				if len(adopted.Kept) > 0 {
					t.Errorf("seed %d: %T: it keeps %v", seed, want, adopted.Kept)
				}
			}
		})
	}
}

func TestAdoptKeepsWhatNoFieldSays(t *testing.T) {
	t.Parallel()
	facts := observe(t, connect(t))
	for name, test := range map[string]struct {
		config map[string]string
		want   profile.Profile
		kept   string
	}{
		"a tuned gaming VM": {map[string]string{"ostype": "win10", "cores": "24", "memory": "32768", "sata0": "local-lvm:vm-300-disk-0,size=256G", "boot": "order=sata0",
			"args": "-cpu host,kvm=off", "hostpci0": "0000:01:00,pcie=1", "net0": "e1000=BC:24:11:00:00:01,bridge=vmbr0", "machine": "q35", "unused0": "local-lvm:vm-300-disk-9"},
			profile.Windows11{ID: 300, Name: "vm", Cores: 24, Memory: 32 * storage.GiB, System: 256 * storage.GiB, Bridge: "vmbr0"}, "args boot hostpci0 net0 ostype"},
		"memory in a form that no field has": {map[string]string{"ostype": "l26", "memory": "current=x", "cores": "lots", "virtio0": "local-lvm:vm-300-disk-0,size=8G"},
			profile.LinuxAI{ID: 300, Name: "vm", System: 8 * storage.GiB}, "cores memory"},
		"another driver of its sound card": {map[string]string{"ostype": "l26", "audio0": "device=AC97,driver=spice", "usb0": "spice", "virtiofs0": "models,cache=always", "hostpci2": "00:14.0"},
			profile.LinuxAI{ID: 300, Name: "vm", Tuning: profile.Tuning{Shares: []string{"models"}, Devices: []string{"00:14.0"}}}, "audio0 usb0"},
		"no profile for it": {map[string]string{"ostype": "wxp", "cores": "1", "ide0": "local-lvm:vm-300-disk-0,size=8G"}, nil, "cores ide0 ostype"},
	} {
		facts.VMs = map[int]workstation.VMFacts{300: {ID: 300, Name: "vm", Config: test.config}}
		adopted, err := profile.Adopt(facts, 300)
		if got := strings.Join(adopted.Kept, " "); err != nil || !reflect.DeepEqual(adopted.Profile, test.want) || got != test.kept {
			t.Errorf("%s: %v\n%#v\nwant\n%#v\nit keeps %q, want %q", name, err, adopted.Profile, test.want, got, test.kept)
		}
	}
}

func TestAdoptOfNoVM(t *testing.T) {
	t.Parallel()
	if adopted, err := profile.Adopt(workstation.Facts{Node: "pve"}, 140); !errors.Is(err, workstation.ErrNotFound) || adopted.Profile != nil {
		t.Errorf("%v, %v", adopted, err)
	}
}

func ExampleAdopt() {
	facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{140: {ID: 140, Name: "game", Config: map[string]string{
		"name": "game", "ostype": "win11", "cores": "24", "memory": "32768", "boot": "order=sata0", "sata0": "local-lvm:vm-140-disk-0,size=256G", "args": "-no-hpet"}}}}
	adopted, err := profile.Adopt(facts, 140)
	if err != nil {
		fmt.Println(err)
		return
	}
	switch p := adopted.Profile.(type) {
	case profile.Windows11:
		fmt.Println("Windows:", p.Cores, "cores,", p.Memory, "and", p.System, "for its system")
	case nil:
		fmt.Println("no profile fits")
	}
	fmt.Println("kept as they are:", slices.Collect(slices.Values(adopted.Kept)))
	// Output:
	// Windows: 24 cores, 32G and 256G for its system
	// kept as they are: [args boot]
}
