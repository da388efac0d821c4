// Package iommu reads and judges a host's IOMMU and PCI functions, and plans
// the changes that are needed to hand a function to a guest.
//
// It has three separate parts:
//
//   - Reading: [Read] turns a running machine or a captured tree into [Facts].
//     Facts that it cannot read stay [proxstation.Unknown]. The PVE API fills
//     the same types with fewer facts.
//   - Judging, without any I/O: [Facts.State], [Facts.InterruptRemapping],
//     [Facts.Isolated], [Facts.BootLoader] and [Facts.Configured]. [Facts.Check]
//     judges the machine and [Facts.CheckDevice] a device; both return findings.
//   - Changing, by a plan that is data: [Facts.Bind] makes a [Binding], which
//     moves functions to vfio-pci at run time. [Facts.Prepare] and
//     [Facts.GiveBack] make a [HostPlan], which changes files for the next start.
//     Apply carries out a plan. [Binding.Release] and [Undo] take it back.
//
// # Words
//
// A function has an [Address] such as 0000:01:00.0. A device (or card) is all
// functions of one slot, 0000:01:00. A group is a set of functions that the
// IOMMU cannot tell apart. Only a single guest can get the group, as a whole.
//
// # Files
//
// address.go, function.go and words.go hold the words, and facts.go the facts.
// host.go, read_*.go, virtual.go, kvm.go, framebuffer.go, uses.go,
// uses_storage.go, console.go and loader.go read the facts. state.go,
// isolation.go, shared.go, check*.go, chipset.go, ids.go, driver_first.go,
// modules.go, network.go, kernels.go and drift.go judge. cmdline.go,
// arguments.go, place.go and grub.go parse kernel arguments and find their
// files; modprobe.go parses modprobe.d. bind.go and rebind.go change the running
// host. prepare*.go, loader_edit.go, refuse.go, foreign.go, kept.go,
// hostplan.go, apply.go and journal.go change what the next start does.
package iommu
