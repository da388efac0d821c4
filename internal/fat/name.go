package fat

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"
)

// longEntries returns the directory entries for a long name. The last part of
// the name comes first.
func longEntries(units []uint16, sum byte) [][]byte {
	parts := (len(units) + len(longPlaces) - 1) / len(longPlaces)
	var list [][]byte
	for part := parts; part > 0; part-- {
		b := make([]byte, entrySize)
		b[0], b[11], b[13] = byte(part), attrLong, sum
		if part == parts {
			b[0] |= lastLong
		}
		for i, at := range longPlaces {
			unit := uint16(0xFFFF)
			if j := (part-1)*len(longPlaces) + i; j < len(units) {
				unit = units[j]
			} else if j == len(units) {
				unit = 0
			}
			binary.LittleEndian.PutUint16(b[at:], unit)
		}
		list = append(list, b)
	}
	return list
}

// shortName returns a short name (eight and three characters) that no other
// entry of the directory has. It consists of the first letters, a tilde and a
// number.
func shortName(name string, others []Entry) [11]byte {
	taken := map[[11]byte]bool{}
	for _, e := range others {
		taken[e.short] = true
	}
	clean := func(text string, n int) string {
		text = strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, strings.ToUpper(text))
		return text[:min(len(text), n)]
	}
	extension := path.Ext(name)
	base := strings.TrimSuffix(name, extension)
	for n := 1; ; n++ {
		tail := fmt.Sprintf("~%d", n)
		short := fmt.Sprintf("%-8s%-3s", clean(base, 8-len(tail))+tail, clean(extension, 3))
		if key := [11]byte([]byte(short)); !taken[key] {
			return key
		}
	}
}

// entry returns the 32 bytes of a new directory entry.
func (v *Volume) entry(short [11]byte, attributes byte, first uint32) []byte {
	b, le := make([]byte, entrySize), binary.LittleEndian
	copy(b, short[:])
	b[11] = attributes
	for _, at := range []int{16, 18, 24} { // positions of the times: created, accessed, written
		le.PutUint16(b[at:], dosEpoch)
	}
	le.PutUint16(b[20:], uint16(first>>16))
	le.PutUint16(b[26:], uint16(first))
	return b
}
