// Package opencoretest makes OpenCore images for tests and examples. The images
// have the layouts that OSX-PROXMOX, KVM-Opencore, OSX-KVM, OpenCore-ISO and
// osx-proxmox-next publish. Their configurations are similar to the
// configurations in these projects' images. They contain nothing of OpenCore
// itself: [Program] takes its place.
package opencoretest

import (
	"bytes"
	"compress/gzip"
	_ "embed" // needed for go:embed, which fills Config
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/fat"
)

// Config is a config.plist with the values of the images for KVM, including
// comments and odd indentation.
//
//go:embed config.plist
var Config string

// A Memory is a disk that is only in memory.
type Memory []byte

// ReadAt implements [io.ReaderAt].
func (m Memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m).ReadAt(p, at) }

// WriteAt implements [io.WriterAt].
func (m Memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// A Tree holds the files of a volume, by path.
type Tree map[string][]byte

// New returns the files of an image with OpenCore 1.0.5, Lilu 1.7.1,
// WhateverGreen 1.7.0 and the given config.plist.
func New(config string) Tree {
	program := Program("105", [528]byte{})
	t := Tree{
		"EFI/BOOT/BOOTx64.efi":            program,
		"EFI/OC/OpenCore.efi":             program,
		"EFI/OC/config.plist":             []byte(config),
		"EFI/OC/ACPI/SSDT-EC.aml":         []byte("SSDT"),
		"EFI/OC/Drivers/OpenRuntime.efi":  program,
		"EFI/OC/Drivers/OpenHfsPlus.efi":  program,
		"EFI/OC/Resources/Font/empty.bin": nil,
	}
	t.Kext("Lilu.kext", "as.vit9696.Lilu", "1.7.1")
	t.Kext("WhateverGreen.kext", "as.vit9696.WhateverGreen", "1.7.0")
	t.Kext("VirtualSMC.kext", "as.vit9696.VirtualSMC", "1.3.7")
	return t
}

// Kext adds a kernel extension at a path below EFI/OC/Kexts.
func (t Tree) Kext(path, id, version string) {
	name := strings.TrimSuffix(path[strings.LastIndex(path, "/")+1:], ".kext")
	maps.Copy(t, Bundle("EFI/OC/Kexts/"+path, name, id, version))
}

// Bundle returns the files of a kernel extension.
func Bundle(path, name, id, version string) Tree {
	return Tree{
		path + "/Contents/Info.plist": fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>CFBundleExecutable</key>
	<string>%s</string>
	<key>CFBundleIdentifier</key>
	<string>%s</string>
	<key>CFBundleVersion</key>
	<string>%s</string>
</dict>
</plist>
`, name, id, version),
		path + "/Contents/MacOS/" + name: MachO(name + " " + version),
	}
}

// FAT returns a disk without a partition table. The whole disk is a FAT file
// system of the given width, and holds the tree.
func (t Tree) FAT(width int, size int64) Memory {
	disk := make(Memory, size)
	t.put(disk, 0, size, width)
	return disk
}

// put makes a volume on a disk. It panics if a test asks for an impossible
// volume.
func (t Tree) put(disk Memory, start, size int64, width int) {
	if err := fat.Format(disk, start, size, width); err != nil {
		panic(err)
	}
	v, err := fat.Open(disk, start, size)
	if err != nil {
		panic(err)
	}
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if err := v.WriteFile(disk, path, t[path]); err != nil {
			panic(err)
		}
	}
}

// efiSystem and basicData are partition types (UEFI specification).
var (
	efiSystem = []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}
	basicData = []byte{0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7}
)

// GPT returns a disk with two partitions. The first partition is an EFI system
// partition and holds the tree.
func (t Tree) GPT(width int, size int64) Memory { return t.GPTOf(512, width, size) }

// GPTOf returns the disk of [Tree.GPT] with a partition table that counts in
// sectors of the given size, 512 or 4096 bytes.
func (t Tree) GPTOf(sector int64, width int, size int64) Memory {
	first, second, table := int64(1<<20)/sector, int64(1<<19)/sector, int64(128*128)/sector
	le, disk := binary.LittleEndian, make(Memory, size)
	last := size/sector - 1
	entries := make([]byte, 128*128)
	split := last - table - 1 - second
	for i, p := range []struct {
		kind       []byte
		begin, end int64
	}{{efiSystem, first, split - 1}, {basicData, split, last - table - 1}} {
		e := entries[128*i:]
		copy(e, p.kind)
		copy(e[16:], fmt.Sprintf("partition %06d", i))
		le.PutUint64(e[32:], uint64(p.begin))
		le.PutUint64(e[40:], uint64(p.end))
	}
	copy(disk[446:], []byte{0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0})
	le.PutUint32(disk[458:], uint32(last))
	disk[510], disk[511] = 0x55, 0xAA
	for _, h := range []struct{ at, other, table int64 }{{1, last, 2}, {last, 1, last - table}} {
		head := make([]byte, 92)
		copy(head, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		le.PutUint64(head[24:], uint64(h.at))
		le.PutUint64(head[32:], uint64(h.other))
		le.PutUint64(head[40:], uint64(2+table))
		le.PutUint64(head[48:], uint64(last-table-1))
		copy(head[56:], "disk of a test!!")
		le.PutUint64(head[72:], uint64(h.table))
		le.PutUint32(head[80:], 128)
		le.PutUint32(head[84:], 128)
		le.PutUint32(head[88:], crc32.ChecksumIEEE(entries))
		le.PutUint32(head[16:], crc32.ChecksumIEEE(head))
		copy(disk[h.at*sector:], head)
		copy(disk[h.table*sector:], entries)
	}
	t.put(disk, first*sector, (split-first)*sector, width)
	return disk
}

// MBR returns a disk with an MBR and one partition.
func (t Tree) MBR(width int, size int64) Memory {
	le, disk := binary.LittleEndian, make(Memory, size)
	entry := disk[446:]
	entry[4] = 0x0C
	le.PutUint32(entry[8:], 2048)
	le.PutUint32(entry[12:], uint32(size/512-2048))
	disk[510], disk[511] = 0x55, 0xAA
	t.put(disk, 2048*512, size-2048*512, width)
	return disk
}

// ISO returns a CD that contains a FAT image from which the firmware boots (El
// Torito without emulation). The CD has no directory of its own, because the
// firmware does not read such a directory.
func (t Tree) ISO(size int64) Memory {
	const sector, catalogue, begin = 2048, 20, 24
	le, disk := binary.LittleEndian, make(Memory, begin*sector+size)
	for at, kind := range map[int]byte{16: 1, 17: 0, 18: 255} {
		copy(disk[at*sector:], append([]byte{kind}, "CD001\x01"...))
	}
	primary := disk[16*sector:]
	copy(primary[40:], "LONGQT-OPENCORE")
	le.PutUint32(primary[80:], uint32(len(disk)/sector)) // number of sectors, in both byte orders
	binary.BigEndian.PutUint32(primary[84:], uint32(len(disk)/sector))
	primary[120], primary[123], primary[124], primary[127] = 1, 1, 1, 1
	primary[129], primary[130] = 8, 8
	copy(disk[17*sector+7:], "EL TORITO SPECIFICATION")
	le.PutUint32(disk[17*sector+0x47:], catalogue)
	entry := disk[catalogue*sector:]
	entry[0], entry[1], entry[30], entry[31] = 1, 0xEF, 0x55, 0xAA
	sum := uint16(0)
	for i := 0; i < 32; i += 2 {
		sum += le.Uint16(entry[i:])
	}
	le.PutUint16(entry[28:], -sum)
	entry[32] = 0x88
	le.PutUint16(entry[32+6:], uint16(min(size/512, 0xFFFF)))
	le.PutUint32(entry[32+8:], begin)
	t.put(disk, begin*sector, size, 16)
	return disk
}

// Gzip returns the disk, compressed with gzip.
func (m Memory) Gzip() Memory {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(m); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
