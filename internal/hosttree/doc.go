// Package hosttree describes a host in a page of text and makes the host's files
// that programs read: sysfs with its links, procfs, /etc and /boot.
//
// Each line of a description makes one thing. Later lines replace earlier lines.
// Words and values may be quoted as in Go. A line that starts with '#' is a
// comment.
//
//	function 0000:01:00.0 class=030000 id=10de:2c05 subsystem=1462:5317 revision=a1 group=16
//		driver= override= parent=0000:00:01.0 bootvga=1 numa=-1 reset=flr,bus
//		link=16x5 max=32x16 bars=0:64M,1:16G:p,3:32M:p,5:128:io rebar=1:0x7fc0 lost=1 label=
//	group 7 type=DMA-FQ         a group with its type, or an empty group
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
//	file etc/hostname "pve\n"   a file; its lines may follow instead, each after '|'
//	| first line
//	link dev/root sda1
//	dir sys/class/iommu
//	remove sys/firmware         removes files of earlier lines
//	deny sys/firmware/acpi/tables/DMAR   the file exists, but only root may read it
//
// A line that starts with white space continues the line before. Sizes are bytes
// with K, M, G or T (powers of 1024). If a function's parent is in another PCI
// domain, the function gets a root bus below the parent, as with Intel VMD.
//
// Module archives can hold neither the colons nor the links of sysfs. Therefore
// the repository holds only a description. The files are made in memory or, by
// [Tree.WriteDir], on disk.
package hosttree
