// Package pve makes the calls to a PVE node that proxstation needs, through a
// go-proxmox client, and decodes the answers of real nodes.
//
// Only this package deals with the traps of go-proxmox v0.8.2. If the caller
// wants no data, go-proxmox treats statuses such as 595 as success. It loses
// the message of a 403, follows redirects with the login, and reads bodies of
// any size. While it logs in, requests that are under way fail. Its Task.Wait
// returns nil for a task that failed. For these reasons, [Transport] keeps
// PVE's words and sends nothing to other hosts, [Dial] uses a login of this
// package, and [Client.Wait] is the only place that waits for tasks.
//
// The answers of a node are not trusted. Their size is limited. If a value in
// an answer has the wrong type, the value is reported as an [Odd], and the
// other values are still read. Texts are made printable, and the secrets that
// were sent to the node are removed from them. Every error passes through
// [Public] on its way to the caller.
package pve
