// Package workstation builds workstation VMs on a Proxmox VE node and lets
// them take turns on one graphics card.
//
// The order of the calls is always the same:
//
//	node := workstation.Open(client, "pve", nil)    // the caller's client
//	facts, err := node.Observe(ctx)                 // read
//	plan, err := workstation.Diff(spec, facts)      // judge: pure, no I/O
//	fmt.Print(plan)                                 // the diff a person approves
//	err = node.Apply(ctx, plan, nil)                // change, can be repeated
//
// A [Spec] says which VMs should exist. Package profile makes a [VM] from a few
// typed fields, for Windows, Linux and macOS. Every part of the VM can be
// changed before it goes into the Spec.
//
// The changes of a plan can be undone: keep facts.Snapshot() before Apply, and
// [RestorePlan] makes the plan that returns to it. That plan touches no disk.
//
// A [DualBoot] is a set of VMs that share a card. [Node.Switch] hands the card
// over as a transaction: two VMs never have the card at the same time, and the
// first VM is started again if the second VM does not start.
//
// [Node.Status] and [Node.Watch] say which VM has the card. [Preflight] and
// [DualBoot.Advise] say what would stop or disturb a switch.
//
// Inside a guest, an [Agent] runs commands and moves files. With it package
// rustdesk makes the guest reachable from elsewhere (SetUp, PlanFor) or turns
// it into a RustDesk server (SetUpServer). Package reach lists the other ways to
// reach a VM, and package access sets them up inside the guest. [Node.Upload]
// and [Node.Download] bring images to the node.
//
// Everything can be tried without a node: package pvetest, a subpackage, is a
// Proxmox VE node in the caller's process.
package workstation
