// Package lab boots Debian's kernel under QEMU with an emulated IOMMU and runs
// programs inside, our own test binaries above all, so that what is said of
// sysfs and done to it is true of a real kernel.
//
// QEMU emulates by itself (TCG): no /dev/kvm is needed. A boot to the first
// program takes eight seconds on one core; see BenchmarkBoot. kernel.sh
// fetches the kernel; nothing is downloaded by a test. Without QEMU or the
// kernel the tests skip, unless PROXSTATION_LAB is "required".
//
// # How it works
//
// [Find] finds QEMU and the kernel. [Lab.Run] makes an initramfs of
// internal/lab/init, the [Machine]'s modules, the programs and what files they
// need, boots it and returns what became of each [Command]. The kernel's
// console is the first serial port. Programs are reported on the second one,
// as [Event]s, so that no output of theirs or of the kernel is taken for a
// result. A boot that ends in a panic, hangs or ends too early is a [*BootError];
// a test that fails is a [Result] whose Exit is not 0.
//
// # Tests that run inside
//
// They stand in a file inlab_test.go beside the code they test, begin with
// "TestInLab" and skip unless PROXSTATION_IN_LAB names the machine:
//
//	intel         an Intel IOMMU, with intel_iommu=on iommu=pt
//	amd           an AMD IOMMU, with amd_iommu=on iommu=pt
//	intel-quiet   an Intel IOMMU and no argument
//	none          no IOMMU, though the kernel is told intel_iommu=on
//
// All have the same devices: a card and its audio function alone (root port
// 00:03.0), a card of the same model behind a PCI bridge with a network card
// (root port 00:04.0), and an NVMe, a SATA SSD, a SATA HDD, a virtio and a USB
// disk, all empty; and an NVMe controller without a disk that makes virtual
// functions (root port 00:08.0). The tools of LVM, Btrfs and ext4 are in /bin.
//
// Two more machines have tests of their own, which begin with "TestInKmod" and
// "TestInPicture":
//
//	kmod          the machine intel without disks and without a loaded module;
//	              kmod and the index of all modules are there
//	picture       an Intel IOMMU and a display with the firmware's picture
package lab
