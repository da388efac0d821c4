package opencore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// efiSystem is the partition type of an EFI system partition, in the byte order
// of the disk (UEFI specification, GUID Partition Table).
var efiSystem = []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

// The function "gpt" reads a GUID partition table, or its backup at the end of
// the disk. The second result is the size of the sectors in which the table
// counts: 512 bytes, or 4096 on disks that have no smaller sectors. It is 0 if
// there is no sound table.
func gpt(d *disk, backup bool) ([]part, int64) {
	for _, sector := range []int64{512, 4096} {
		at := sector
		if backup {
			at = d.size/sector*sector - sector
		}
		if parts, sound := gptAt(d, at, sector); sound {
			return parts, sector
		}
	}
	return nil, 0
}

// gptAt reads a GUID partition table. The parameter "at" is the offset of the
// table's header.
func gptAt(d *disk, at, sector int64) ([]part, bool) {
	le, header, sectors := binary.LittleEndian, make([]byte, 512), uint64(d.size/sector)
	if _, err := d.ReadAt(header, at); err != nil || string(header[:8]) != "EFI PART" {
		return nil, false
	}
	length, sum := le.Uint32(header[12:]), le.Uint32(header[16:])
	if length < 92 || length > 512 || le.Uint64(header[24:]) != uint64(at/sector) {
		return nil, false
	}
	copy(header[16:], []byte{0, 0, 0, 0})
	first, count, size := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if crc32.ChecksumIEEE(header[:length]) != sum || count > 1024 || size < 128 || size > 4096 || first > sectors {
		return nil, false
	}
	entries := make([]byte, count*size)
	if _, err := d.ReadAt(entries, int64(first)*sector); err != nil || crc32.ChecksumIEEE(entries) != le.Uint32(header[88:]) {
		return nil, false
	}
	var parts []part
	for i := range int(count) {
		e := entries[i*int(size):]
		begin, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if len(bytes.Trim(e[:16], "\x00")) == 0 || begin > end || begin >= sectors || end > 1<<40 {
			continue
		}
		parts = append(parts, part{i + 1, int64(begin) * sector, int64(end-begin+1) * sector, bytes.Equal(e[:16], efiSystem)})
	}
	return parts, true
}

// mbr returns the primary partitions of an MBR.
func mbr(d *disk) []part {
	le, sector := binary.LittleEndian, make([]byte, 512)
	if _, err := d.ReadAt(sector, 0); err != nil || sector[510] != 0x55 || sector[511] != 0xAA {
		return nil
	}
	var parts []part
	for i := range 4 {
		e := sector[446+16*i:]
		begin, size := int64(le.Uint32(e[8:]))*512, int64(le.Uint32(e[12:]))*512
		if e[4] != 0 && size > 0 && begin < d.size {
			parts = append(parts, part{i + 1, begin, size, e[4] == 0xEF})
		}
	}
	return parts
}

// elTorito reads a CD's boot entries for UEFI, and boot entries without a
// platform (El Torito specification 1.0; UEFI specification, section 13.3.2.1).
func elTorito(d *disk) (parts []part, isISO bool) {
	const sector = 2048
	le, block := binary.LittleEndian, make([]byte, sector)
	if _, err := d.ReadAt(block, 16*sector); err != nil || string(block[1:6]) != "CD001" {
		return nil, false
	}
	if _, err := d.ReadAt(block, 17*sector); err != nil || string(block[1:6]) != "CD001" || block[0] != 0 {
		return nil, true
	}
	if _, err := d.ReadAt(block, int64(le.Uint32(block[0x47:]))*sector); err != nil || block[0] != 1 || block[30] != 0x55 {
		return nil, true
	}
	platform := block[1]
	for at := 32; at+32 <= sector; at += 32 {
		switch e := block[at:]; e[0] {
		case 0x90, 0x91:
			platform = e[1]
		case 0x88:
			// Do not use the size in the entry, which counts sectors and has
			// only 16 bits. The file system knows its own size.
			if begin := int64(le.Uint32(e[8:])) * sector; begin < d.size {
				parts = append(parts, part{0, begin, d.size - begin, platform == 0xEF})
			}
		}
	}
	return parts, true
}
