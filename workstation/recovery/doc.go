// Package recovery fetches the recovery system of a macOS release from Apple,
// verifies it, and writes it as a disk that a VM boots. It knows nothing of
// Proxmox VE.
//
// A map for newcomers:
//
//   - [Client] speaks the protocol of Apple's recovery service, the one a Mac
//     without a disk speaks: [Client.Find] asks for the [Asset] of a
//     [Release], [Client.Download] fetches its two files.
//   - A [Chunklist] says what an image must contain, chunk by chunk, and is
//     signed by Apple. [Chunklist.Verify] checks the signature,
//     [Chunklist.VerifyImage] an image.
//   - [WriteDisk] writes both files as a disk: a FAT32 file system with the
//     folder com.apple.recovery.boot, in which OpenCore and Apple's own boot
//     picker look.
//
// The service is spoken to without TLS, as Macs do; what makes an image
// trustworthy is the signature of its chunklist alone. So nothing is ever
// left under its final name that has not passed it.
//
// The protocol and the file format were learned from macrecovery and from the
// OcAppleChunklistLib and OcAppleKeysLib of OpenCorePkg, August 2026.
package recovery
