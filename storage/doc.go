// Package storage joins the storages of a Proxmox VE node to the disks under
// them and says where a VM's disks should go.
//
// It works in three steps, and each can be used alone:
//
//   - Facts: [Disk], [Storage] and what lies between them ([VolumeGroup],
//     [ThinPool], [ZPool], [Mount]), read from the running machine with
//     [Read] or from the PVE API by package workstation.
//   - [Join] makes [Pool]s of them: every storage with its disks, its [Tier]
//     and the evidence. Pure.
//   - [Place] chooses a pool for every [DiskRequest] and explains each choice and
//     each refusal; [Forecast] says how full the pools will be. Pure.
//
// [Check] judges the pools as they are. [Drive] reads and writes the drive values
// of a VM's configuration.
package storage
