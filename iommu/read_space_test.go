package iommu

import (
	"encoding/binary"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation"
)

// The type "metered" is a file system that counts the bytes read from its files.
type metered struct {
	fs.FS

	bytes *int
}

func (m metered) Open(name string) (fs.File, error) {
	f, err := m.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return meter{f, m.bytes}, nil
}

type meter struct {
	fs.File

	bytes *int
}

func (m meter) Read(p []byte) (int, error) {
	*m.bytes += len(p)
	return m.File.Read(p)
}

func (m meter) ReadAt(p []byte, off int64) (int, error) {
	*m.bytes += len(p)
	return m.File.(interface {
		ReadAt(p []byte, off int64) (int, error)
	}).ReadAt(p, off)
}

// Each byte of a configuration space is a transaction on the bus. Read
// therefore reads only the heads of a bridge's capabilities, and the registers
// that it needs.
func TestABridgesSpaceIsNotReadWhole(t *testing.T) {
	t.Parallel()
	space := make([]byte, 4096)
	at := []uint32{0x100, 0x150, 0x200, 0x140} // a chain of capabilities whose last member is Access Control Services
	for i, offset := range at[:3] {
		binary.LittleEndian.PutUint32(space[offset:], at[i+1]<<20|1<<16|uint32(i+1))
	}
	binary.LittleEndian.PutUint32(space[0x140:], 1<<16|0x000d)
	binary.LittleEndian.PutUint32(space[0x144:], 0x1d<<16)
	read := 0
	sys := metered{fstest.MapFS{"x/config": &fstest.MapFile{Data: space}}, &read}
	if answer := (device{sys: sys, place: "x"}).acs(); answer != proxstation.Yes {
		t.Errorf("ACS: %s", answer)
	}
	if want := 4*len(at) + 4 + 1; read > want { // one more byte shows whether parts of the file can be read
		t.Errorf("%d bytes are read, want %d", read, want)
	}
}
