// Package hosttree describes a host in a page of text and makes the files of
// it that programs read: sysfs with its links, procfs, /etc and /boot.
//
// A description is a list of lines, one thing each. Later lines win. Words
// and values may be quoted as in Go. Lines that start with '#' are comments.
//
//	function 0000:01:00.0 class=030000 id=10de:2c05 subsystem=1462:5317 revision=a1 group=16
//		driver= override= parent=0000:00:01.0 bootvga=1 numa=-1 reset=flr,bus
//		link=16x5 max=32x16 bars=0:64M,1:16G:p,3:32M:p,5:128:io rebar=1:0x7fc0 lost=1 label=
//	group 7 type=DMA-FQ         a group, for the type of it or because it is empty
//	iommu dmar0 ecap=0xf050da   an entry of /sys/class/iommu
//	acpi DMAR flags=1           an ACPI table; flags is the byte at 37 of DMAR
//	cmdline BOOT_IMAGE=/vmlinuz quiet
//	module vfio_pci ids=10de:2c05,10de:22e9
//	driver nouveau              a PCI driver that is loaded and has no device
//	block sda at=0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0 size=488397168 queue/rotational=0
//	block dm-1 slaves=nvme0n1p3 dm/name=pve-root size=1024
//	part sda1 of=sda size=2048  a partition
//	net eno1 at=0000:00:1f.6 address=00:11:22:33:44:55
//	net vmbr0 ports=eno1        a bridge
//	file etc/hostname "pve\n"   a file; or its lines follow, each after '|'
//	| first line
//	link dev/root sda1
//	dir sys/class/iommu
//	remove sys/firmware         takes away what earlier lines made
//	deny sys/firmware/acpi/tables/DMAR   there, but only root may read it
//
// Long lines go on in lines that start with white space. Sizes are bytes with
// K, M, G or T (powers of 1024). A function whose parent is in another PCI
// domain gets a root bus of its own below it, as Intel VMD does it.
//
// Module archives can hold neither the colons nor the links of sysfs; hence a
// description in the repository, and files only in memory or, with
// [Tree.WriteDir], on disk.
package hosttree
