// Package pvetest is a Proxmox VE node, or a cluster of nodes, in your process,
// to test automation against. It has real HTTP, PVE's rules and PVE's messages,
// and it is as strict as PVE.
//
// A [Host] describes a node as data. [Reference], [AMD] and [SharedGroup]
// return complete descriptions. [New] makes a [Node] from a description, and
// any client of the PVE API can use the node:
//
//	node := pvetest.New(pvetest.Reference(), nil).Start()
//	defer node.Close()
//	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
//		proxmox.WithCredentials(&proxmox.Credentials{Username: "root@pam", Password: "secret"}))
//
// The node has the state of a real node: configurations with digests, pending
// changes and locks, volumes and free space, running VMs, PCI reservations,
// resource mappings, tasks that fail late, guests that react slowly. It checks
// every request against PVE's own schema and against the caller's privileges.
// The answers depend on the caller: root@pam with a password, a token of
// root@pam, or a user or token with few privileges.
//
// # Testing your own automation
//
// Check the true state of the node, not what your client believes: [Node.VM],
// [Node.Running], [Node.Volumes], [Node.Tasks]. End every test with
// [Node.Check]. It reports states that must never occur: two VMs with one card,
// a disk that belongs to no VM, a host without the disk that it runs on.
//
// Let things go wrong. [Node.Inject] plans a [Fault] for a request or a task.
// The request can be refused, be lost on the way, or lose its answer. The task
// can fail late, or hang. A test can count the requests of an operation once
// ([Node.Trace]). It can then run the operation again and again, let a
// different request fail each time ([Fault.Skip]), and check that a plain retry
// succeeds. The fields of [Guest] let a VM's own system fail.
//
// Act as somebody else: [Node.PowerOn], [Node.PowerOff], [Node.Edit],
// [Node.Lock], [Node.BeginBackup], [Node.Suspend], [Node.Sleep], [Node.OpenConsole],
// [Node.DestroyVM], [Node.LoseCard], [Node.MoveCard], [Node.FillStorage],
// [Node.Restart]. Call these methods at any time. To call one between two
// requests of your client, use Options.OnRequest.
//
// Show that a second run of your automation changes nothing: [Node.Writes] is
// then empty.
//
// # Clusters
//
// [NewCluster] makes nodes that share the same things as PVE's nodes, and that
// pass requests on to each other. [Cluster.Down] cuts the power of a node,
// [Cluster.Partition] splits the network, [Cluster.Delay] makes a node slow, and
// the faults [PowerBefore] and [PowerAfter] cut the power in the middle of a
// request or a task. A node of [New] is the only node of its cluster.
//
// # Time
//
// The node's time passes only between requests. Each request first runs all
// events that became due since the last request. There are no goroutines, so a
// node with [Node.Transport] works inside a testing/synctest bubble, where a
// shutdown of several minutes takes milliseconds. Outside a bubble,
// Options.Speed makes the node's time faster than real time.
//
// # How far it goes
//
// The node follows PVE's API schema and the sources of PVE 9.2 (pve-manager,
// qemu-server, pve-guest-common, pve-storage, pve-access-control,
// pve-http-server, pve-cluster, pve-ha-manager). Containers exist by name only.
// There is no restore and no network traffic. Pools give no privileges. The
// conformance tests of this package can also run against a real node; see
// conformance_test.go.
//
// [Served] lists the methods that the node serves. Every other method of PVE
// answers 501, and the message says that PVE has the method. README.md lists
// the served methods too, with notes on how complete each answer is. It also
// explains how to serve a node to clients outside Go.
//
// # Versions
//
// Host.Version determines the version of PVE. PVE 8.4, 9.1 and 9.2 differ in
// these points:
//
//   - parameters and keys; pveschema names the release that added or removed
//     each of them
//   - privileges for the guest agent
//   - messages of refused logins
//   - versions of QEMU and of machines
//   - figures of memory and pressure
//   - certificates in EFI variables
//   - privileges that are needed to create a VM
//   - high availability: PVE 8 has groups, PVE 9 has rules
//
// The code cites PVE's source for each difference. version_test.go has a table
// of differences.
//
// # Where things are
//
//	host*.go                          descriptions
//	serve.go tls.go request.go parameters.go answer.go routes*.go served.go   from a request to a handler and back
//	call.go refusal.go check.go       input of a handler, refusals, checks of privileges
//	identity.go account.go credentials.go access*.go pools.go   callers and their privileges
//	timeline.go base.go node.go new.go          time, and the state of a node
//	datacenter.go cluster*.go reach*.go broadcast.go quorum.go   the state that nodes share, and their connections
//	task*.go fault.go vzdump.go       tasks, the lock, faults
//	storage*.go disks.go              storages, volumes, physical disks
//	pci*.go                           devices, hostpci values, mappings, reservations
//	vm_rights.go vm_request.go vm_config.go vm_create.go vm_change.go vm_drive.go vm_boot.go vm_pending.go   configuration of VMs
//	vm_*.go                           all other vm files: actions on VMs
//	ha*.go                            high availability: configuration, CRM, LRMs
//	migrate*.go replication*.go       moves and copies of VMs between nodes
//	api*.go vm_status.go              answers that only read
//	truth.go trace.go invariants.go somebody.go          for tests
package pvetest
