package fat

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"
)

// An Entry is a file or a directory.
type Entry struct {
	Name string // the long name, or the short name if there is no long name
	Dir  bool
	Size int64

	short [11]byte
	first uint32
	at    int64 // where the entry's 32 bytes begin on the disk, in bytes
}

const (
	attrVolume = 0x08
	attrDir    = 0x10
	attrLong   = 0x0F
	deleted    = 0xE5
	lastLong   = 0x40
)

// longPlaces holds the offsets of the 13 UTF-16 units in the entry of a long
// name.
var longPlaces = [13]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// List returns the entries of a directory. The root directory has the name "".
// If the directory does not exist, the error matches [fs.ErrNotExist].
func (v *Volume) List(name string) ([]Entry, error) {
	d, err := v.find(name)
	if err != nil {
		return nil, err
	}
	if !d.Dir {
		return nil, fmt.Errorf("%w: %s is a file", ErrFormat, name)
	}
	list, err := v.list(d)
	return slices.Clone(list), err
}

// maxListed is the number of directories whose entries are kept in memory. A
// path has fewer directories than this. If many files below one directory are
// looked up, the directories of their path are therefore read only once.
const maxListed = 16

// list returns the entries of a directory. It keeps them until a directory
// changes.
func (v *Volume) list(d Entry) ([]Entry, error) {
	if list, kept := v.listed[d.first]; kept {
		return list, nil
	}
	slots, err := v.slots(d)
	if err != nil {
		return nil, err
	}
	if len(v.listed) >= maxListed {
		clear(v.listed)
	}
	list := entries(slots, v.width)
	v.listed[d.first] = list
	return list, nil
}

// A slot holds the 32 bytes of a directory entry, and the position of these
// bytes on the disk.
type slot struct {
	at   int64
	data []byte
}

// slots returns all slots of a directory, whether or not they are used.
func (v *Volume) slots(d Entry) ([]slot, error) {
	if d.first == 0 { // the root of FAT12 and FAT16 has no clusters
		data := make([]byte, v.rootBytes)
		if _, err := v.dev.ReadAt(data, v.root); err != nil {
			return nil, fmt.Errorf("%w: root directory: %w", ErrFormat, err)
		}
		return cut(nil, data, v.root), nil
	}
	list, err := v.chain(d.first, max(maxDirectory/v.cluster, 1))
	if err != nil {
		return nil, err
	}
	data, err := v.read(list, int64(len(list))*v.cluster)
	if err != nil {
		return nil, err
	}
	var all []slot
	for i, cluster := range list {
		all = cut(all, data[int64(i)*v.cluster:][:v.cluster], v.place(cluster))
	}
	return all, nil
}

func cut(all []slot, data []byte, at int64) []slot {
	for i := 0; i+entrySize <= len(data); i += entrySize {
		all = append(all, slot{at + int64(i), data[i : i+entrySize]})
	}
	return all
}

// entries decodes the used entries before the end mark. It uses a long name if
// all parts of the name are there and its checksum matches the short name.
func entries(slots []slot, width int) []Entry {
	var list []Entry
	var long []uint16
	expect, sum := 0, byte(0)
	for _, s := range slots {
		d := s.data
		switch {
		case d[0] == 0:
			return list
		case d[0] == deleted:
			expect, long = 0, nil
		case d[11]&0x3F == attrLong:
			number := int(d[0] &^ lastLong)
			if d[0]&lastLong != 0 {
				long, expect, sum = nil, number, d[13]
			}
			if number == 0 || number > 20 || number != expect || d[13] != sum {
				expect, long = 0, nil
				continue
			}
			long = append(longPart(d), long...)
			if expect--; expect == 0 {
				expect = -1 // the long name is complete
			}
		case d[11]&attrVolume != 0:
			expect, long = 0, nil
		default:
			e := decode(d, width)
			if expect == -1 && sum == checksum(e.short) {
				e.Name = string(utf16.Decode(long))
			}
			e.at = s.at
			list = append(list, e)
			expect, long = 0, nil
		}
	}
	return list
}

func longPart(d []byte) []uint16 {
	var part []uint16
	for _, at := range longPlaces {
		unit := binary.LittleEndian.Uint16(d[at:])
		if unit == 0 {
			break
		}
		part = append(part, unit)
	}
	return part
}

func decode(d []byte, width int) Entry {
	le := binary.LittleEndian
	e := Entry{Dir: d[11]&attrDir != 0, Size: int64(le.Uint32(d[28:])), first: uint32(le.Uint16(d[26:])), short: [11]byte(d[:11])}
	if width == 32 {
		e.first |= uint32(le.Uint16(d[20:])) << 16
	}
	base, extension := strings.TrimRight(string(d[:8]), " "), strings.TrimRight(string(d[8:11]), " ")
	if strings.HasPrefix(base, "\x05") { // the byte 0x05 stands for 0xE5
		base = "\xE5" + base[1:]
	}
	if d[12]&0x08 != 0 {
		base = strings.ToLower(base)
	}
	if d[12]&0x10 != 0 {
		extension = strings.ToLower(extension)
	}
	e.Name = base
	if extension != "" {
		e.Name += "." + extension
	}
	return e
}

// checksum returns the checksum of a short name. The entries of a long name
// contain it, so that their short name can be found.
func checksum(short [11]byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 + sum<<7 + c
	}
	return sum
}

func (v *Volume) rootEntry() Entry { return Entry{Dir: true, first: v.rootCluster} }

// find returns the entry at a path. For "" it returns the root directory.
func (v *Volume) find(name string) (Entry, error) {
	e := v.rootEntry()
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part == "" {
			continue
		}
		next, there, err := v.in(e, part)
		if err != nil {
			return Entry{}, err
		}
		if !there {
			return Entry{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		e = next
	}
	return e, nil
}

// The method "in" returns the entry with this name in a directory.
func (v *Volume) in(d Entry, name string) (e Entry, there bool, err error) {
	if !d.Dir {
		return Entry{}, false, nil
	}
	list, err := v.list(d)
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range list {
		if strings.EqualFold(e.Name, name) || strings.EqualFold(shortText(e.short), name) {
			if e.Dir && e.first == 0 { // the entry ".." in a directory whose parent is the root
				e = v.rootEntry()
			}
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}

func shortText(short [11]byte) string {
	text := strings.TrimRight(string(short[:8]), " ")
	if extension := strings.TrimRight(string(short[8:]), " "); extension != "" {
		text += "." + extension
	}
	return text
}

// room returns the index of the first of n consecutive free slots, or -1.
func room(slots []slot, n int) int {
	run, ended := 0, false
	for i, s := range slots {
		ended = ended || s.data[0] == 0
		if !ended && s.data[0] != deleted {
			run = 0
			continue
		}
		if run++; run == n {
			return i - n + 1
		}
	}
	return -1
}
