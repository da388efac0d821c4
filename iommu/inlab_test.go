//go:build linux

package iommu_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// These tests run inside the booted kernels of internal/lab. They run one after
// the other, because they change the drivers of functions.

// inLab returns the name of the machine. It skips the test outside of the lab.
func inLab(t *testing.T) string {
	t.Helper()
	machine := os.Getenv("PROXSTATION_IN_LAB")
	if machine == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	return machine
}

func readLab(t *testing.T) iommu.Facts {
	t.Helper()
	facts, err := iommu.Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// labCards returns the display controllers of the lab's two cards (QEMU's
// standard VGA). Only the first card also has an audio function. The second
// card is beside a bridge and a network card.
func labCards(t *testing.T, facts iommu.Facts) (one, two iommu.Function) {
	t.Helper()
	var cards []iommu.Function
	for _, f := range facts.Functions {
		if f.Class.IsDisplay() {
			cards = append(cards, f)
		}
	}
	if len(cards) != 2 {
		t.Fatalf("found %d display controllers, want 2", len(cards))
	}
	if len(facts.Slot(cards[0].Address)) != 2 {
		cards[0], cards[1] = cards[1], cards[0]
	}
	return cards[0], cards[1]
}

func TestInLabReading(t *testing.T) { //nolint:paralleltest // the machine is shared
	machine := inLab(t)
	facts := readLab(t)
	want := map[string]struct {
		state      iommu.State
		unit       string
		dmar, ivrs proxstation.Answer
		kind       string // the type of the groups' DMA domains; QEMU's caching mode makes DMA strict
	}{
		"intel":       {iommu.On, "dmar0", proxstation.Yes, proxstation.No, "identity"},
		"amd":         {iommu.On, "ivhd0", proxstation.No, proxstation.Yes, "identity"},
		"intel-quiet": {iommu.On, "dmar0", proxstation.Yes, proxstation.No, "DMA"},
		"none":        {iommu.Off, "", proxstation.No, proxstation.No, ""},
	}[machine]
	if state, why := facts.State(); state != want.state {
		t.Errorf("State() = %s (%s), want %s", state, why, want.state)
	}
	if facts.ACPI.DMAR != want.dmar || facts.ACPI.IVRS != want.ivrs {
		t.Errorf("ACPI %+v, want DMAR %s, IVRS %s", facts.ACPI, want.dmar, want.ivrs)
	}
	if facts.Virtual.Answer != proxstation.Yes {
		t.Errorf("the lab is a virtual machine: %+v", facts.Virtual)
	}
	if vfio, ok := facts.Module("vfio_pci"); !ok || vfio.BuiltIn {
		t.Errorf("vfio_pci is loaded: %+v, %v", vfio, ok)
	}
	units := []string{}
	for _, u := range facts.Units {
		units = append(units, u.Name)
	}
	if (want.unit == "") != (len(units) == 0) || want.unit != "" && !slices.Contains(units, want.unit) {
		t.Errorf("IOMMUs %v, want %q", units, want.unit)
	}
	if machine == "none" {
		if len(facts.Groups) != 0 {
			t.Errorf("groups %v without an IOMMU", facts.Groups)
		}
		return
	}
	_, two := labCards(t, facts)
	id, ok := two.Group.Int()
	i := slices.IndexFunc(facts.Groups, func(g iommu.GroupFacts) bool { return g.ID == id })
	if !ok || i < 0 || facts.Groups[i].Type != want.kind {
		t.Errorf("group of %s: %v among %v, want type %s", two.Address, two.Group, facts.Groups, want.kind)
	}
	if machine == "amd" {
		for _, f := range facts.Functions {
			if _, grouped := f.Group.Int(); f.Class.Sub() == 0x0806 && grouped {
				t.Errorf("the IOMMU's own function %s has group %s", f.Address, f.Group)
			}
		}
	}
	if answer, why := facts.InterruptRemapping(); machine == "intel" && answer != proxstation.Yes {
		t.Errorf("interrupt remapping %s (%s), want yes", answer, why)
	}
}

func TestInLabIsolation(t *testing.T) { //nolint:paralleltest // the machine is shared
	machine := inLab(t)
	facts := readLab(t)
	one, two := labCards(t, facts)
	if machine == "none" {
		if err := facts.Isolated(one.Address); err == nil {
			t.Error("a card is isolated without an IOMMU")
		}
		return
	}
	if err := facts.Isolated(one.Address); err != nil {
		t.Errorf("the card with its audio function: %v", err)
	}
	if answer := facts.IsIsolated(two.Address); answer != proxstation.No {
		t.Errorf("the card beside a network card is isolated: %s (%v)", answer, facts.Isolated(two.Address))
	}
}

// The function "viable" asks VFIO itself whether a group can be given to a guest
// (Linux include/uapi/linux/vfio.h: VFIO_GROUP_GET_STATUS, flag VIABLE).
func viable(t *testing.T, group iommu.GroupID) bool {
	t.Helper()
	fd, err := unix.Open(fmt.Sprintf("/dev/vfio/%s", group), unix.O_RDWR, 0)
	if err != nil {
		t.Fatalf("opening VFIO group %s: %v", group, err)
	}
	defer unix.Close(fd)
	const vfioGroupGetStatus = 0x3b67 // _IO(';', 100 + 3)
	status := struct{ size, flags uint32 }{size: 8}
	if err := groupStatus(fd, vfioGroupGetStatus, &status.size); err != nil {
		t.Fatalf("VFIO_GROUP_GET_STATUS: %v", err)
	}
	return status.flags&1 != 0
}

func drivers(facts iommu.Facts) map[string]string {
	bound := map[string]string{}
	for _, f := range facts.Functions {
		bound[f.Address.String()] = f.Driver
	}
	return bound
}

func TestInLabBindAndRelease(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) == "none" {
		t.Skip("VFIO needs an IOMMU")
	}
	sys, err := os.OpenRoot("/sys")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	before := readLab(t)
	one, two := labCards(t, before)
	slot := []iommu.Address{}
	for _, f := range before.Slot(one.Address) {
		slot = append(slot, f.Address)
	}

	half, err := before.Bind(slot[:1], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Apply(sys); err != nil {
		t.Fatal(err)
	}
	if viable(t, one.Group) {
		t.Error("with one of two functions bound the group is viable")
	}
	whole, err := readLab(t).Bind(slot, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Apply(sys); err != nil {
		t.Fatal(err)
	}
	if !viable(t, one.Group) {
		t.Error("with both functions bound the group is not viable")
	}
	for _, f := range readLab(t).Slot(one.Address) {
		if f.Driver != "vfio-pci" {
			t.Errorf("%s is held by %q", f.Address, f.Driver)
		}
	}
	if other, _ := readLab(t).Function(two.Address); other.Driver != two.Driver {
		t.Errorf("the other card of the same model went from %q to %q", two.Driver, other.Driver)
	}
	if err := whole.Release(sys); err != nil {
		t.Errorf("releasing: %v", err)
	}
	if err := half.Release(sys); err != nil {
		t.Errorf("releasing the first half: %v", err)
	}
	after := readLab(t)
	for address, driver := range drivers(before) {
		if now := drivers(after)[address]; now != driver {
			t.Errorf("%s: driver %q, before %q", address, now, driver)
		}
	}
	for _, f := range after.Slot(one.Address) {
		if f.Override != "" {
			t.Errorf("%s is left with driver_override %q", f.Address, f.Override)
		}
	}
}
