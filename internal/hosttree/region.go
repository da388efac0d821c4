package hosttree

import (
	"fmt"
	"strconv"
	"strings"
)

// These are flags in include/linux/ioport.h.
const (
	flagIO       = 0x00040101 // I/O ports with a size
	flagMemory   = 0x00040200 // memory with a size
	flagPrefetch = 0x0014220c // memory, 64 bits, prefetchable
)

// regions makes the file resource from a list such as "0:64M,1:16G:p,5:128:io".
// It also makes the resourceN_resize files. The file resource has 13 lines, or
// 17 for a bridge.
func (b *builder) regions(dir string, f function) error {
	rows := make([][3]uint64, 13)
	if strings.HasPrefix(f.class, "0604") {
		rows = make([][3]uint64, 17)
	}
	next := uint64(0x4000000000)
	for _, item := range strings.FieldsFunc(f.or("bars", ""), func(r rune) bool { return r == ',' }) {
		fields := append(strings.Split(item, ":"), "")
		index, err := strconv.Atoi(fields[0])
		if err != nil || index < 0 || index > 6 || len(fields) < 3 || len(fields) > 4 {
			return fmt.Errorf("region %q: want NUMBER:SIZE or NUMBER:SIZE:p or NUMBER:SIZE:io", item)
		}
		size, err := bytes(fields[1])
		if err != nil {
			return err
		}
		next = (next + size - 1) / size * size
		rows[index] = [3]uint64{next, next + size - 1, map[string]uint64{"": flagMemory, "p": flagPrefetch, "io": flagIO}[fields[2]]}
		next += size
	}
	var text strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&text, "0x%016x 0x%016x 0x%016x\n", row[0], row[1], row[2])
	}
	if err := b.text(dir+"/resource", strings.TrimSuffix(text.String(), "\n")); err != nil {
		return err
	}
	if rebar, ok := f.get("rebar"); ok {
		index, mask, _ := strings.Cut(rebar, ":")
		sizes, err := strconv.ParseUint(mask, 0, 64)
		if err != nil {
			return err
		}
		return b.text(dir+"/resource"+index+"_resize", fmt.Sprintf("%016x", sizes))
	}
	return nil
}

// bytes parses a size such as "64M".
func bytes(s string) (uint64, error) {
	shift := 0
	if i := strings.IndexAny("KMGT", s[max(0, len(s)-1):]); i >= 0 && s != "" {
		shift, s = 10*(i+1), s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > 1<<20 {
		return 0, fmt.Errorf("bad size %q", s)
	}
	return n << shift, nil
}
