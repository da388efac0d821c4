package recovery

import (
	"bytes"
	"encoding/binary"
)

// bootSector returns the BIOS parameter block, without a program to boot.
func (v *volume) bootSector() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, "\xEB\x58\x90MSWIN4.1")
	le.PutUint16(b[11:], sectorSize)
	b[13] = byte(v.sectorsPerCluster)
	le.PutUint16(b[14:], reservedSectors)
	b[16] = 2                 // the number of file allocation tables
	b[21] = 0xF8              // a fixed disk
	le.PutUint16(b[24:], 63)  // sectors per track
	le.PutUint16(b[26:], 255) // heads
	le.PutUint32(b[32:], uint32(v.sectors()))
	le.PutUint32(b[36:], uint32(v.fatSectors()))
	le.PutUint32(b[44:], rootCluster)
	le.PutUint16(b[48:], 1) // the place of the info sector
	le.PutUint16(b[50:], 6) // the place of this sector's backup
	b[64] = 0x80
	b[66] = 0x29 // the next three fields are present
	copy(b[67:], "\x01\x00\x80\x19")
	copy(b[71:], volumeLabel)
	copy(b[82:], "FAT32   ")
	copy(b[510:], "\x55\xAA")
	return b
}

const volumeLabel = "RECOVERY   "

func (v *volume) infoSector() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], uint32(v.free()))
	le.PutUint32(b[492:], uint32(v.clusters+rootCluster-v.free()))
	copy(b[510:], "\x55\xAA")
	return b
}

func (v *volume) fat() []byte {
	b := make([]byte, v.fatSectors()*sectorSize)
	put := func(cluster int64, next uint32) { binary.LittleEndian.PutUint32(b[4*cluster:], next) }
	put(0, 0x0FFFFFF8)
	put(1, endOfChain)
	put(rootCluster, endOfChain)
	put(folderCluster, endOfChain)
	for _, f := range v.files {
		for i := range f.count {
			put(f.cluster+i, uint32(f.cluster+i+1))
		}
		put(f.cluster+f.count-1, endOfChain)
	}
	return b
}

func (v *volume) rootFolder() []byte {
	var b bytes.Buffer
	b.Write(entry([11]byte([]byte(volumeLabel)), 0x08, 0, 0))
	short := [11]byte([]byte("COMAPP~1BOO"))
	b.Write(longName(Folder, short))
	b.Write(entry(short, 0x10, folderCluster, 0))
	return append(b.Bytes(), make([]byte, v.slack(int64(b.Len())))...)
}

func (v *volume) folder() []byte {
	var b bytes.Buffer
	b.Write(entry([11]byte([]byte(".          ")), 0x10, folderCluster, 0))
	b.Write(entry([11]byte([]byte("..         ")), 0x10, 0, 0))
	for _, f := range v.files {
		b.Write(longName(f.long, f.short))
		b.Write(entry(f.short, 0x20, f.cluster, f.size))
	}
	return append(b.Bytes(), make([]byte, v.slack(int64(b.Len())))...)
}

// The function "entry" returns a directory entry of 32 bytes.
func entry(name [11]byte, attributes byte, cluster, size int64) []byte {
	b := make([]byte, 32)
	le := binary.LittleEndian
	copy(b, name[:])
	b[11] = attributes
	for _, at := range []int{16, 18, 24} { // the dates of creation, access and change
		le.PutUint16(b[at:], dosEpoch)
	}
	le.PutUint16(b[20:], uint16(cluster>>16))
	le.PutUint16(b[26:], uint16(cluster))
	le.PutUint32(b[28:], uint32(size))
	return b
}

// longName returns the entries that give a file its long ASCII name, the last
// part first. Each entry holds 13 characters of UTF-16.
func longName(name string, short [11]byte) []byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 + sum<<7 + c
	}
	places := [13]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}
	parts := (len(name) + len(places) - 1) / len(places)
	var entries []byte
	for part := parts; part > 0; part-- {
		b := make([]byte, 32)
		b[0], b[11], b[13] = byte(part), 0x0F, sum
		if part == parts {
			b[0] |= 0x40
		}
		for i, at := range places {
			c := uint16(0xFFFF)
			if j := (part-1)*len(places) + i; j < len(name) {
				c = uint16(name[j])
			} else if j == len(name) {
				c = 0
			}
			binary.LittleEndian.PutUint16(b[at:], c)
		}
		entries = append(entries, b...)
	}
	return entries
}
