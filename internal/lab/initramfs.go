package lab

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A file is one file of the initramfs.
type file struct {
	name string
	mode uint32
	data []byte
}

// writeInitramfs writes files as a gzipped cpio archive in the "newc" format
// (Linux Documentation/driver-api/early-userspace/buffer-format.rst).
func writeInitramfs(w io.Writer, files []file) error {
	z := gzip.NewWriter(w)
	offset := 0
	write := func(data []byte) error {
		n, err := z.Write(data)
		offset += n
		return err
	}
	pad := func() error { return write(make([]byte, (4-offset%4)%4)) }
	for i, f := range append(files, file{name: "TRAILER!!!"}) {
		header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", i+1, f.mode, 0, 0, 1, 0, len(f.data), 0, 0, 0, 0, len(f.name)+1, 0)
		for _, step := range []func() error{
			func() error { return write([]byte(header + f.name + "\x00")) }, pad,
			func() error { return write(f.data) }, pad,
		} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	return z.Close()
}

// The modes of files in the archive: type and permissions.
const (
	directory  = 0o040755
	executable = 0o100755
	plain      = 0o100644
)

// kernelDir returns where kernel.sh puts the kernel.
func kernelDir() string {
	if dir := os.Getenv("PROXSTATION_LAB_KERNEL"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "proxstation", "lab")
}

// contents returns the files of the initramfs: init, the modules with their
// order, and the programs below /bin.
func contents(init string, programs map[string]string) ([]file, error) {
	files := []file{{name: "bin", mode: directory}, {name: "modules", mode: directory}, {name: "tmp", mode: directory}}
	add := func(name, source string, mode uint32) error {
		data, err := os.ReadFile(source)
		files = append(files, file{name, mode, data})
		return err
	}
	if err := add("init", init, executable); err != nil {
		return nil, err
	}
	for name, source := range programs {
		if err := add("bin/"+name, source, executable); err != nil {
			return nil, err
		}
	}
	order := filepath.Join(kernelDir(), "modules.list")
	if err := add("modules/order", order, plain); err != nil {
		return nil, err
	}
	list, err := os.ReadFile(order)
	if err != nil {
		return nil, err
	}
	for name := range strings.FieldsSeq(string(list)) {
		if err := add("modules/"+name, filepath.Join(kernelDir(), "modules", name), plain); err != nil {
			return nil, err
		}
	}
	return files, nil
}
