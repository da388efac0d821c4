// Package pve makes the calls to a PVE node that proxstation needs, through a
// go-proxmox client, and decodes the answers of real nodes.
//
// Only this package deals with the traps of go-proxmox v0.8.2. go-proxmox takes
// answers with statuses such as 595 for success if the caller wants no data. It
// loses the message of a 403, follows redirects with the login, and reads
// bodies of any size. While it logs in, requests that are under way fail. Its
// Task.Wait returns nil for a task that failed. [Transport] keeps PVE's words
// and sends nothing to other hosts, [Dial] has a login of its own, and
// [Client.Wait] is the only place that waits for tasks.
//
// The answers of a node are not trusted. They are bounded, decoded as far as
// they fit (a value that does not fit is an [Odd]), made printable, and cleared
// of the secrets that were sent to the node. Every error passes [Public] on its
// way to the caller.
package pve
