// Package access sets up the ways into a guest beside RustDesk: [SSH] on Linux,
// [RDP] on Windows, and [Sunshine] for games on either. It knows nothing of
// Proxmox VE: a [Guest] is any way to run a command in the guest, such as the
// guest agent of package workstation.
//
// A way says what should be; its method Plan reads the guest and returns what
// has to change, and [Apply] does what the plan says and reads the guest again.
// Passwords go over the standard input of commands. They are in no command line,
// plan, event or error.
package access
