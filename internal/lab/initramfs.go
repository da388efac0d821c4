package lab

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// A file is a regular file of the initramfs.
type file struct {
	mode fs.FileMode // permissions
	data []byte
}

// The types of the archive's files (cpio(5)).
const (
	cpioDirectory = 0o040000
	cpioRegular   = 0o100000
)

// writeInitramfs writes files, and the directories above them, as an archive
// that the kernel unpacks: cpio in the "newc" format
// (Documentation/driver-api/early-userspace/buffer-format.rst). The paths have
// no leading slash. The archive is not compressed, because QEMU passes it on
// faster than the kernel could unpack it.
func writeInitramfs(w io.Writer, files map[string]file) error {
	directories := map[string]bool{}
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	inode := 0
	entry := func(name string, mode uint32, data []byte) error {
		inode++
		header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
		for _, part := range [][]byte{padded([]byte(header + name + "\x00")), padded(data)} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(directories)) { // parents come before children
		if err := entry(name, cpioDirectory|0o755, nil); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := entry(name, cpioRegular|uint32(files[name].mode.Perm()), files[name].data); err != nil {
			return err
		}
	}
	return entry("TRAILER!!!", 0, nil)
}

// padded returns data with zeroes added up to a multiple of four bytes.
func padded(data []byte) []byte {
	return append(data[:len(data):len(data)], make([]byte, -len(data)&3)...)
}
