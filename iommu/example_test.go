package iommu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// The function "captured" reads a host of the tests. On a real machine, call
// iommu.Read(nil) instead.
func captured(name string) iommu.Facts {
	tree, err := hosttree.Load(name)
	if err != nil {
		panic(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		panic(err)
	}
	return facts
}

func slot(s string) iommu.Address {
	a, err := iommu.ParseSlot(s)
	if err != nil {
		panic(err)
	}
	return a
}

func ExampleParseAddress() {
	a, err := iommu.ParseAddress("01:00.1")
	fmt.Println(a, a.Slot(), a.Function(), err)
	// Output: 0000:01:00.1 0000:01:00 1 <nil>
}

func ExampleRead() {
	tree, err := hosttree.Load("reference") // or os.DirFS("/path/of/a/captured/tree")
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, fn := range facts.Functions {
		if fn.Class.IsDisplay() {
			fmt.Println(fn.Address, fn.Model, fn.Driver, fn.Group)
		}
	}
	// Output:
	// 0000:00:02.0 8086:3e92 i915 2
	// 0000:01:00.0 10de:2c05 vfio-pci 1
}

func ExampleFacts_State() {
	state, why := captured("no-iommu").State()
	fmt.Println(state, "because", why)
	// Output: off because /sys/kernel/iommu_groups is empty; /sys/class/iommu is empty
}

func ExampleFacts_Check() {
	for _, finding := range captured("no-iommu").Check() {
		fmt.Println(finding)
	}
	// Output:
	// blocker: IOMMU (iommu.firmware-off)
	//   seen: /sys/firmware/acpi/tables has neither DMAR nor IVRS; /sys/kernel/iommu_groups is empty; /sys/class/iommu is empty
	//   why:  Without an IOMMU no device can be handed to a guest.
	//   fix:  Turn on VT-d (Intel) or IOMMU (AMD) in the firmware's set-up. Kernel arguments cannot replace it.
}

func ExampleFacts_Isolated() {
	err := captured("shared-group").Isolated(slot("04:00"))
	if shared, ok := errors.AsType[*iommu.SharedError](err); ok {
		for _, fn := range shared.Others {
			fmt.Println(fn.Address, fn.Model, fn.Driver)
		}
		fmt.Println("below", shared.Above)
	}
	// Output:
	// 0000:01:00.1 1022:43b5 ahci
	// 0000:03:00.0 10ec:8168 r8169
	// below 0000:00:01.3
}

func ExampleFacts_CheckDevice() {
	for _, finding := range captured("reference").CheckDevice(slot("00:02")) {
		fmt.Println(finding)
	}
	// Output:
	// warning: 0000:00:02.0 (iommu.only-console)
	//   seen: the only display that shows the host's console; driver "i915", boot_vga yes
	//   why:  The host has no picture while a guest has this display.
	//   fix:  Make sure that the host is reached over the network, or give it another display.
}

func ExampleFacts_BootLoader() {
	loader, why := captured("amd-desktop").BootLoader()
	fmt.Println(loader)
	fmt.Println(why)
	// Output:
	// systemd-boot under proxmox-boot-tool
	// EFI variable LoaderInfo: systemd-boot 252; /etc/kernel/proxmox-boot-uuids lists partitions
}

func ExampleCmdline() {
	c := iommu.ParseCmdline(`quiet  dyndbg="file iommu.c +p"`)
	fmt.Printf("%q\n", c.Args())
	fmt.Println(c.With("iommu=pt").With("iommu=pt"))
	fmt.Println(c.Without("quiet"))
	// Output:
	// ["quiet" "dyndbg=file iommu.c +p"]
	// quiet  dyndbg="file iommu.c +p" iommu=pt
	// dyndbg="file iommu.c +p"
}

func ExampleBinding() {
	facts := captured("two-identical-cards")
	var card []iommu.Address
	for _, fn := range facts.Slot(slot("0b:00")) {
		card = append(card, fn.Address)
	}
	binding, err := facts.Bind(card, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(binding)
	// Then, as root: sys, err := os.OpenRoot("/sys"); binding.Apply(sys);
	// and to give the card back: binding.Release(sys).

	// Output:
	// ~ 0000:0b:00.0 10de:2504  nouveau -> vfio-pci
	// ~ 0000:0b:00.1 10de:228e  snd_hda_intel -> vfio-pci
}

func ExampleHostPlan() {
	facts := captured("held-by-vfio")
	plan, err := facts.Prepare([]iommu.Address{slot("0a:00"), slot("0a:00").WithFunction(1)},
		&iommu.PrepareOptions{Args: []string{"iommu=pt"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	// Then, as root: root, err := os.OpenRoot("/"); plan.Apply(ctx, root, iommu.Exec);
	// and to take it back: iommu.Undo(ctx, root, iommu.Exec).

	// Output:
	// --- /dev/null
	// +++ b/etc/modprobe.d/00-proxstation.conf
	// @@ -0,0 +1,8 @@
	// +# Written by proxstation: keeps these PCI functions for guests. Do not edit.
	// +# function 0000:0a:00.0 1002:67df amdgpu,radeon
	// +# function 0000:0a:00.1 1002:aaf0 snd_hda_intel
	// +# argument iommu=pt
	// +options vfio-pci ids=1002:67df,1002:aaf0
	// +softdep amdgpu pre: vfio-pci
	// +softdep radeon pre: vfio-pci
	// +softdep snd_hda_intel pre: vfio-pci
	// --- /dev/null
	// +++ b/etc/modules-load.d/proxstation.conf
	// @@ -0,0 +1,3 @@
	// +# Written by proxstation.
	// +vfio-pci
	// +vfio_iommu_type1
	// --- /dev/null
	// +++ b/etc/default/grub.d/proxstation.cfg
	// @@ -0,0 +1,2 @@
	// +# Written by proxstation.
	// +GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT iommu=pt"
	// $ update-initramfs -u -k all
	// $ update-grub
	// restart the host: kernel arguments change
}

// The PVE API returns functions and their groups, and nothing else. These facts
// are enough to judge isolation.
func ExampleFacts() {
	card := slot("01:00")
	facts := iommu.Facts{GroupsKnown: proxstation.Yes, Functions: []iommu.Function{
		{Address: card, Class: 0x030000, Model: iommu.Model{Vendor: 0x10de, Device: 0x2c05}, Group: iommu.Group(1)},
		{Address: card.WithFunction(1), Class: 0x040300, Model: iommu.Model{Vendor: 0x10de, Device: 0x22e9}, Group: iommu.Group(1)},
		{Address: slot("02:00"), Class: 0x010802, Group: iommu.Group(2)},
	}}
	state, why := facts.State()
	fmt.Println(state, "because", why)
	fmt.Println("isolated:", facts.IsIsolated(card))
	_, err := facts.Bind([]iommu.Address{card}, nil)
	fmt.Println(err)
	// Output:
	// on because 0000:01:00.0 is in group 1; /sys/class/iommu is not known
	// isolated: yes
	// iommu: refused: 0000:01:00.0: its driver is not known: The function could not be given back to its driver.
}

func ExampleUndo() {
	dir, err := os.MkdirTemp("", "host")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir) // on a host: os.OpenRoot("/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Close()
	plan, err := captured("held-by-vfio").Prepare([]iommu.Address{slot("0a:00")}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	var print iommu.Runner = func(_ context.Context, command []string) error { // on a host, use iommu.Exec
		fmt.Println("$", strings.Join(command, " "))
		return nil
	}
	fmt.Println("apply:", plan.Apply(ctx, root, print))
	fmt.Println("again:", plan.Apply(ctx, root, print))
	fmt.Println("undo:", iommu.Undo(ctx, root, print))
	fmt.Println("again:", iommu.Undo(ctx, root, print))
	// Output:
	// $ update-initramfs -u -k all
	// apply: <nil>
	// again: <nil>
	// $ update-initramfs -u -k all
	// undo: <nil>
	// again: iommu: undo: nothing to undo
}

func ExampleVirtual() {
	facts := captured("nested-vm")
	fmt.Println(facts.Virtual.Answer, facts.Virtual.Vendor)
	fmt.Println(facts.Check()[0].ID)
	// Output:
	// yes QEMU
	// iommu.vm-without-iommu
}

func ExampleFunction_Console() {
	for _, fn := range captured("server-bmc").Functions {
		if fn.Class.IsDisplay() {
			fmt.Printf("%s %q\n", fn.Address, fn.Console())
		}
	}
	// Output:
	// 0000:03:00.0 "Matrox G200eW3"
	// 0000:19:00.0 ""
}

// This prints which file holds this host's kernel arguments, and which command
// to run after an edit of the file.
func ExamplePlace() {
	place := captured("guide-wrong-loader").Place()
	fmt.Println(place.Loader)
	fmt.Println(place.Edit, "->", place.Command)
	// Output:
	// systemd-boot under proxmox-boot-tool
	// the first line of /etc/kernel/cmdline -> proxmox-boot-tool refresh
}

// Advise leaves out the arguments that are in force.
func ExampleFacts_Advise() {
	facts := captured("reference")
	fmt.Printf("%q\n", facts.Advise("iommu=pt"))
	fmt.Println(facts.Advise("iommu=pt", "initcall_blacklist=sysfb_init"))
	// Output:
	// ""
	// add initcall_blacklist=sysfb_init to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart
}

// This lists the network cards that are not a port of a bridge.
func ExampleNetwork() {
	for _, link := range captured("guide-nvidia-first").Network.Interfaces {
		if link.Address != nil && link.Master == "" {
			fmt.Println(link.Name, *link.Address, link.MAC)
		}
	}
	// Output: enp8s0 0000:08:00.0 02:00:00:00:00:08
}

// An interface is a port of a bridge if it has a master.
func ExampleInterface() {
	for _, link := range captured("apu-one-group").Network.Interfaces {
		fmt.Printf("%s %q\n", link.Name, link.Master)
	}
	// Output:
	// enp1s0 "vmbr0"
	// vmbr0 ""
}

// This prints how many virtual functions an iGPU can make, and how many it has.
func ExampleSRIOV() {
	fn, _ := captured("igpu-virtual-functions-gone").Function(slot("00:02"))
	fmt.Printf("%d of %d\n", fn.SRIOV.Now, fn.SRIOV.Total)
	// Output: 0 of 7
}

// This prints the power state of a card. A card in D3cold may not wake up for a
// guest.
func ExamplePower() {
	fn := iommu.Function{Power: &iommu.Power{State: "D3cold", Runtime: "suspended"}}
	fmt.Println(fn.Power.State, fn.Power.Runtime, fn.Power.D3ColdAllowed)
	// Output: D3cold suspended unknown
}

// This prints whether virtualization is off, for example after a firmware
// update.
func ExampleKVM() {
	facts := iommu.Facts{KVM: iommu.KVM{Answer: proxstation.No, Seen: "/proc/cpuinfo: neither flag vmx nor svm"}}
	for _, f := range facts.Check() {
		if f.ID == "iommu.no-virtualization" {
			fmt.Println(f.Severity, f.Seen)
		}
	}
	// Output: blocker /proc/cpuinfo: neither flag vmx nor svm
}
