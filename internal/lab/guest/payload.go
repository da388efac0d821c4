package guest

import (
	"encoding/binary"
	"slices"
)

// Said is the text that a payload writes before the name of its volume.
const Said = "started from "

// Payload returns the beginning of a disk or a CD. SeaBIOS and OVMF both start
// a program from it. The program writes the volume's name to QEMU's debug port
// and halts. A disk is a FAT file system without partitions, whose first sector
// is also a boot sector. A CD has such a file system as its El Torito image.
func Payload(volume string, isCD bool) []byte {
	disk := fat(Said + volume + "\n")
	if !isCD {
		return disk
	}
	const sector, catalog, image = 2048, 19, 20
	cd := make([]byte, image*sector)
	copy(cd[16*sector:], "\x01CD001\x01") // ECMA-119, 8.4: the primary volume descriptor
	binary.LittleEndian.PutUint32(cd[16*sector+80:], image+uint32(len(disk))/sector)
	binary.LittleEndian.PutUint16(cd[16*sector+128:], sector)
	copy(cd[17*sector:], "\x00CD001\x01EL TORITO SPECIFICATION") // El Torito, figure 7
	binary.LittleEndian.PutUint32(cd[17*sector+0x47:], catalog)
	copy(cd[18*sector:], "\xffCD001\x01")
	entries := cd[catalog*sector:]
	entries[0], entries[0x1e], entries[0x1f] = 1, 0x55, 0xaa // the validation entry: all words sum to 0
	binary.LittleEndian.PutUint16(entries[0x1c:], 0x10000-0x0001-0xaa55&0xffff)
	entries[0x20] = 0x88 // the initial entry: bootable, no emulation
	binary.LittleEndian.PutUint16(entries[0x26:], uint16(len(disk)/512))
	binary.LittleEndian.PutUint32(entries[0x28:], image)
	return append(cd, disk...)
}

// fat returns a FAT12 file system of 64 sectors (Microsoft's FAT specification)
// that contains EFI/BOOT/BOOTX64.EFI.
func fat(message string) []byte {
	const sector = 512
	disk := make([]byte, 64*sector)
	copy(disk, "\xeb\x3c\x90        ")
	binary.LittleEndian.PutUint16(disk[11:], sector)
	disk[13], disk[14], disk[16] = 1, 1, 1                   // one sector per cluster, one reserved sector, one FAT
	disk[17], disk[19], disk[21], disk[22] = 16, 64, 0xf8, 1 // 16 root entries, 64 sectors, a fixed disk, one sector per FAT
	disk[24], disk[26] = 32, 2                               // 32 sectors per track, 2 heads
	copy(disk[36:], "\x80\x00\x29    PAYLOAD    FAT12   ")
	copy(disk[0x3e:], biosProgram(message))
	disk[510], disk[511] = 0x55, 0xaa
	// Each entry of the table has 12 bits. Cluster 2 is EFI, 3 is BOOT, and 4
	// and 5 are the file.
	copy(disk[sector:], []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0x05, 0xf0, 0xff})
	entry := func(at int, name string, attributes byte, cluster uint16, size uint32) {
		copy(disk[at:], name)
		disk[at+11] = attributes
		binary.LittleEndian.PutUint16(disk[at+26:], cluster)
		binary.LittleEndian.PutUint32(disk[at+28:], size)
	}
	cluster := func(n int) int { return (1 + 1 + 1 + n - 2) * sector }
	const directory = 0x10
	entry(2*sector, "EFI        ", directory, 2, 0)
	entry(cluster(2), ".          ", directory, 2, 0)
	entry(cluster(2)+32, "..         ", directory, 0, 0)
	entry(cluster(2)+64, "BOOT       ", directory, 3, 0)
	entry(cluster(3), ".          ", directory, 3, 0)
	entry(cluster(3)+32, "..         ", directory, 2, 0)
	entry(cluster(3)+64, "BOOTX64 EFI", 0, 4, 2*sector)
	copy(disk[cluster(4):], efiProgram(message))
	return disk
}

// write is machine code for any mode of the processor. The code writes the
// bytes at SI, up to a 0, to the port in DX, and halts.
var write = []byte{0xfc, 0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, 0xf4, 0xeb, 0xfd}

// biosProgram returns machine code for offset 0x3e of a boot sector. The BIOS
// loads the sector at 0x7c00.
func biosProgram(message string) []byte {
	begin := []byte{0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0xba, 0xe9, 0x00, 0xbe, 0, 0} // cli; DS = 0; DX = port 0xe9; SI = the message
	binary.LittleEndian.PutUint16(begin[9:], uint16(0x7c00+0x3e+len(begin)+len(write)))
	return slices.Concat(begin, write, []byte(message), []byte{0})
}

// efiProgram returns a UEFI application of two sectors (Microsoft's PE format).
func efiProgram(message string) []byte {
	file := make([]byte, 1024)
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(file[at:], v) }
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(file[at:], v) }
	copy(file, "MZ")
	put32(0x3c, 0x40)
	copy(file[0x40:], "PE\x00\x00")
	put16(0x44, 0x8664) // the machine: x86-64
	put16(0x46, 1)      // the number of sections
	put16(0x54, 0xf0)   // the size of the optional header, with 16 directories
	put16(0x56, 0x0022) // flags: an executable image that can use large addresses
	put16(0x58, 0x020b) // the format: PE32+
	put32(0x5c, 0x200)  // the size of the code
	put32(0x68, 0x1000) // the entry point, and the start of the code
	put32(0x6c, 0x1000)
	put32(0x78, 0x1000) // the alignment of sections in memory and in the file
	put32(0x7c, 0x200)
	put32(0x90, 0x2000) // the size of the image and of its headers
	put32(0x94, 0x200)
	put16(0x9c, 10) // the subsystem: a UEFI application
	put32(0xc4, 16)
	copy(file[0x148:], ".text")
	put32(0x150, 0x200)
	put32(0x154, 0x1000)
	put32(0x158, 0x200)
	put32(0x15c, 0x200)
	put32(0x16c, 0xe0000020)                                                            // flags: code that can be read, written and executed
	code := []byte{0x66, 0xba, 0xe9, 0x00, 0x48, 0x8d, 0x35, byte(len(write)), 0, 0, 0} // DX = port 0xe9; RSI = the message
	copy(file[0x200:], slices.Concat(code, write, []byte(message), []byte{0}))
	return file
}
