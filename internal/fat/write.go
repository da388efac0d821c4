package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"unicode/utf16"
)

// ErrFull reports that a volume has no room for a change.
var ErrFull = errors.New("no room left on the volume")

// ErrName reports a name that a FAT file system cannot hold.
var ErrName = errors.New("not a name for FAT")

const dosEpoch = 0x0021 // 1 January 1980, so that the same input gives the same volume

// WriteFile writes a file's content. It makes the file and its directories if
// they do not exist. w must write to the disk on which the volume was opened.
// An error may leave the volume damaged, so only change a copy.
func (v *Volume) WriteFile(w io.WriterAt, name string, data []byte) error {
	if int64(len(data)) > math.MaxUint32 {
		return fmt.Errorf("%w: %s", ErrTooLarge, name)
	}
	name = strings.Trim(name, "/")
	d, err := v.makeDirectories(w, path.Dir(name))
	if err != nil {
		return err
	}
	e, there, err := v.in(d, path.Base(name))
	switch {
	case err != nil:
		return err
	case !there:
		e, err = v.add(w, d, path.Base(name), 0x20, 0)
	case e.Dir:
		err = fmt.Errorf("%w: %s is a directory", ErrFormat, name)
	}
	if err != nil {
		return err
	}
	if err := v.put(w, e, data); err != nil {
		return err
	}
	return v.flush(w)
}

// put writes a file's content into its clusters. Before that it takes more
// clusters or frees surplus clusters.
func (v *Volume) put(w io.WriterAt, e Entry, data []byte) error {
	var list []uint32
	if e.first != 0 {
		var err error
		if list, err = v.chain(e.first, int64(v.clusters)); err != nil {
			return err
		}
	}
	need := int((int64(len(data)) + v.cluster - 1) / v.cluster)
	list, err := v.resize(list, need)
	if err != nil {
		return err
	}
	for i, cluster := range list {
		part := data[int64(i)*v.cluster:]
		if _, err := w.WriteAt(part[:min(int64(len(part)), v.cluster)], v.place(cluster)); err != nil {
			return err
		}
	}
	e.first = 0
	if need > 0 {
		e.first = list[0]
	}
	return v.update(w, e, uint32(len(data)))
}

// update writes a file's first cluster and size into the file's entry.
func (v *Volume) update(w io.WriterAt, e Entry, size uint32) error {
	clear(v.listed)
	le := binary.LittleEndian
	if v.width == 32 {
		if _, err := w.WriteAt(le.AppendUint16(nil, uint16(e.first>>16)), e.at+20); err != nil {
			return err
		}
	}
	tail := le.AppendUint32(le.AppendUint16(nil, uint16(e.first)), size)
	_, err := w.WriteAt(tail, e.at+26)
	return err
}

// resize adds or frees clusters at the end of a chain until the chain has the
// needed length. It returns the new chain.
func (v *Volume) resize(list []uint32, need int) ([]uint32, error) {
	for len(list) > need {
		v.set(list[len(list)-1], 0)
		list = list[:len(list)-1]
		if len(list) > 0 {
			v.set(list[len(list)-1], v.endOfChain())
		}
	}
	for cluster := v.firstFree; len(list) < need; cluster++ {
		v.firstFree = cluster
		if !v.valid(cluster) {
			return nil, fmt.Errorf("%w: %d clusters of %d bytes are missing", ErrFull, need-len(list), v.cluster)
		}
		if v.next(cluster) != 0 {
			continue
		}
		v.set(cluster, v.endOfChain())
		if len(list) > 0 {
			v.set(list[len(list)-1], cluster)
		}
		list = append(list, cluster)
	}
	return list, nil
}

// set changes an entry of the allocation table in memory.
func (v *Volume) set(cluster, value uint32) {
	le := binary.LittleEndian
	switch had := v.next(cluster); {
	case had == 0 && value != 0:
		v.freed--
	case had != 0 && value == 0:
		v.freed++
		v.firstFree = min(v.firstFree, cluster)
	}
	at, size := int64(4*cluster), int64(4)
	switch v.width {
	case 12:
		at, size = int64(cluster+cluster/2), 2
		pair := le.Uint16(v.table[at:])
		if cluster%2 == 1 {
			pair = pair&0xF | uint16(value)<<4
		} else {
			pair = pair&0xF000 | uint16(value)
		}
		le.PutUint16(v.table[at:], pair)
	case 16:
		at, size = int64(2*cluster), 2
		le.PutUint16(v.table[at:], uint16(value))
	default: // the upper four bits are reserved and must stay
		le.PutUint32(v.table[at:], le.Uint32(v.table[at:])&0xF0000000|value)
	}
	v.dirty[at/v.sector], v.dirty[(at+size-1)/v.sector] = true, true
}

// flush writes the changed sectors of the table into all copies of the table.
// On FAT32, it also updates the stored number of free clusters.
func (v *Volume) flush(w io.WriterAt) error {
	for sector := range v.dirty {
		part := v.table[sector*v.sector:]
		part = part[:min(int64(len(part)), v.sector)]
		for _, table := range v.tables {
			if _, err := w.WriteAt(part, table+sector*v.sector); err != nil {
				return err
			}
		}
	}
	changed := len(v.dirty) > 0
	clear(v.dirty)
	info := make([]byte, 512)
	if v.info == 0 || !changed {
		return nil
	}
	if _, err := v.dev.ReadAt(info, v.info); err != nil || string(info[:4]) != "RRaA" || string(info[484:488]) != "rrAa" {
		return nil //nolint:nilerr // without a sound FSInfo sector there is nothing to keep
	}
	le := binary.LittleEndian
	free := le.Uint32(info[488:])
	if free == math.MaxUint32 { // the volume does not know the number of free clusters
		return nil
	}
	_, err := w.WriteAt(le.AppendUint32(nil, uint32(int64(free)+v.freed)), v.info+488)
	v.freed = 0
	return err
}

// makeDirectories returns the directory of a file. It makes the missing
// directories.
func (v *Volume) makeDirectories(w io.WriterAt, name string) (Entry, error) {
	d := v.rootEntry()
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == "" {
			continue
		}
		e, there, err := v.in(d, part)
		switch {
		case err == nil && !there:
			e, err = v.makeDirectory(w, d, part)
		case err == nil && !e.Dir:
			err = fmt.Errorf("%w: %s is a file", ErrFormat, part)
		}
		if err != nil {
			return Entry{}, err
		}
		d = e
	}
	return d, nil
}

func (v *Volume) makeDirectory(w io.WriterAt, parent Entry, name string) (Entry, error) {
	list, err := v.resize(nil, 1)
	if err != nil {
		return Entry{}, err
	}
	above := parent.first
	if above == v.rootCluster {
		above = 0 // the specification demands 0 for the root
	}
	content := make([]byte, v.cluster)
	copy(content, v.entry([11]byte([]byte(".          ")), attrDir, list[0]))
	copy(content[entrySize:], v.entry([11]byte([]byte("..         ")), attrDir, above))
	if _, err := w.WriteAt(content, v.place(list[0])); err != nil {
		return Entry{}, err
	}
	return v.add(w, parent, name, attrDir, list[0])
}

// add puts a new entry into a directory. The entries of its long name come
// first.
func (v *Volume) add(w io.WriterAt, d Entry, name string, attributes byte, first uint32) (Entry, error) {
	clear(v.listed)
	slots, err := v.slots(d)
	if err != nil {
		return Entry{}, err
	}
	units := utf16.Encode([]rune(name))
	if !ValidName(name) {
		return Entry{}, fmt.Errorf("%w: %q", ErrName, name)
	}
	short := shortName(name, entries(slots, v.width))
	record := append(longEntries(units, checksum(short)), v.entry(short, attributes, first))
	at := room(slots, len(record))
	if at < 0 {
		if slots, err = v.extend(w, d, len(slots)); err != nil {
			return Entry{}, err
		}
		if at = room(slots, len(record)); at < 0 {
			return Entry{}, fmt.Errorf("%w: the directory of %s", ErrFull, name)
		}
	}
	for i, data := range record {
		if _, err := w.WriteAt(data, slots[at+i].at); err != nil {
			return Entry{}, err
		}
	}
	if err := v.endAfter(w, slots, at, len(record)); err != nil {
		return Entry{}, err
	}
	return Entry{Name: name, Dir: attributes&attrDir != 0, short: short, first: first, at: slots[at+len(record)-1].at}, nil
}

// endAfter moves the end mark of a directory behind n new entries, if they took
// the place of the mark. Without a mark, the old entries behind it would count
// again.
func (v *Volume) endAfter(w io.WriterAt, slots []slot, at, n int) error {
	ended := slices.ContainsFunc(slots[:at+n], func(s slot) bool { return s.data[0] == 0 })
	if next := at + n; ended && next < len(slots) && slots[next].data[0] != 0 {
		_, err := w.WriteAt([]byte{0}, slots[next].at)
		return err
	}
	return nil
}

// extend adds clusters to a directory. They are enough for the longest possible
// entry.
func (v *Volume) extend(w io.WriterAt, d Entry, have int) ([]slot, error) {
	if d.first == 0 || have*entrySize+21*entrySize > maxDirectory {
		return nil, fmt.Errorf("%w: the directory %s", ErrFull, d.Name)
	}
	list, err := v.chain(d.first, int64(v.clusters))
	if err != nil {
		return nil, err
	}
	more := int((21*entrySize + v.cluster - 1) / v.cluster)
	old := len(list)
	if list, err = v.resize(list, old+more); err != nil {
		return nil, err
	}
	for _, cluster := range list[old:] {
		if _, err := w.WriteAt(make([]byte, v.cluster), v.place(cluster)); err != nil {
			return nil, err
		}
	}
	return v.slots(d)
}
