// Package pvetest is a Proxmox VE node in your process, to test automation
// against: real HTTP, PVE's rules, PVE's messages, and none of its mercy.
//
// A [Host] describes a node as data; [Reference] is a homelab's. [New] makes a
// [Node] of it, which any client of the PVE API can talk to:
//
//	node := pvetest.New(pvetest.Reference(), nil).Start()
//	defer node.Close()
//	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()), ...)
//
// It keeps what a node keeps: configurations with digests, pending changes and
// locks, volumes, running VMs, PCI reservations, resource mappings, tasks that
// fail late, guests that take their time. It checks every request against
// PVE's own schema and every caller's privileges; root@pam with a password,
// its tokens, and tokens with few privileges get different answers.
//
// [Node.Inject] plans faults per request and per task; [Node.PowerOn],
// [Node.Edit], [Node.Lock], [Node.LoseCard] and their like act as somebody
// else; [Node.VM], [Node.Running] and [Node.Check] tell the truth about what
// became of it.
//
// Time passes only between requests, so a node works inside a testing/synctest
// bubble: with [Node.Transport] minutes of a guest's shutdown take
// milliseconds.
//
// # How far it goes
//
// Its truth is PVE's API schema and the sources of PVE 9.1 (qemu-server 9.2,
// pve-guest-common, pve-storage, pve-access-control). It has one node and no
// cluster, no containers, no migration and no network traffic. The
// conformance tests of this package run against a real node too; see
// conformance_test.go.
package pvetest
