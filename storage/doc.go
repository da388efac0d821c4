// Package storage joins the storages of a Proxmox VE node to the disks under
// them and says where a VM's disks should go.
//
// It works in three steps. Each step can be used alone:
//
//   - Facts: [Disk], [Storage] and the layers between them ([VolumeGroup],
//     [ThinPool], [ZPool], [Mount]). [Read] reads them from the running machine,
//     and package workstation from the PVE API.
//   - [Join] makes [Pool]s of the facts: every storage with its disks, its [Tier]
//     and the evidence for the tier. It does no I/O.
//   - [Place] chooses a pool for every [DiskRequest] and explains each choice and
//     each refusal. [Forecast] says how full the pools will be. Both do no I/O.
//
// [Check] judges the pools as they are. [Drive] reads and writes the drive values
// of a VM's configuration.
package storage
