// Package recovery fetches the recovery system of a macOS release from Apple,
// verifies it, and writes it as a disk from which a VM boots. It knows nothing
// of Proxmox VE.
//
// A map for newcomers:
//
//   - [Client] speaks the protocol of Apple's recovery service, as a Mac without
//     a system does: [Client.Find] asks for the [Asset] of a [Release],
//     [Client.Download] fetches its two files.
//   - A [Chunklist] lists the content of an image, chunk by chunk, and is signed
//     by Apple. [Chunklist.Verify] checks the signature,
//     and [Chunklist.VerifyImage] checks an image.
//   - [WriteDisk] writes both files as a disk: a FAT32 file system with the
//     folder com.apple.recovery.boot, in which OpenCore and Apple's own boot
//     picker look.
//
// The connection to the service has no TLS, as on Macs. An image can be trusted
// only because its chunklist is signed. Therefore no file gets its final name
// before it has been verified.
//
// The protocol and the file format were learned from macrecovery, and from
// OcAppleChunklistLib and OcAppleKeysLib of OpenCorePkg, August 2026.
package recovery
