// Package guest boots a real Debian guest under QEMU as PVE would, so that what
// is said of a first boot, of the guest agent and of scripts in a guest is true
// of a guest.
//
// image.sh makes the guest's disk from Debian's packages; no image is
// downloaded. [Arguments] translates a VM's configuration into QEMU's command
// line. The tests of this package join both with the embedded node: the node has
// the VM, and QEMU's guest agent answers what the node is asked of it. Without
// QEMU or the disk they skip, unless PROXSTATION_LAB is "required".
package guest
