package iommu_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

// refusedFor returns the IDs of the findings that made a plan impossible.
func refusedFor(err error) string {
	refused, ok := errors.AsType[*iommu.RefusedError](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return strings.Join(ids(refused.Findings), " ")
}

// A host with two displays can give away either display, but not both. It makes
// no difference whether one plan takes both displays or two plans take one
// display each.
func TestOneDisplayStays(t *testing.T) {
	t.Parallel()
	root := onDisk(t, "two-identical-cards", "dir var/lib")
	now := func() iommu.Facts {
		facts, err := iommu.Read(root.FS())
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	one, other := addresses(t, "0000:0a:00.0", "0000:0a:00.1"), addresses(t, "0000:0b:00.0", "0000:0b:00.1")
	const both = "iommu.only-console iommu.only-console"
	if _, err := now().Prepare(slices.Concat(one, other), nil); refusedFor(err) != both {
		t.Errorf("both, prepared: %v", err)
	}
	if _, err := now().Bind(slices.Concat(one, other), nil); refusedFor(err) != both {
		t.Errorf("both, bound: %v", err)
	}
	if got := ids(now().Check()); slices.Contains(got, "iommu.not-bound") {
		t.Errorf("before: %v", got)
	}
	plan, err := now().Prepare(one, nil)
	if err == nil {
		err = plan.Apply(t.Context(), root, nil)
	}
	if err != nil || !slices.Equal(now().Kept(), one) || !slices.Contains(ids(now().Check()), "iommu.not-bound") {
		t.Errorf("%v, kept %v, findings %v", err, now().Kept(), ids(now().Check()))
	}
	if _, err := now().Prepare(other, nil); refusedFor(err) != "iommu.only-console" {
		t.Errorf("the other: %v", err)
	}
	if _, err := now().Prepare(other, &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}}); err != nil {
		t.Errorf("the other, allowed: %v", err)
	}
	if _, err := now().Prepare(one, nil); err != nil {
		t.Errorf("the one again: %v", err)
	}
}

func TestArgumentsThatAreNone(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"": "iommu.bad-argument", "--": "iommu.bad-argument", "a b": "iommu.bad-argument", "a\nb": "iommu.bad-argument", "a\x00": "iommu.bad-argument",
		`x"`: "iommu.bad-argument", `foo="x"`: "iommu.bad-argument", "intel_iommu=off": "iommu.off-by-argument", "iommu=pt,off": "iommu.off-by-argument",
		"amd-iommu=off": "iommu.off-by-argument", "pcie_acs_override=downstream": "<nil>", "console=ttyS0,115200n8": "<nil>", "a=$HOME`x`": "<nil>",
	} {
		for _, host := range []string{"reference", "amd-desktop"} {
			card := map[string]string{"reference": "0000:01:00.0", "amd-desktop": "0000:0c:00.0"}[host]
			_, err := read(t, host).Prepare(addresses(t, card), &iommu.PrepareOptions{Args: []string{arg}, Allow: []iommu.UseKind{iommu.UseConsole}})
			if got := refusedFor(err); got != want {
				t.Errorf("%s, %q: %s, want %s", host, arg, got, want)
			}
		}
	}
}

// A plan's kernel arguments stay until the functions are given back. This also
// holds on a host where lines of other authors keep the card for guests.
func TestArgumentsStay(t *testing.T) {
	t.Parallel()
	root := onDisk(t, "reference", "dir var/lib")
	card := addresses(t, "0000:01:00.0", "0000:01:00.1")
	before, _ := root.ReadFile("etc/kernel/cmdline")
	for i, args := range [][]string{{"pci=noaer"}, {"pci=noaer"}, nil, {"quiet"}} {
		facts, err := iommu.Read(root.FS())
		if err != nil {
			t.Fatal(err)
		}
		plan, err := facts.Prepare(card, &iommu.PrepareOptions{Args: args})
		if err != nil || plan.Empty() != (i > 0) {
			t.Errorf("%d: %v, %s", i, err, plan)
		}
		if err := plan.Apply(t.Context(), root, nil); err != nil {
			t.Error(err)
		}
	}
	facts, err := iommu.Read(root.FS())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := facts.GiveBack(card)
	if err == nil {
		err = plan.Apply(t.Context(), root, nil)
	}
	after, _ := root.ReadFile("etc/kernel/cmdline")
	if _, left := root.Stat("etc/modprobe.d/00-proxstation.conf"); err != nil || string(after) != string(before) || !errors.Is(left, os.ErrNotExist) {
		t.Errorf("given back: %v, %q, was %q", err, after, before)
	}
}

func TestExecOfNothing(t *testing.T) {
	t.Parallel()
	if err := iommu.Exec(t.Context(), nil); err == nil {
		t.Error("a command without a program is run")
	}
}
