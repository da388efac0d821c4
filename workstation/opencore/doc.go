// Package opencore reads OpenCore images, judges them for a VM, and configures
// copies of them. OpenCore is the boot loader that starts macOS in a VM. Its
// config.plist decides whether macOS accelerates the VM's graphics card.
//
//   - [Read] returns an [Image]: the layout, the version of OpenCore,
//     config.plist, kernel extensions and drivers.
//   - [Judge] compares an Image with a [Machine], the VM as PVE makes it. It
//     returns findings. A finding holds a key, its present value and the wanted
//     value.
//   - [Configure] makes a [Plan]. The plan holds the changes that the findings
//     want, and the kernel extensions and the identity from the caller.
//   - [Write] writes a copy of the image with the plan applied. Bytes that the
//     plan does not name stay the same. The image itself is never changed, so
//     the VM can go back to it.
//   - [PlanFile] and [WriteFile] do the same for files, in one call each.
//
// The package talks to no node and fetches nothing. It contains no kernel
// extension, no serial number and no key.
package opencore
