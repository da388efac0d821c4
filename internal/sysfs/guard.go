package sysfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync/atomic"
)

// MaxFile is the largest file that is read of a tree that others made, in
// bytes. The largest one of a real machine, /proc/interrupts or
// /boot/grub/grub.cfg, has a few hundred KiB.
const MaxFile = 16 << 20

// The reasons why a file of a tree that others made is not read.
var (
	// ErrSpecial reports a device, a pipe or a socket where a file is expected:
	// to open it could do harm, or never end.
	ErrSpecial = errors.New("not a regular file")
	// ErrTooLarge reports a file of more than [MaxFile] bytes.
	ErrTooLarge = fmt.Errorf("larger than %d MiB", MaxFile>>20)
)

// Guard returns fsys as data that others made, such as a captured tree: it
// opens nothing but directories and regular files, and reads no more than
// [MaxFile] bytes of one. Whether links lead out of the tree is for fsys to
// prevent ([os.Root.FS] does).
func Guard(fsys fs.FS) fs.FS {
	if _, ok := fsys.(interface{ guards() }); ok {
		return fsys
	}
	return guarded{fsys, new(atomic.Pointer[listing])}
}

type guarded struct {
	fsys fs.FS
	last *atomic.Pointer[listing]
}

// A listing is the directory that was listed last. Its files are read next: what
// they are is known, and need not be asked for each of them.
type listing struct {
	dir   string
	files map[string]bool // regular files
}

// isListed reports whether a name is known to be a regular file.
func (g guarded) isListed(name string) bool {
	last := g.last.Load()
	return last != nil && last.dir == path.Dir(name) && last.files[path.Base(name)]
}

func (g guarded) guards() {}

// admissible returns an error for what is not opened.
func admissible(op, name string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return nil
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: op, Path: name, Err: ErrSpecial}
	case info.Size() > MaxFile:
		return &fs.PathError{Op: op, Path: name, Err: ErrTooLarge}
	}
	return nil
}

// Open implements [fs.FS].
func (g guarded) Open(name string) (fs.File, error) {
	if !g.isListed(name) {
		info, err := fs.Stat(g.fsys, name)
		if err != nil {
			return nil, err
		}
		if err := admissible("open", name, info); err != nil {
			return nil, err
		}
		if info.IsDir() {
			return g.fsys.Open(name)
		}
	}
	f, err := g.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	return &bounded{f, name, MaxFile}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (g guarded) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(g.fsys, name)
	last := &listing{name, make(map[string]bool, len(entries))}
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			last.files[entry.Name()] = true
		}
	}
	g.last.Store(last)
	return entries, err
}

// Stat implements [fs.StatFS].
func (g guarded) Stat(name string) (fs.FileInfo, error) { return fs.Stat(g.fsys, name) }

// Lstat implements [fs.ReadLinkFS].
func (g guarded) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(g.fsys, name) }

// ReadLink implements [fs.ReadLinkFS].
func (g guarded) ReadLink(name string) (string, error) { return fs.ReadLink(g.fsys, name) }

// Sub implements [fs.SubFS].
func (g guarded) Sub(dir string) (fs.FS, error) {
	sub, err := fs.Sub(g.fsys, dir)
	if err != nil {
		return nil, err
	}
	return guarded{sub, new(atomic.Pointer[listing])}, nil
}

// A bounded file ends with an error if it goes on beyond left bytes: what Stat
// says of its size need not be true.
type bounded struct {
	fs.File

	name string
	left int
}

// Read implements [io.Reader].
func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		if n, err := b.File.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, &fs.PathError{Op: "read", Path: b.name, Err: ErrTooLarge}
	}
	n, err := b.File.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// ReadAt implements [io.ReaderAt] where the file does.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	at, ok := b.File.(io.ReaderAt)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return at.ReadAt(p, off)
}
