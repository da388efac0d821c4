package gpu_test

import (
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func TestCards(t *testing.T) {
	t.Parallel()
	npu := function("0000:00:0b.0", 0x120000, model(gpu.Intel, 0x7d1d), 9)
	mixed := append([]iommu.Function{
		function("10000:01:00.3", 0x0c8000, model(gpu.NVIDIA, 0x1ad9), 7),
		function("10000:01:00.0", 0x030200, model(gpu.NVIDIA, 0x1eb8), 7),
		npu,
	}, reference...)
	cards := gpu.Cards(mixed)
	var got []string
	for _, c := range cards {
		got = append(got, c.Address().String())
	}
	want := []string{"0000:00:02.0", "0000:01:00.0", "10000:01:00.0"}
	if !slices.Equal(got, want) {
		t.Fatalf("cards at %q, want %q", got, want)
	}
	if functions := cards[2].Functions; len(functions) != 2 || functions[0].Class != 0x030200 || functions[1].Class != 0x0c8000 {
		t.Errorf("functions out of order: %v", functions)
	}
	if gpu.Cards(nil) != nil {
		t.Error("cards of nothing")
	}
}

func TestCardsOfHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string][]string{
		"reference":           {"0000:00:02.0 8086:3e92 Intel Coffee Lake i915 integrated", "0000:01:00.0 10de:2c05 NVIDIA Blackwell vfio-pci"},
		"two-identical-cards": {"0000:0a:00.0 10de:2504 NVIDIA Ampere nouveau", "0000:0b:00.0 10de:2504 NVIDIA Ampere nouveau"},
		"held-by-vfio":        {"0000:0a:00.0 1002:67df AMD Polaris vfio-pci"}, // the display of a BMC is left out
		"server-bmc":          {"0000:19:00.0 10de:24b0 NVIDIA Ampere nouveau"},
		"odd-laptop": {"0000:00:02.0 8086:46a6 Intel Alder Lake-P i915 integrated", "0000:00:02.1 8086:46a6 Intel Alder Lake-P i915 integrated",
			"0000:00:02.2 8086:46a6 Intel Alder Lake-P vfio-pci integrated", "0000:06:00.0 10de:1f02 NVIDIA Turing nouveau"},
		"nested-vm":               {"0000:00:10.0 10de:2504 NVIDIA Ampere nouveau"},
		"amd-desktop":             {"0000:0c:00.0 1002:73df AMD Navi 22 amdgpu"},
		"vmd-domain":              {"0000:00:02.0 8086:4680 Intel Alder Lake i915 integrated"},
		"group-holes-and-group-0": {"0000:01:00.0 10de:1b81 NVIDIA Pascal nouveau"},
		"single-gpu":              {"0000:01:00.0 10de:2b85 NVIDIA Blackwell "},
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range gpu.Cards(captured(t, host).Functions) {
				line := c.Address().String() + " " + c.Model().String() + " " + c.Family().String() + " " + c.Display().Driver
				if c.Integrated() {
					line += " integrated"
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("cards\n%q, want\n%q", got, want)
			}
		})
	}
}

func TestCardAt(t *testing.T) {
	t.Parallel()
	if c := cardAt(t, reference, "0000:01:00.1"); c.Model() != rtx5070ti {
		t.Errorf("the card of an audio function is %s", c.Model())
	}
	if c, ok := gpu.CardAt(reference, address("0000:00:01.0")); ok {
		t.Errorf("a root port is the card %s", c.Name())
	}
}

func TestCardName(t *testing.T) {
	t.Parallel()
	named := card(gpu.NVIDIA, 0x2c05)
	named.Functions[0].Name = "NVIDIA Corporation GB203 [GeForce RTX 5070 Ti]"
	for want, c := range map[string]gpu.Card{
		"NVIDIA Corporation GB203 [GeForce RTX 5070 Ti]": named,
		"NVIDIA Blackwell 10de:2c05":                     card(gpu.NVIDIA, 0x2c05),
		"1a03:2000":                                      card(0x1a03, 0x2000),
		"0000:0000":                                      {},
	} {
		if got := c.Name(); got != want {
			t.Errorf("Name() = %q, want %q", got, want)
		}
	}
}

func TestCardIntegrated(t *testing.T) {
	t.Parallel()
	arc := card(gpu.Intel, 0x56a0)
	arc.Functions[0].Address = address("0000:03:00.0")
	for _, test := range []struct {
		card gpu.Card
		want bool
	}{
		{card(gpu.Intel, 0x3e92), true}, {arc, false}, {card(gpu.AMD, 0x164e), true}, {card(gpu.AMD, 0x73ff), false}, {card(gpu.NVIDIA, 0x2c05), false},
	} {
		if got := test.card.Integrated(); got != test.want {
			t.Errorf("%s: Integrated() = %v", test.card.Name(), got)
		}
	}
}

func TestCardGroups(t *testing.T) {
	t.Parallel()
	apart := cardAt(t, captured(t, "amd-desktop").Functions, "0000:0c:00.0")
	zero := cardAt(t, captured(t, "group-holes-and-group-0").Functions, "0000:01:00.0")
	off := cardAt(t, captured(t, "no-iommu").Functions, gpu.Cards(captured(t, "no-iommu").Functions)[0].Address().String())
	for _, test := range []struct {
		card gpu.Card
		want []iommu.GroupID
	}{
		{apart, []iommu.GroupID{iommu.Group(22), iommu.Group(23)}}, {zero, []iommu.GroupID{iommu.Group(0)}}, {off, nil},
	} {
		if got := test.card.Groups(); !slices.Equal(got, test.want) {
			t.Errorf("%s: Groups() = %v, want %v", test.card.Name(), got, test.want)
		}
	}
}

func TestCardLost(t *testing.T) {
	t.Parallel()
	with := func(answers ...proxstation.Answer) gpu.Card {
		var c gpu.Card
		for _, a := range answers {
			c.Functions = append(c.Functions, iommu.Function{Lost: a})
		}
		return c
	}
	for _, test := range []struct {
		card gpu.Card
		want proxstation.Answer
	}{
		{with(), proxstation.Unknown}, {with(proxstation.No, proxstation.No), proxstation.No}, {with(proxstation.No, proxstation.Unknown), proxstation.Unknown}, {with(proxstation.Unknown, proxstation.Yes), proxstation.Yes},
	} {
		if got := test.card.Lost(); got != test.want {
			t.Errorf("Lost() of %v = %s, want %s", test.card.Functions, got, test.want)
		}
	}
}
