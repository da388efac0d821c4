package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
)

// report has only some fields of the JSON, like the types of other programs
// that read the JSON.
type report struct {
	IOMMU struct {
		State  string
		Groups []struct {
			ID      *int
			Devices []string
		}
	}
	GPUs []struct {
		Address, VendorID, DeviceID, Driver, Isolated string
		Functions, Blockers                           []string
		Group                                         *int
	}
	Disks    []struct{ Name, Tier string }
	Pools    []struct{ Name, Tier string }
	Findings []struct{ ID, Severity, Subject, Seen, Why, Fix string }
}

func readBack(t *testing.T, args ...string) report {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), append(args, "-json"), &out); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryDescribedHost(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		state string
		cards int
	}{
		"reference": {"on", 2}, "amd-desktop": {"on", 1}, "no-iommu": {"off", 2}, "two-identical-cards": {"on", 2},
		"single-gpu": {"on", 1}, "held-by-vfio": {"on", 1}, "vmd-domain": {"on", 1}, "group-holes-and-group-0": {"on", 1}, "shared-group": {"on", 1},
		"nested-vm": {"off", 1}, "server-bmc": {"on", 1}, "odd-laptop": {"on", 4},
		"guide-nvidia-first": {"on", 2}, "guide-wrong-loader": {"off", 2}, "apu-one-group": {"on", 1}, "igpu-virtual-functions-gone": {"on", 1},
		"hpe-reserved-memory": {"on", 1}, "amd-990fx": {"on", 2},
		"loader-grub-snippet": {"on", 2}, "loader-grub-other-variable": {"on", 2}, "loader-grub-blank": {"on", 2}, "loader-grub-crlf": {"on", 2}, "loader-grub-set-anew": {"off", 2},
		"loader-grub-synced": {"on", 2}, "loader-sdboot-no-newline": {"on", 2}, "loader-sdboot-two-lines": {"off", 2}, "loader-sdboot-quotes": {"off", 2}, "loader-entries": {"on", 2},
	}
	for _, name := range hosttree.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree, err := hosttree.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := tree.WriteDir(dir); err != nil {
				t.Fatal(err)
			}
			described := readBack(t, "-root", filepath.Join("..", "..", "internal", "hosttree", "hosts", name+".txt"))
			r := readBack(t, "-root", dir)
			if len(r.GPUs) == 0 || len(r.GPUs) != len(described.GPUs) {
				t.Errorf("%d cards in the folder, %d in the description", len(r.GPUs), len(described.GPUs))
			}
			if w := want[name]; r.IOMMU.State != w.state || len(r.GPUs) != w.cards {
				t.Errorf("IOMMU %s, %d cards; want %s, %d", r.IOMMU.State, len(r.GPUs), w.state, w.cards)
			}
			for _, g := range r.GPUs {
				if len(g.VendorID) != 4 || len(g.DeviceID) != 4 || len(g.Functions) == 0 || !slices.Contains([]string{"yes", "no", "unknown"}, g.Isolated) {
					t.Errorf("card %+v", g)
				}
				if (g.Isolated == "no") != (len(g.Blockers) > 0) && r.IOMMU.State == "on" {
					t.Errorf("card %s: isolated %s with blockers %v", g.Address, g.Isolated, g.Blockers)
				}
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/bus/pci/devices"); err != nil {
		t.Skip("this machine has no PCI bus: ", err)
	}
	if r := readBack(t); !slices.Contains([]string{"on", "off", "unknown"}, r.IOMMU.State) {
		t.Errorf("IOMMU state %q", r.IOMMU.State)
	}
}

func TestATreeThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"-root", filepath.Join(t.TempDir(), "nowhere")}, &bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
}

// The reference host's API and its files give the same tiers.
func TestTiersOfTheReferenceHost(t *testing.T) {
	t.Parallel()
	for _, source := range [][]string{{"-embedded"}, {"-root", "../../internal/hosttree/hosts/reference.txt"}} {
		tiers := map[string]string{}
		for _, p := range readBack(t, source...).Pools {
			tiers[p.Name] = p.Tier
		}
		if tiers["local-lvm"] != "1" || tiers["service-pool"] != "2" || tiers["media-pool"] != "3" {
			t.Errorf("%s: tiers %v", source, tiers)
		}
	}
	if err := run(t.Context(), []string{"-embedded", "-root", "x"}, io.Discard); err == nil {
		t.Error("two sources at once are taken")
	}
}
