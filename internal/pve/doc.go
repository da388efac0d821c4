// Package pve makes the calls to a PVE node that proxstation needs, through a
// go-proxmox client, and decodes what real nodes send.
//
// go-proxmox v0.8.2 has traps that are dealt with here and nowhere else. It takes
// answers with statuses such as 595 for success when nobody wants their data,
// loses the message of a 403, follows redirects with the login, reads bodies of
// any size, fails the requests that are under way while it logs in, and its
// Task.Wait returns nil for a task that failed. [Transport] keeps PVE's words and
// stays with the node, [Dial] has a login of its own, and [Client.Wait] is the
// one place that waits.
//
// What a node sends is data of somebody else: it is bounded, decoded as far as
// it fits (a value that does not is an [Odd]), printable, and free of the
// secrets that were sent to the node. Every error passes [Client.Explain] on its
// way out.
package pve
