// Package pvetest is a Proxmox VE node in your process, to test automation
// against: real HTTP, PVE's rules, PVE's messages, and none of its mercy.
//
// A [Host] describes a node as data; [Reference], [AMD] and [SharedGroup] are
// three. [New] makes a [Node] of one, which any client of the PVE API can talk
// to:
//
//	node := pvetest.New(pvetest.Reference(), nil).Start()
//	defer node.Close()
//	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
//		proxmox.WithCredentials(&proxmox.Credentials{Username: "root@pam", Password: "secret"}))
//
// It keeps what a node keeps: configurations with digests, pending changes and
// locks, volumes and free space, running VMs, PCI reservations, resource
// mappings, tasks that fail late, guests that take their time. It checks every
// request against PVE's own schema and every caller's privileges: root@pam
// with a password, its tokens, and users and tokens with few privileges get
// different answers.
//
// # Testing your own automation
//
// Look at the truth, not at what your client believes: [Node.VM],
// [Node.Running], [Node.Volumes], [Node.Tasks]. End every test with
// [Node.Check], which knows what must never be: two VMs with one card, a disk
// of nobody, a host without the disk it runs on.
//
// Let things go wrong. [Node.Inject] plans a [Fault] for a request or a task:
// refused, lost on the way, lost on the way back, failed late, hung. A test
// that counts the requests of an operation once ([Node.Trace]) can then run it
// again with each of them broken in turn ([Fault.Skip]), and ask whether a
// plain retry gets there. [Guest] does the same for what is inside a VM.
//
// Let somebody else act: [Node.PowerOn], [Node.PowerOff], [Node.Edit],
// [Node.Lock], [Node.BeginBackup], [Node.Suspend], [Node.Sleep], [Node.OpenConsole],
// [Node.DestroyVM], [Node.LoseCard], [Node.MoveCard], [Node.FillStorage],
// [Node.Restart], at any time, or between two requests of your client with
// Options.OnRequest.
//
// Say that nothing is written twice: [Node.Writes] is empty for a second run.
//
// # Time
//
// Time passes between requests only: each first lets everything happen that
// was due since the last. There are no goroutines, so a node with
// [Node.Transport] works inside a testing/synctest bubble, where minutes of a
// guest's shutdown take milliseconds. Elsewhere Options.Speed lets it run
// faster than real time.
//
// # How far it goes
//
// Its truth is PVE's API schema and the sources of PVE 9.2 (pve-manager,
// qemu-server, pve-guest-common, pve-storage, pve-access-control,
// pve-http-server). It has one node and no cluster, containers by name only, no
// migration, no restore and no network traffic. Pools lend no privileges.
// [Served] lists the methods that it serves; every other method of PVE answers
// 501, and says that it is PVE's. README.md has the list with notes on how far
// each answer goes, and how to serve a node to clients outside Go. The
// conformance tests of this package run against a real node too; see
// conformance_test.go.
//
// # Versions
//
// Host.Version decides what the node knows and answers: PVE 8.4, 9.1 and 9.2
// differ in parameters and keys (pveschema, with the release that brought or
// dropped each), privileges of the guest agent, refusals of logins, QEMU and
// machine versions, figures of memory and pressure, certificates in EFI variables,
// and the privileges that a creation asks for. The source stands beside each
// difference; version_test.go has them in a table.
//
// # Where things are
//
//	host*.go                          descriptions
//	serve.go tls.go request.go parameters.go answer.go routes*.go served.go   from a request to a handler and back
//	call.go refusal.go check.go       what a handler gets, how it says no, what it asks of callers
//	identity.go account.go credentials.go access*.go pools.go   who asks, and what they may do
//	base.go node.go new.go            time, and the parts of a node
//	task*.go fault.go vzdump.go       work in the background, the lock, what goes wrong
//	storage*.go disks.go              storages, volumes, physical disks
//	pci*.go                           devices, hostpci values, mappings, reservations
//	vm_rights.go vm_request.go vm_config.go vm_create.go vm_change.go vm_drive.go vm_boot.go vm_pending.go   what a VM may be
//	vm_*.go                           the other files: what is done with a VM
//	api*.go vm_status.go              answers that only show
//	truth.go trace.go invariants.go somebody.go          for tests
package pvetest
