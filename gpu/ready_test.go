package gpu_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func TestReadyOnHosts(t *testing.T) {
	t.Parallel()
	const vfio = "function 0000:01:00.0 class=030000 id=10de:2c05 subsystem=1462:5317 group=1 driver=vfio-pci parent=0000:00:01.0 bootvga=0 bars=1:16G:p "
	for _, test := range []struct {
		name, host, card string
		guest            gpu.Guest
		lines            []string
		want             []string
		worst            proxstation.Severity
	}{
		{"the reference card for Windows", "reference", "0000:01:00.0", gpu.Windows11, nil, []string{"gpu.small-bar"}, proxstation.Info},
		{"and for Linux", "reference", "0000:01:00.0", gpu.Linux, nil, []string{"gpu.small-bar", "gpu.conditions"}, proxstation.Warning},
		{"and for macOS", "reference", "0000:01:00.0", gpu.MacOSSequoia, nil, []string{"gpu.small-bar", "gpu.unsupported"}, proxstation.Blocker},
		{"and for whatever", "reference", "0000:01:00.0", gpu.AnyGuest, nil, []string{"gpu.small-bar"}, proxstation.Info},
		{"a large BAR", "reference", "0000:01:00.0", gpu.Windows11, []string{vfio + "reset=flr,bus rebar=1:0x4000"}, nil, 0},
		{"bus first", "reference", "0000:01:00.0", gpu.Windows11, []string{vfio + "reset=bus,flr"}, []string{"gpu.reset"}, proxstation.Warning},
		{"bus only", "reference", "0000:01:00.0", gpu.Windows11, []string{vfio + "reset=bus"}, []string{"gpu.reset"}, proxstation.Warning},
		{"lost", "reference", "0000:01:00.0", gpu.Windows11, []string{vfio + "reset=flr lost=1"}, []string{"iommu.lost"}, proxstation.Blocker},
		{"on the host's driver", "reference", "0000:01:00.0", gpu.Windows11,
			[]string{strings.Replace(vfio, "vfio-pci", "nouveau", 1) + "reset=flr"}, []string{"iommu.driver-first"}, proxstation.Warning},
		{"the audio on the host's driver", "reference", "0000:01:00.0", gpu.Windows11,
			[]string{vfio + "reset=flr", "function 0000:01:00.1 class=040300 id=10de:22e9 group=1 driver=snd_hda_intel parent=0000:00:01.0"}, []string{"iommu.driver-first"}, proxstation.Warning},
		{"the UHD 630 for macOS", "reference", "0000:00:02.0", gpu.MacOSSequoia, nil, []string{"iommu.only-console", "gpu.host-driver"}, proxstation.Warning},
		{"and with disable_vga", "reference", "0000:00:02.0", gpu.MacOSSequoia, []string{"module vfio_pci disable_vga=Y"},
			[]string{"iommu.only-console", "gpu.host-driver", "gpu.disable-vga"}, proxstation.Warning},
		{"RX 6700 XT for macOS", "amd-desktop", "0000:0c:00.0", gpu.MacOSSonoma, nil,
			[]string{"iommu.only-console", "gpu.host-driver", "gpu.boot-vga", "gpu.conditions", "gpu.rebar"}, proxstation.Warning},
		{"the only card, with the firmware's picture", "single-gpu", "0000:01:00.0", gpu.Windows11, nil,
			[]string{"iommu.only-console", "gpu.host-driver", "gpu.framebuffer", "gpu.reset", "gpu.large-bar"}, proxstation.Warning},
		{"the picture is still there", "single-gpu", "0000:01:00.0", gpu.Windows11,
			[]string{"function 0000:01:00.0 class=030000 id=10de:2b85 group=10 driver=vfio-pci parent=0000:00:01.1 bootvga=1 reset=bus bars=1:32G:p",
				"function 0000:01:00.1 class=040300 id=10de:22e8 group=10 driver=vfio-pci parent=0000:00:01.1"}, []string{"gpu.framebuffer", "gpu.large-bar"}, proxstation.Blocker},
		{"a shared group", "shared-group", "0000:04:00.0", gpu.Windows11, nil,
			[]string{"iommu.shared-group", "iommu.only-console", "gpu.host-driver", "gpu.boot-vga"}, proxstation.Blocker},
		{"RX 580", "held-by-vfio", "0000:0a:00.0", gpu.MacOSSequoia, nil, []string{"gpu.reset", "gpu.rebar"}, proxstation.Warning},
		{"RX 580 and Windows", "held-by-vfio", "0000:0a:00.0", gpu.Windows11, nil, []string{"gpu.reset", "gpu.rebar"}, proxstation.Warning},
		{"a BMC's display", "held-by-vfio", "0000:03:00.0", gpu.Linux, nil,
			[]string{"iommu.only-console", "iommu.server-console"}, proxstation.Blocker},
		{"another BMC's, for whatever", "server-bmc", "0000:03:00.0", gpu.AnyGuest, nil, []string{"iommu.server-console"}, proxstation.Blocker},
		{"the card beside it is not the only console", "server-bmc", "0000:19:00.0", gpu.Windows11, nil, []string{"gpu.host-driver", "gpu.small-bar"}, proxstation.Warning},
		{"a hypervisor's display", "nested-vm", "0000:00:02.0", gpu.Linux, nil, []string{"iommu.vm-without-iommu", "iommu.emulated-display"}, proxstation.Blocker},
		{"a card outside, of four functions", "odd-laptop", "0000:06:00.0", gpu.Windows11, nil, []string{"gpu.host-driver", "gpu.external"}, proxstation.Warning},
		{"its USB-C port is the card too", "odd-laptop", "0000:06:00.3", gpu.Windows11, nil, []string{"gpu.host-driver", "gpu.external"}, proxstation.Warning},
		{"a card with virtual functions", "odd-laptop", "0000:00:02.0", gpu.Linux, nil, []string{"gpu.host-driver", "gpu.virtual-functions"}, proxstation.Warning},
		{"a virtual function", "odd-laptop", "0000:00:02.1", gpu.Linux, nil, []string{"gpu.host-driver", "gpu.virtual-function"}, proxstation.Info},
		{"another, bound", "odd-laptop", "0000:00:02.2", gpu.Linux, nil, []string{"gpu.virtual-function"}, proxstation.Info},
		{"an Arc A770, whose sound is another device", "server-bmc", "0000:1d:00.0", gpu.Linux, []string{
			"function 0000:1b:00.0 class=060400 id=8086:4fa0 group=50 driver=pcieport parent=0000:16:00.0",
			"function 0000:1c:01.0 class=060400 id=8086:4fa4 group=51 driver=pcieport parent=0000:1b:00.0",
			"function 0000:1c:04.0 class=060400 id=8086:4fa4 group=52 driver=pcieport parent=0000:1b:00.0",
			"function 0000:1d:00.0 class=030000 id=8086:56a0 group=53 driver=vfio-pci parent=0000:1c:01.0 bootvga=0 reset=bus bars=2:16G:p",
			"function 0000:1e:00.0 class=040300 id=8086:4f90 group=54 driver=snd_hda_intel parent=0000:1c:04.0",
			"function 0000:00:1f.3 class=040300 id=8086:a1f0 group=11 driver=snd_hda_intel"}, []string{"gpu.separate-audio"}, proxstation.Info},
		{"no IOMMU", "no-iommu", "0000:01:00.0", gpu.Windows11, nil, []string{"iommu.firmware-off"}, proxstation.Blocker},
		{"group 0", "group-holes-and-group-0", "0000:01:00.0", gpu.Windows11, nil, []string{"iommu.only-console", "gpu.host-driver", "gpu.boot-vga"}, proxstation.Warning},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			facts := captured(t, test.host, test.lines...)
			got := gpu.Ready(cardAt(t, facts.Functions, test.card), test.guest, facts)
			wantIDs(t, got, test.want...)
			if worst := proxstation.Worst(got); worst != test.worst {
				t.Errorf("the worst is %s, want %s", worst, test.worst)
			}
		})
	}
}

// PVE's API returns addresses, classes, models and groups, and nothing else.
// Ready names the facts that are missing.
func TestReadyFromAPI(t *testing.T) {
	t.Parallel()
	facts := iommu.Facts{Functions: reference, GroupsKnown: proxstation.Yes}
	got := gpu.Ready(cardAt(t, reference, "0000:01:00.0"), gpu.Windows11, facts)
	wantIDs(t, got, "gpu.host-only")
	for _, part := range []string{"driver", "reset methods", "whether it answers", "BAR sizes"} {
		if len(got) > 0 && !strings.Contains(got[0].Seen, part) {
			t.Errorf("%q does not name %s", got[0].Seen, part)
		}
	}
}

func TestReadyOfNothing(t *testing.T) {
	t.Parallel()
	got := gpu.Ready(gpu.Card{}, gpu.Windows11, iommu.Facts{})
	wantIDs(t, got, "gpu.not-a-card")
	if proxstation.Worst(got) != proxstation.Blocker {
		t.Errorf("no card is ready: %v", got)
	}
}

// The slot of AMD's integrated graphics also holds functions that do not belong
// to the card. Ready reports these functions.
func TestReadySharedSlot(t *testing.T) {
	t.Parallel()
	functions := []iommu.Function{
		function("0000:0c:00.0", 0x030000, model(gpu.AMD, 0x164e), 20), function("0000:0c:00.1", 0x040300, model(gpu.AMD, 0x1640), 21),
		function("0000:0c:00.2", 0x108000, model(0x1022, 0x1649), 22), function("0000:0c:00.3", 0x0c0330, model(0x1022, 0x15b6), 23),
	}
	got := gpu.Ready(cardAt(t, functions, "0000:0c:00.0"), gpu.Linux, iommu.Facts{Functions: functions, GroupsKnown: proxstation.Yes})
	wantIDs(t, got, "gpu.foreign-functions", "gpu.host-only")
	turing := []iommu.Function{
		function("0000:01:00.0", 0x030000, model(gpu.NVIDIA, 0x1e04), 1), function("0000:01:00.1", 0x040300, model(gpu.NVIDIA, 0x10f7), 1),
		function("0000:01:00.2", 0x0c0330, model(gpu.NVIDIA, 0x1ad6), 1), function("0000:01:00.3", 0x0c8000, model(gpu.NVIDIA, 0x1ad7), 1),
	}
	got = gpu.Ready(cardAt(t, turing, "0000:01:00.0"), gpu.Windows11, iommu.Facts{Functions: turing, GroupsKnown: proxstation.Yes})
	wantIDs(t, got, "gpu.host-only")
}

func TestReadyReset(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		vendor, device iommu.ID
		methods        string
		severity       proxstation.Severity // 0 if no finding is expected
		fix            string               // a part of the fix
	}{
		{"RTX 5070 Ti", gpu.NVIDIA, 0x2c05, "flr bus", 0, ""},
		{"RTX 5070 Ti, bus first", gpu.NVIDIA, 0x2c05, "bus flr", proxstation.Warning, "Write flr to /sys/bus/pci/devices/0000:01:00.0/reset_method"},
		{"RTX 5080 without FLR", gpu.NVIDIA, 0x2c02, "bus", proxstation.Warning, "Write default to"},
		{"RTX 5080 without any", gpu.NVIDIA, 0x2c02, "", proxstation.Warning, "Write default to"},
		{"RTX 5090", gpu.NVIDIA, 0x2b85, "flr bus", proxstation.Warning, "Write bus to"},
		{"RTX 5090, FLR second", gpu.NVIDIA, 0x2b85, "bus flr", proxstation.Warning, "Write bus to"},
		{"RTX 5090, new kernel", gpu.NVIDIA, 0x2b85, "bus", 0, ""},
		{"RTX 4090", gpu.NVIDIA, 0x2684, "bus", 0, ""},
		{"RTX 4090 without any", gpu.NVIDIA, 0x2684, "", proxstation.Warning, "Restart the host"},
		{"RX 580", gpu.AMD, 0x67df, "bus", proxstation.Warning, "vendor-reset"},
		{"Vega 64", gpu.AMD, 0x687f, "pm bus", proxstation.Warning, "vendor-reset"},
		{"RX 5700, vendor-reset", gpu.AMD, 0x731f, "device_specific bus", 0, ""},
		{"RX 5700, vendor-reset second", gpu.AMD, 0x731f, "bus device_specific", proxstation.Warning, `ATTR{reset_method}="device_specific"`},
		{"RX 6600", gpu.AMD, 0x73ff, "bus", 0, ""},
		{"RX 7900 XTX", gpu.AMD, 0x744c, "bus", proxstation.Info, "Try"},
		{"RX 9070", gpu.AMD, 0x7550, "bus", proxstation.Info, "Try"},
		{"UHD 630", gpu.Intel, 0x3e92, "flr pm", 0, ""},
	} {
		c := card(test.vendor, test.device)
		c.Functions[0].ResetMethods = append([]string{}, strings.Fields(test.methods)...)
		var got proxstation.Finding
		for _, f := range gpu.Ready(c, gpu.AnyGuest, iommu.Facts{Functions: c.Functions, GroupsKnown: proxstation.Yes}) {
			if f.ID == "gpu.reset" {
				got = f
			}
		}
		if got.Severity != test.severity || !strings.Contains(got.Fix, test.fix) {
			t.Errorf("%s with %q: %v", test.name, test.methods, got)
		}
	}
}

// If an applied host plan keeps a card for guests, Ready asks for a restart of
// the host, not for another plan.
func TestReadyAfterAHostPlan(t *testing.T) {
	t.Parallel()
	var planned []string // lines of a description with the plan's files
	for _, want := range []string{"go run ./examples/host -keep 0000:0a:00.0 -apply", "Restart the host"} {
		facts := captured(t, "two-identical-cards", planned...)
		card := gpu.Cards(facts.Functions)[0]
		var addresses []iommu.Address
		for _, fn := range card.Functions {
			addresses = append(addresses, fn.Address)
		}
		fix := ""
		for _, f := range gpu.Ready(card, gpu.Linux, facts) {
			if f.ID == "gpu.host-driver" {
				fix = f.Fix
			}
		}
		if !strings.Contains(fix, want) {
			t.Errorf("fix %q, want %q", fix, want)
		}
		plan, err := facts.Prepare(addresses, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range plan.Changes {
			planned = append(planned, "file "+change.Path+" "+strconv.Quote(*change.After))
		}
	}
}
