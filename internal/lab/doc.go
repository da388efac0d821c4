// Package lab boots Debian's kernel under QEMU with an emulated IOMMU and runs
// our own test binaries inside, so that what is said of sysfs and done to it
// is true of a real kernel.
//
// QEMU emulates by itself (TCG): no /dev/kvm is needed. A boot takes about ten
// seconds. The kernel comes from kernel.sh; without it or without QEMU the
// tests skip, unless PROXSTATION_LAB is "required".
//
// A test that is to run inside stands in a file inlab_test.go beside the code
// it tests, begins with "TestInLab" and skips unless PROXSTATION_IN_LAB names
// the machine. It finds the [Machines]:
//
//	intel         an Intel IOMMU, with intel_iommu=on iommu=pt
//	amd           an AMD IOMMU
//	intel-quiet   an Intel IOMMU and no argument
//	none          no IOMMU, though the kernel is told intel_iommu=on
//
// All have the same devices: a card and its audio function alone (root port
// 00:03.0), a card of the same model behind a PCI bridge with a network card
// (root port 00:04.0), and an NVMe, a SATA SSD, a SATA HDD, a virtio and a USB
// disk.
package lab
