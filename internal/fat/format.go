package fat

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Format makes an empty file system that begins at the offset start and has the
// given size, both in bytes. All of these bytes must be zero before. The width
// is 12, 16 or 32. The error matches [ErrFormat] if the size does not suit the
// width. The same input gives the same volume.
func Format(w io.WriterAt, start, size int64, width int) error {
	const sector, tables = 512, 2
	le, total := binary.LittleEndian, size/sector
	reserved, entries, perCluster := int64(1), int64(512), int64(1)
	if width == 32 {
		reserved, entries = 32, 0
	}
	limit := map[int]int64{12: 4085, 16: 65525, 32: 1 << 20}[width]
	for total/perCluster >= limit {
		perCluster *= 2
	}
	tableSectors := ((total/perCluster+firstCluster)*int64(width)/8 + sector) / sector
	clusters := (total - reserved - tables*tableSectors - entries*entrySize/sector) / perCluster
	if limit == 0 || perCluster > 128 || clusters < 1 || width > 12 && clusters < map[int]int64{16: 4085, 32: 65525}[width] {
		return fmt.Errorf("%w: FAT%d in %d bytes", ErrFormat, width, size)
	}
	boot := make([]byte, sector)
	copy(boot, "\xEB\x3C\x90MSWIN4.1")
	le.PutUint16(boot[11:], sector)
	boot[13], boot[16], boot[21] = byte(perCluster), tables, 0xF8
	le.PutUint16(boot[14:], uint16(reserved))
	le.PutUint16(boot[17:], uint16(entries))
	le.PutUint16(boot[24:], 63)  // sectors per track
	le.PutUint16(boot[26:], 255) // heads
	le.PutUint32(boot[28:], uint32(start/sector))
	if total < 1<<16 && width != 32 {
		le.PutUint16(boot[19:], uint16(total))
	} else {
		le.PutUint32(boot[32:], uint32(total))
	}
	extended := boot[36:] // holds drive number, signature, serial number, label and type
	if width == 32 {
		le.PutUint32(boot[36:], uint32(tableSectors))
		le.PutUint32(boot[44:], firstCluster)
		boot[48], boot[50] = 1, 6 // the FSInfo sector, and the backup of the boot sector
		extended = boot[64:]
	} else {
		le.PutUint16(boot[22:], uint16(tableSectors))
	}
	extended[0], extended[2] = 0x80, 0x29
	copy(extended[3:], fmt.Sprintf("\x01\x00\x80\x19%-11s%-8s", "NO NAME", fmt.Sprint("FAT", width)))
	boot[510], boot[511] = 0x55, 0xAA
	return formatTables(w, start, boot, width, []int64{reserved * sector, (reserved + tableSectors) * sector}, uint32(clusters))
}

// formatTables writes the boot sector and the first entries of the allocation
// tables.
func formatTables(w io.WriterAt, start int64, boot []byte, width int, tables []int64, clusters uint32) error {
	le := binary.LittleEndian
	type part struct {
		at   int64
		data []byte
	}
	first := map[int][]byte{12: {0xF8, 0xFF, 0xFF}, 16: {0xF8, 0xFF, 0xFF, 0xFF}, 32: {0xF8, 0xFF, 0xFF, 0x0F, 0xFF, 0xFF, 0xFF, 0x0F, 0xFF, 0xFF, 0xFF, 0x0F}}[width]
	parts := []part{{0, boot}, {tables[0], first}, {tables[1], first}}
	if width == 32 {
		info := make([]byte, 512)
		copy(info, "RRaA")
		copy(info[484:], "rrAa")
		le.PutUint32(info[488:], clusters-1)
		le.PutUint32(info[492:], firstCluster+1)
		info[510], info[511] = 0x55, 0xAA
		parts = append(parts, part{512, info}, part{6 * 512, boot}, part{7 * 512, info})
	}
	for _, p := range parts {
		if _, err := w.WriteAt(p.data, start+p.at); err != nil {
			return err
		}
	}
	return nil
}
