// Package loader gives a macOS VM a configured copy of an OpenCore image.
//
//   - [Source.Plan] reads the image and the kernel extensions from files, and
//     plans the copy for the VM as it will be. It changes nothing.
//   - [Copy.VM] returns the VM with the copy as its boot loader, for
//     workstation.Diff. [Copy.With] returns facts in which the node has the
//     copy already.
//   - [Copy.Bring] writes the copy beside the image and uploads it, before the
//     plan is applied. The image itself is not changed, so the VM can go back
//     to it.
//
// The drive of a copy has the copy's mark as its serial number. A second plan
// finds the copy in the VM by this number, and changes nothing.
package loader
