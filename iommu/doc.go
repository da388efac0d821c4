// Package iommu reads and judges a host's IOMMU and PCI functions, and plans the
// changes without which a function cannot be handed to a guest.
//
// It is made of three parts that do not mix:
//
//   - Reading: [Read] turns a machine (the running one, or a captured tree)
//     into [Facts]. What it cannot read stays [proxstation.Unknown]. The PVE API gives the
//     same types with less in them.
//   - Judging, without any I/O: [Facts.State], [Facts.InterruptRemapping],
//     [Facts.Isolated], [Facts.BootLoader], [Facts.Configured], and as findings
//     [Facts.Check] for the machine and [Facts.CheckDevice] for a device.
//   - Changing, as a plan that is data: [Facts.Bind] makes a [Binding] that
//     moves functions to vfio-pci at run time, [Facts.Prepare] and
//     [Facts.GiveBack] a [HostPlan] that changes files for the next start.
//     Apply does what the plan says; [Binding.Release] and [Undo] take it back.
//
// # Words
//
// A function has an [Address] such as 0000:01:00.0. A device (or card) is all
// functions of one slot, 0000:01:00. A group is what the IOMMU cannot tell
// apart; it goes to one guest as a whole.
//
// # Files
//
// address.go, function.go and words.go hold the words, facts.go what is read by
// host.go, read_*.go, virtual.go, kvm.go, framebuffer.go, uses.go, uses_storage.go,
// console.go and loader.go. state.go, isolation.go, shared.go, check*.go,
// chipset.go, ids.go, driver_first.go, modules.go, network.go, kernels.go and drift.go
// judge. cmdline.go, arguments.go, place.go and grub.go understand kernel
// arguments and where they stand, modprobe.go understands modprobe.d. bind.go
// and rebind.go are the run time, prepare*.go, loader_edit.go, refuse.go,
// foreign.go, kept.go, hostplan.go, apply.go and journal.go the next start.
package iommu
