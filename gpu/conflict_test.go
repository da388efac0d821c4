package gpu_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func claim(vmid int, texts ...string) gpu.Claim {
	return gpu.Claim{VMID: vmid, Values: values(texts...)}
}

// The function "node" returns a node with two cards in one group, two cards in
// groups of their own, and a card that hands out mediated devices.
func node() gpu.Node {
	return gpu.Node{Name: "pve", Functions: append(slices.Clone(reference),
		function("0000:03:00.0", 0x030000, model(gpu.AMD, 0x73ff), 30),
		function("0000:03:00.1", 0x040300, model(gpu.AMD, 0xab28), 31),
		function("0000:04:00.0", 0x030000, model(gpu.NVIDIA, 0x2504), 40),
		function("0000:05:00.0", 0x030000, model(gpu.NVIDIA, 0x2504), 40)),
		Mappings: []gpu.Mapping{rtxMapping,
			{ID: "any", Entries: []gpu.MappingEntry{entry("id=10de:2c05,node=pve,path=0000:01:00"), entry("id=1002:73ff,node=pve,path=0000:03:00"),
				entry("id=10de:2c05,node=other,path=0000:04:00")}},
			{ID: "elsewhere", Entries: []gpu.MappingEntry{entry("id=10de:2c05,node=other,path=0000:01:00")}},
		}}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"01:00":              "[[0000:01:00.0 0000:01:00.1]]",
		"0000:01:00":         "[[0000:01:00.0 0000:01:00.1]]",
		"0000:01:00.0":       "[[0000:01:00.0]]",
		"01:00.1;01:00.0":    "[[0000:01:00.0 0000:01:00.1]]",
		"01:00;01:00.0":      "[[0000:01:00.0 0000:01:00.1]]",
		"01:00;03:00.1":      "[[0000:01:00.0 0000:01:00.1 0000:03:00.1]]",
		"mapping=rtx,pcie=1": "[[0000:01:00.0 0000:01:00.1]]",
		"mapping=any":        "[[0000:01:00.0 0000:01:00.1] [0000:03:00.0 0000:03:00.1]]",
		"mapping=elsewhere":  "[]",
		"mapping=nothing":    "[]",
		"09:00":              "[[0000:09:00.0]]",
	} {
		if got := fmt.Sprint(node().Resolve(values(text)[0])); got != want {
			t.Errorf("%s means %s, want %s", text, got, want)
		}
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	const shared = "VMs 140 and 141 want 0000:01:00.0, 0000:01:00.1"
	for _, test := range []struct {
		name string
		a, b string // hostpci values, separated by spaces
		want string // "" if there is no conflict
	}{
		{"nothing", "", "", ""},
		{"different cards", "01:00", "03:00", ""},
		{"display and audio in groups of their own", "03:00.0", "03:00.1", ""},
		{"the same text", "01:00", "01:00", shared},
		{"short and long", "01:00", "0000:01:00", shared},
		{"whole and function", "01:00", "0000:01:00.1", "VMs 140 and 141 want 0000:01:00.1"},
		{"mapping and address", "mapping=rtx,pcie=1", "01:00.0,x-vga=1", "VMs 140 and 141 want 0000:01:00.0"},
		{"mapping and list", "mapping=rtx", "03:00;01:00", shared},
		{"different slots", "03:00 01:00", "00:02.0 01:00", shared},
		{"a device that is not there", "09:00", "0000:09:00.0", "VMs 140 and 141 want 0000:09:00.0"},
		{"two functions of one group", "01:00.0", "01:00.1", "VMs 140 and 141 want parts of IOMMU group 1 (0000:01:00.0, 0000:01:00.1)"},
		{"two cards of one group", "04:00", "05:00", "VMs 140 and 141 want parts of IOMMU group 40 (0000:04:00.0, 0000:05:00.0)"},
		{"an alternative is free", "mapping=any", "mapping=any", ""},
		{"the first alternative may be taken", "mapping=any", "01:00", shared}, // if VM 140 starts first
		{"both alternatives taken", "mapping=any", "01:00 03:00", "VMs 140 and 141 want 0000:01:00.0, 0000:01:00.1, 0000:03:00.0, 0000:03:00.1"},
		{"a mapping for another node", "mapping=elsewhere", "01:00", ""},
		{"two mediated devices", "00:02.0,mdev=a", "00:02.0,mdev=b", ""},
		{"a mediated device of a card that goes whole", "00:02.0,mdev=a", "00:02", "VMs 140 and 141 want 0000:00:02.0"},
	} {
		claims := []gpu.Claim{claim(141, strings.Fields(test.b)...), claim(140, strings.Fields(test.a)...)}
		got := ""
		for _, c := range node().Conflicts(claims) {
			got += c.String()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestConflictsAreAGraph(t *testing.T) {
	t.Parallel()
	both := []iommu.Address{address("0000:01:00.0"), address("0000:01:00.1")}
	got := node().Conflicts([]gpu.Claim{claim(142, "01:00"), claim(130, "00:02.0"), claim(140, "mapping=rtx"), claim(141, "0000:01:00.0;0000:01:00.1")})
	want := []gpu.Conflict{{VMs: [2]int{140, 141}, Devices: both}, {VMs: [2]int{140, 142}, Devices: both}, {VMs: [2]int{141, 142}, Devices: both}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A conflict does not depend on the order of the claims.
func TestConflictsAreSymmetric(t *testing.T) {
	t.Parallel()
	texts := []string{"01:00", "01:00.1", "mapping=any", "04:00", "05:00", "03:00.0", "00:02.0,mdev=a", "00:02.0"}
	for _, a := range texts {
		for _, b := range texts {
			one := node().Conflicts([]gpu.Claim{claim(1, a), claim(2, b)})
			other := node().Conflicts([]gpu.Claim{claim(2, b), claim(1, a)})
			swapped := node().Conflicts([]gpu.Claim{claim(1, b), claim(2, a)})
			if !reflect.DeepEqual(one, other) || len(one) != len(swapped) {
				t.Errorf("%s and %s: %v, %v, %v", a, b, one, other, swapped)
			}
		}
	}
}

// If CheckClaims is asked about some VMs, it returns the same findings about
// them as if it is asked about all VMs.
func TestCheckClaimsAboutSomeVMs(t *testing.T) {
	t.Parallel()
	claims := []gpu.Claim{claim(1, "01:00"), claim(2, "01:00.1"), claim(3, "mapping=any"), claim(4, "04:00"), claim(5, "05:00"), claim(6, "01:00", "01:00.0"), claim(7, "00:02.0,mdev=a")}
	claims[0].OnBoot, claims[5].OnBoot, claims[3].Unread = true, true, []string{"hostpci1: card0"}
	claims[6].ByArgs = values("01:00.0")
	for _, about := range [][]int{{1}, {4}, {5}, {6, 7}, {9}} {
		var want []proxstation.Finding
		for _, f := range node().CheckClaims(claims) {
			if slices.ContainsFunc(about, func(id int) bool { return slices.Contains(strings.Fields(f.Subject), fmt.Sprint(id)) }) {
				want = append(want, f)
			}
		}
		if got := node().CheckClaims(claims, about...); !reflect.DeepEqual(got, want) {
			t.Errorf("about %v: %v, want %v", about, got, want)
		}
	}
	if all := node().CheckClaims(claims); len(all) < 8 {
		t.Errorf("%v", all)
	}
}

func TestCheckClaims(t *testing.T) {
	t.Parallel()
	boot := func(c gpu.Claim) gpu.Claim { c.OnBoot = true; return c }
	for _, test := range []struct {
		name   string
		claims []gpu.Claim
		want   []string
	}{
		{"apart", []gpu.Claim{boot(claim(140, "01:00")), boot(claim(141, "03:00"))}, nil},
		{"shared", []gpu.Claim{claim(140, "01:00"), claim(141, "01:00")}, []string{"gpu.shared-card"}},
		{"one starts with the host", []gpu.Claim{boot(claim(140, "01:00")), claim(141, "01:00")}, []string{"gpu.shared-card"}},
		{"both do", []gpu.Claim{boot(claim(140, "mapping=rtx")), boot(claim(141, "01:00"))}, []string{"gpu.shared-card", "gpu.onboot-race"}},
		{"split group", []gpu.Claim{claim(140, "04:00"), claim(141, "05:00")}, []string{"gpu.split-group"}},
		{"split group at boot", []gpu.Claim{boot(claim(140, "04:00")), boot(claim(141, "05:00"))}, []string{"gpu.split-group", "gpu.onboot-race"}},
		{"twice in one", []gpu.Claim{claim(140, "mapping=rtx", "01:00.1")}, []string{"gpu.assigned-twice"}},
		{"two mediated devices in one", []gpu.Claim{claim(140, "00:02.0,mdev=a", "00:02.0,mdev=a")}, nil},
		{"three of one", []gpu.Claim{claim(1, "01:00"), claim(2, "01:00"), claim(3, "01:00")}, []string{"gpu.shared-card", "gpu.shared-card", "gpu.shared-card"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantIDs(t, node().CheckClaims(test.claims), test.want...)
		})
	}
}

// A device that a VM names in its key "args" causes a conflict too, although
// PVE does not know that the VM has the device. Two VMs that have mediated
// devices and the same UUID cannot run at the same time.
func TestClaimsByArgs(t *testing.T) {
	t.Parallel()
	byArgs := func(vmid int, texts ...string) gpu.Claim { return gpu.Claim{VMID: vmid, ByArgs: values(texts...)} }
	twin := func(vmid int, uuid, value string) gpu.Claim {
		return gpu.Claim{VMID: vmid, UUID: uuid, Values: values(value)}
	}
	keys := claim(140, "mapping=rtx", "01:00.1")
	keys.Keys = []string{"hostpci0", "hostpci2"}
	both := claim(140, "0000:01:00")
	both.ByArgs = values("01:00.1")
	for name, test := range map[string]struct {
		claims []gpu.Claim
		want   []string
		says   string
	}{
		"one by args, one by key":    {[]gpu.Claim{byArgs(130, "0000:01:00.0", "0000:01:00.1"), claim(140, "mapping=rtx")}, []string{"gpu.args-card"}, "VMs 130 and 140 want 0000:01:00.0"},
		"both by args":               {[]gpu.Claim{byArgs(130, "0000:01:00.0"), byArgs(131, "0000:01:00.0")}, []string{"gpu.args-card"}, "in args"},
		"other cards":                {[]gpu.Claim{byArgs(130, "0000:03:00.0"), claim(140, "mapping=rtx")}, nil, ""},
		"of one group":               {[]gpu.Claim{byArgs(130, "0000:04:00.0"), claim(140, "0000:05:00")}, []string{"gpu.args-card"}, "parts of IOMMU group 40"},
		"twins":                      {[]gpu.Claim{twin(100, "a", "01:00.0,mdev=nvidia-63"), twin(101, "a", "01:00.0,mdev=nvidia-63")}, []string{"gpu.same-uuid"}, "under the UUID a"},
		"twins with devices whole":   {[]gpu.Claim{twin(100, "a", "01:00.0"), twin(101, "a", "03:00.0")}, nil, ""},
		"twins with different cards": {[]gpu.Claim{twin(100, "a", "01:00.0,mdev=nvidia-63"), twin(101, "a", "00:02.0,mdev=i915-GVTg")}, []string{"gpu.same-uuid"}, "under the UUID a"},
		"UUIDs of their own":         {[]gpu.Claim{twin(100, "a", "01:00.0,mdev=nvidia-63"), twin(101, "b", "01:00.0,mdev=nvidia-63")}, nil, ""},
		"twice in one, by keys":      {[]gpu.Claim{keys}, []string{"gpu.assigned-twice"}, "qm set 140 --delete hostpci2"},
		"twice in one, by args once": {[]gpu.Claim{both}, []string{"gpu.assigned-twice"}, "out of the line args of /etc/pve/qemu-server/140.conf"},
	} {
		findings := node().CheckClaims(test.claims)
		if !slices.Equal(ids(findings), test.want) || len(findings) > 0 && !strings.Contains(findings[0].String(), test.says) {
			t.Errorf("%s: %v, want %s and %q", name, findings, test.want, test.says)
		}
	}
}

// ConflictsOf returns the same conflicts of a VM as Conflicts, which looks at
// all VMs.
func TestConflictsOfOneVM(t *testing.T) {
	t.Parallel()
	claims := []gpu.Claim{claim(142, "01:00"), claim(130, "00:02.0"), claim(140, "mapping=rtx"), claim(141, "0000:01:00.0;0000:01:00.1")}
	for _, vmid := range []int{130, 140, 142, 999} {
		want := slices.DeleteFunc(node().Conflicts(claims), func(c gpu.Conflict) bool { return !slices.Contains(c.VMs[:], vmid) })
		if got := node().ConflictsOf(vmid, claims); !slices.EqualFunc(got, want, func(a, b gpu.Conflict) bool { return a.String() == b.String() }) {
			t.Errorf("VM %d: %v, want %v", vmid, got, want)
		}
	}
}

func BenchmarkConflictsOf(b *testing.B) {
	var claims []gpu.Claim
	for i := range 1000 {
		claims = append(claims, claim(100+i, "01:00"))
	}
	for b.Loop() {
		if got := node().ConflictsOf(500, claims); len(got) != 999 {
			b.Fatal(len(got))
		}
	}
}
