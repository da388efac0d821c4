// Package profile makes VMs from a few typed fields: [Windows11] for games,
// [LinuxAI] for models, [MacOS] on an iGPU or an AMD card, and
// [RustDeskServer] for remote access. Each has a method VM, whose result goes
// into a Spec of package workstation. The packages' users may change every
// part of that VM before they plan it.
//
// A profile speaks to no node and decides nothing that depends on one: where
// disks go and whether the VM can have its card is for workstation.Diff.
package profile
