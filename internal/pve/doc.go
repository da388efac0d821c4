// Package pve makes the calls to a PVE node that proxstation needs, through
// the caller's go-proxmox client, and decodes what real nodes send.
//
// go-proxmox v0.8.2 has traps that are dealt with here and nowhere else: it
// takes answers with statuses such as 595 for success when nobody wants their
// data, loses the message of a 403, fails the requests that are under way while
// it logs in, and its Task.Wait returns nil for a task that failed. [Transport]
// keeps PVE's words, [Dial] has a login of its own, and [Client.Wait] is the one
// place that waits.
package pve
