// Package guest boots a real Debian guest under QEMU as PVE would. Its tests
// show that the library's claims about first boots, the guest agent and scripts
// hold in a real guest.
//
// image.sh makes the guest's disk from Debian's packages; no image is
// downloaded. [Arguments] translates a VM's configuration into QEMU's command
// line. The tests of this package use it together with the embedded node: the
// node has the VM, and passes requests for the guest to QEMU's guest agent. The
// tests skip if QEMU or the disk is missing, unless PROXSTATION_LAB is
// "required".
package guest
