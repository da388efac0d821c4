// Package fat reads and changes FAT file systems inside disk images. It writes
// only the bytes that a change needs.
//
// It exists beside github.com/diskfs/go-diskfs because images come from
// strangers. On a damaged image go-diskfs 1.9.3 follows a ring of clusters
// without end, allocates as much as a boot sector claims, and reads past the
// end of files. It also writes whole directories anew. The tests compare both
// packages.
//
// The format is described in Microsoft's FAT specification (fatgen103). A volume
// has entries of 12, 16 or 32 bits in its allocation table. The package
// determines this width in the same way as the firmware (edk2
// FatPkg/EnhancedFatDxe/Init.c).
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// ErrFormat reports that bytes are not a FAT file system, or that the file
// system is damaged.
var ErrFormat = errors.New("not a sound FAT file system")

// ErrTooLarge reports a file or a directory that is larger than the caller
// allows.
var ErrTooLarge = errors.New("larger than allowed")

const (
	entrySize    = 32
	maxDirectory = 65536 * entrySize // the limit of the specification
	maxTable     = 16 << 20          // bytes of the allocation table that are kept in memory
	firstCluster = 2
)

// A Volume is a FAT file system that takes up a part of a disk.
type Volume struct {
	dev   io.ReaderAt
	start int64 // where the volume begins on the disk, in bytes

	width       int    // bits of each entry in the allocation table: 12, 16 or 32
	sector      int64  // bytes in a sector
	cluster     int64  // bytes in a cluster
	clusters    uint32 // number of data clusters; the first is cluster 2
	tables      []int64
	tableBytes  int64
	root        int64 // where the fixed root directory of FAT12 and FAT16 begins
	rootBytes   int64
	rootCluster uint32 // first cluster of the root directory of FAT32
	data        int64
	info        int64 // where the FSInfo sector begins; 0 if there is no such sector
	table       []byte
	dirty       map[int64]bool     // the table's sectors that must be written
	firstFree   uint32             // all clusters before this cluster are in use
	freed       int64              // clusters freed minus clusters taken since the last flush
	listed      map[uint32][]Entry // the entries of the last directories, by first cluster
}

// Open reads the FAT file system that begins at the offset start and has the
// given size, both in bytes. The error matches [ErrFormat] if there is no such
// file system.
func Open(dev io.ReaderAt, start, size int64) (*Volume, error) {
	boot := make([]byte, 512)
	if _, err := dev.ReadAt(boot, start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	v := &Volume{dev: dev, start: start, dirty: map[int64]bool{}, listed: map[uint32][]Entry{}, firstFree: firstCluster}
	if err := v.geometry(boot, size); err != nil {
		return nil, err
	}
	used := ((int64(v.clusters)+firstCluster)*int64(v.width) + 7) / 8
	v.table = make([]byte, used, used+1)
	if _, err := dev.ReadAt(v.table, v.tables[0]); err != nil {
		return nil, fmt.Errorf("%w: allocation table: %w", ErrFormat, err)
	}
	return v, nil
}

// Width returns the number of bits of an entry in the allocation table: 12, 16
// or 32.
func (v *Volume) Width() int { return v.width }

// geometry reads the BIOS parameter block.
func (v *Volume) geometry(boot []byte, size int64) error {
	le := binary.LittleEndian
	v.sector = int64(le.Uint16(boot[11:]))
	perCluster, reserved, tables := int64(boot[13]), int64(le.Uint16(boot[14:])), int64(boot[16])
	entries, total := int64(le.Uint16(boot[17:])), int64(le.Uint16(boot[19:]))
	if total == 0 {
		total = int64(le.Uint32(boot[32:]))
	}
	tableSectors := int64(le.Uint16(boot[22:]))
	v.width = 16
	if tableSectors == 0 {
		v.width, tableSectors = 32, int64(le.Uint32(boot[36:]))
	}
	switch {
	case boot[510] != 0x55 || boot[511] != 0xAA:
		return fmt.Errorf("%w: no boot signature", ErrFormat)
	case v.sector < 512 || v.sector > 4096 || bits.OnesCount64(uint64(v.sector)) != 1:
		return fmt.Errorf("%w: sectors of %d bytes", ErrFormat, v.sector)
	case bits.OnesCount8(boot[13]) != 1 || perCluster*v.sector > 1<<18:
		return fmt.Errorf("%w: clusters of %d sectors", ErrFormat, perCluster)
	case reserved == 0 || tables == 0 || tables > 4 || tableSectors == 0 || total*v.sector > size:
		return fmt.Errorf("%w: %d reserved sectors, %d tables of %d, %d in all", ErrFormat, reserved, tables, tableSectors, total)
	}
	v.cluster, v.tableBytes, v.rootBytes = perCluster*v.sector, tableSectors*v.sector, (entries*entrySize+v.sector-1)/v.sector*v.sector
	v.root = v.start + (reserved+tables*tableSectors)*v.sector
	v.data = v.root + v.rootBytes
	clusters := (total*v.sector - (v.data - v.start)) / v.cluster
	if v.width == 16 && clusters < 4085 {
		v.width = 12
	}
	clusters = min(clusters, v.tableBytes*8/int64(v.width)-firstCluster) // Linux has the same limit (fs/fat/inode.c)
	if clusters < 1 || clusters*int64(v.width)/8 > maxTable {
		return fmt.Errorf("%w: %d clusters, tables of %d bytes", ErrFormat, clusters, v.tableBytes)
	}
	v.clusters = uint32(clusters)
	for i := range tables {
		v.tables = append(v.tables, v.start+(reserved+i*tableSectors)*v.sector)
	}
	if v.width == 32 {
		v.rootCluster = le.Uint32(boot[44:])
		if flags := le.Uint16(boot[40:]); flags&0x80 != 0 && int64(flags&0xF) < tables { // the flags say which single table is in use
			v.tables = v.tables[flags&0xF:][:1]
		}
		if info := int64(le.Uint16(boot[48:])); info > 0 && info < reserved {
			v.info = v.start + info*v.sector
		}
	}
	return nil
}

// next returns the allocation table's entry for a cluster: the next cluster, or
// an end mark.
func (v *Volume) next(cluster uint32) uint32 {
	le := binary.LittleEndian
	switch v.width {
	case 12:
		pair := le.Uint16(v.table[cluster+cluster/2:])
		if cluster%2 == 1 {
			return uint32(pair >> 4)
		}
		return uint32(pair & 0xFFF)
	case 16:
		return uint32(le.Uint16(v.table[2*cluster:]))
	}
	return le.Uint32(v.table[4*cluster:]) & 0x0FFFFFFF
}

func (v *Volume) endOfChain() uint32 { return 1<<min(v.width, 28) - 1 }

// isEnd reports whether an entry of the allocation table marks the end of a
// chain.
func (v *Volume) isEnd(entry uint32) bool { return entry >= v.endOfChain()-7 }

func (v *Volume) valid(cluster uint32) bool {
	return cluster >= firstCluster && cluster-firstCluster < v.clusters
}

// chain returns the clusters of a file or directory. If there are more clusters
// than limit allows, the error matches [ErrTooLarge].
func (v *Volume) chain(first uint32, limit int64) ([]uint32, error) {
	var list []uint32
	for cluster := first; ; cluster = v.next(cluster) {
		switch {
		case len(list) > 0 && v.isEnd(cluster):
			return list, nil
		case !v.valid(cluster):
			return nil, fmt.Errorf("%w: a chain leads to cluster %d", ErrFormat, cluster)
		case int64(len(list)) >= int64(v.clusters):
			return nil, fmt.Errorf("%w: the chain from cluster %d is a ring", ErrFormat, first)
		case int64(len(list)) >= limit:
			return nil, fmt.Errorf("%w: the chain from cluster %d", ErrTooLarge, first)
		}
		list = append(list, cluster)
	}
}

// place returns the position of a cluster on the disk, in bytes.
func (v *Volume) place(cluster uint32) int64 {
	return v.data + int64(cluster-firstCluster)*v.cluster
}

// ReadFile returns the content of a file. If the file has more bytes than limit
// allows, the error matches [ErrTooLarge]. If the file does not exist, it
// matches [fs.ErrNotExist]. Path elements are separated by slashes. Upper and
// lower case are not distinguished.
func (v *Volume) ReadFile(name string, limit int64) ([]byte, error) {
	e, err := v.find(name)
	if err != nil {
		return nil, err
	}
	if e.Dir {
		return nil, fmt.Errorf("%w: %s is a directory", ErrFormat, name)
	}
	if e.Size > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, name, e.Size)
	}
	return v.content(e)
}

func (v *Volume) content(e Entry) ([]byte, error) {
	if e.Size == 0 {
		return nil, nil
	}
	need := (e.Size + v.cluster - 1) / v.cluster
	list, err := v.chain(e.first, int64(v.clusters))
	if err != nil {
		return nil, err
	}
	if int64(len(list)) < need {
		return nil, fmt.Errorf("%w: %s has %d bytes and %d clusters", ErrFormat, e.Name, e.Size, len(list))
	}
	return v.read(list[:need], e.Size)
}

// read returns the first bytes in a list of clusters, as many as size says.
func (v *Volume) read(list []uint32, size int64) ([]byte, error) {
	content := make([]byte, size)
	for i, cluster := range list {
		part := content[int64(i)*v.cluster:]
		part = part[:min(int64(len(part)), v.cluster)]
		if _, err := v.dev.ReadAt(part, v.place(cluster)); err != nil {
			return nil, fmt.Errorf("%w: cluster %d: %w", ErrFormat, cluster, err)
		}
	}
	return content, nil
}
