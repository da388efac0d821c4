// Package access sets up the ways into a guest beside RustDesk: [SSH] on Linux,
// [RDP] on Windows, and [Sunshine] for games on both. It knows nothing of
// Proxmox VE. A [Guest] is anything that can run a command in the guest, such
// as the guest agent of package workstation.
//
// A [Way] describes the wanted settings. Its method Plan reads the guest and
// returns the necessary changes. [Apply] makes these changes and reads the
// guest again. Passwords go over the standard input of commands. They appear in
// no command line, plan, event or error.
package access
