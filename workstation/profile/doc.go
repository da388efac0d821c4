// Package profile makes VMs from a few typed fields: [Windows11] for games,
// [LinuxAI] for models, [MacOS] on an iGPU or an AMD card, and [RustDeskServer]
// for remote access. Each profile has a method VM. Its result goes into a Spec
// of package workstation. Programs may change every part of that VM before they
// plan it.
//
// A profile sends no request to a node, and makes no decision that depends on a
// node: workstation.Diff decides where disks go and whether the VM can have its
// card.
package profile
