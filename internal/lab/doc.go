// Package lab boots Debian's kernel under QEMU with an emulated IOMMU and runs
// programs inside, mostly our own test binaries. They show that our code reads
// and changes the sysfs of a real kernel correctly.
//
// QEMU emulates the processor (TCG), so /dev/kvm is not needed. A boot to the
// first program takes eight seconds on one core; see BenchmarkBoot. kernel.sh
// fetches the kernel; tests download nothing. Without QEMU or the kernel the
// tests skip, unless PROXSTATION_LAB is "required".
//
// # How it works
//
// [Find] finds QEMU and the kernel. [Lab.Run] makes an initramfs of
// internal/lab/init, the [Machine]'s modules, the programs and the files that
// they need. It boots the machine and returns the result of each [Command]. The
// kernel's console is the first serial port. Init reports on the second port, as
// [Event]s, so that output of a program or the kernel is not taken for a result.
// A boot that panics, hangs or ends too early returns a [*BootError]. A test that
// fails is a [Result] whose Exit is not 0.
//
// # Tests that run inside
//
// These tests are in a file inlab_test.go beside the code that they test. Their
// names begin with "TestInLab". They skip unless PROXSTATION_IN_LAB names the
// machine:
//
//	intel         an Intel IOMMU, with intel_iommu=on iommu=pt
//	amd           an AMD IOMMU, with amd_iommu=on iommu=pt
//	intel-quiet   an Intel IOMMU, without an argument
//	none          no IOMMU, but the kernel argument intel_iommu=on
//
// All machines have the same devices. Three root ports have these devices behind
// them:
//
//	00:03.0       a card with its audio function, and no other device
//	00:04.0       a PCI bridge with a card of the same model and a network card
//	00:08.0       an NVMe controller that makes virtual functions and has no disk
//
// There are five empty disks: NVMe, SATA SSD, SATA HDD, virtio and USB. The tools
// of LVM, Btrfs and ext4 are in /bin.
//
// Three more machines have tests of their own, which begin with "TestInKmod",
// "TestInPicture" and "TestInCD":
//
//	kmod          the machine intel without disks and without a loaded module;
//	              kmod and the index of all modules are there
//	picture       an Intel IOMMU and a display with the firmware's picture
//	cd            the CDs of package firstboot, and no IOMMU
package lab
