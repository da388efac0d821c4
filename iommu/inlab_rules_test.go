//go:build linux

package iommu_test

import (
	"os"
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// On a real kernel, a virtual function names its physical function and has its
// own group. It disappears when 0 is written to sriov_numvfs of the physical
// function.
func TestInLabVirtualFunctions(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) == "none" {
		t.Skip("groups need an IOMMU")
	}
	before := readLab(t)
	i := slices.IndexFunc(before.Functions, func(fn iommu.Function) bool { return fn.SRIOV != nil })
	if i < 0 {
		t.Fatal("no function has sriov_totalvfs")
	}
	physical := before.Functions[i]
	if *physical.SRIOV != (iommu.SRIOV{Total: 2}) {
		t.Errorf("%s: %+v, want none of 2", physical.Address, *physical.SRIOV)
	}
	file := "/sys/bus/pci/devices/" + physical.Address.String() + "/sriov_numvfs"
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(file, []byte("0"), 0)
	facts := readLab(t)
	var virtual []iommu.Function
	for _, fn := range facts.Functions {
		if fn.VirtualOf != nil && *fn.VirtualOf == physical.Address {
			virtual = append(virtual, fn)
		}
	}
	if len(virtual) != 1 {
		t.Fatalf("virtual functions %v, want one", virtual)
	}
	if now, _ := facts.Function(physical.Address); now.SRIOV.Now != 1 {
		t.Errorf("sriov_numvfs is read as %+v", now.SRIOV)
	}
	if err := facts.IsolatedTogether(virtual[0].Address); err != nil {
		t.Errorf("a virtual function alone: %v", err)
	}
	if virtual[0].Lost == proxstation.Yes {
		t.Error("a virtual function that is well is taken for lost: its vendor and device read as ones")
	}
	if _, err := facts.Bind([]iommu.Address{physical.Address}, nil); virtual[0].Driver != "" && err == nil {
		t.Error("the physical function is bound under its virtual one")
	}
}

// Read returns the kernel's values for power, reserved memory and the IOMMU's
// address width.
func TestInLabPowerAndWidth(t *testing.T) { //nolint:paralleltest // the machine is shared
	machine := inLab(t)
	facts := readLab(t)
	one, _ := labCards(t, facts)
	if one.Power == nil || !slices.Contains([]string{"D0", "D3hot", "D3cold", "unknown"}, one.Power.State) {
		t.Errorf("power of %s: %+v", one.Address, one.Power)
	}
	if facts.AddressBits == 0 {
		t.Error("/proc/cpuinfo shows no address sizes")
	}
	for _, g := range facts.Groups {
		if g.Direct != "" {
			t.Errorf("group %d has memory %q, which QEMU keeps for no device", g.ID, g.Direct)
		}
	}
	for _, u := range facts.Units {
		if machine == "intel" && u.AddressBits == 0 {
			t.Errorf("%s: the capability register is not read", u.Name)
		}
	}
	for _, fn := range facts.Functions {
		for _, bar := range fn.BARs {
			if bar.Unset {
				t.Errorf("%s: BAR %d is taken for one without an address", fn.Address, bar.Index)
			}
		}
	}
}

// A driver_override that names another driver keeps vfio-pci off a function, as
// the finding says.
func TestInLabDriverOverride(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) == "none" {
		t.Skip("VFIO needs an IOMMU")
	}
	one, _ := labCards(t, readLab(t))
	dir := "/sys/bus/pci/devices/" + one.Address.String()
	if err := os.WriteFile(dir+"/driver_override", []byte("no-such-driver"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(dir+"/driver_override", []byte("\n"), 0)
	found := readLab(t).CheckDevice(one.Address)
	if !slices.ContainsFunc(found, func(f proxstation.Finding) bool { return f.ID == "iommu.driver-override" }) {
		t.Errorf("found %v", found)
	}
	if one.Driver != "" {
		if err := os.WriteFile(dir+"/driver/unbind", []byte(one.Address.String()), 0); err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile("/sys/bus/pci/drivers/"+one.Driver+"/bind", []byte(one.Address.String()), 0)
		defer os.WriteFile(dir+"/driver_override", []byte("\n"), 0)
	}
	if err := os.WriteFile("/sys/bus/pci/drivers/vfio-pci/bind", []byte(one.Address.String()), 0); err == nil {
		t.Error("vfio-pci took a function that is reserved for another driver")
	}
}
