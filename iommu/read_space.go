package iommu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/proxstation/proxstation"
)

// The method "lost" reports whether the device has dropped off the bus. The first
// bytes of its configuration space show this.
func (d device) lost() proxstation.Answer {
	f, err := d.sys.Open(d.file("config"))
	if err != nil {
		return proxstation.Unknown
	}
	defer f.Close()
	head := make([]byte, lostBytes)
	if _, err := io.ReadFull(f, head); err != nil {
		return proxstation.Unknown
	}
	return proxstation.AnswerOf(isLost(head))
}

// lostBytes is the number of bytes that show whether a device answers: vendor,
// device, command and status. If the device does not answer, all of these bytes
// read as ff (PCI Local Bus specification 6.1). The vendor and the device alone
// are not enough, because they read as ff in healthy virtual functions too (PCI
// Express Base specification, SR-IOV, Configuration Space Header).
const lostBytes = 8

// isLost reports whether the first lostBytes bytes of the configuration space
// all read as ff.
func isLost(config []byte) bool {
	return len(config) >= lostBytes && string(config[:lostBytes]) == "\xff\xff\xff\xff\xff\xff\xff\xff"
}

// The method "acs" looks for Access Control Services in the extended
// configuration space (PCI Express Base specification 7.7.11). It reports
// whether the services that the kernel requires for separate groups are all on:
// source validation, request and completion redirect, upstream forwarding
// (REQ_ACS_FLAGS in drivers/iommu).
//
// It reads only the heads of the capabilities, because each read is a
// transaction on the bus. Without root, only the first 64 bytes of the space
// can be read, and they hold no extended capability.
func (d device) acs() proxstation.Answer {
	const want = 1<<0 | 1<<2 | 1<<3 | 1<<4
	f, err := d.sys.Open(d.file("config"))
	if err != nil {
		return proxstation.Unknown
	}
	defer f.Close()
	at, ok := f.(io.ReaderAt)
	if !ok || unsupported(at) {
		space, err := io.ReadAll(io.LimitReader(f, 4096))
		if err != nil {
			return proxstation.Unknown
		}
		at = bytes.NewReader(space)
	}
	for offset, hops := int64(0x100), 0; offset >= 0x100 && hops < 480; hops++ {
		head, ok := word(at, offset)
		if !ok {
			return proxstation.Unknown
		}
		if id := head & 0xffff; id == 0x000d {
			control, ok := word(at, offset+4)
			if !ok {
				return proxstation.Unknown
			}
			return proxstation.AnswerOf(control>>16&want == want)
		}
		offset = int64(head >> 20)
	}
	return proxstation.No
}

func unsupported(at io.ReaderAt) bool {
	_, err := at.ReadAt(make([]byte, 1), 0)
	return errors.Is(err, errors.ErrUnsupported)
}

// The function "word" reads four bytes of the configuration space.
func word(at io.ReaderAt, offset int64) (uint32, bool) {
	var p [4]byte
	n, _ := at.ReadAt(p[:], offset)
	return binary.LittleEndian.Uint32(p[:]), n == len(p)
}
