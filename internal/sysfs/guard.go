package sysfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync/atomic"
)

// MaxFile is the largest size, in bytes, of a file that is read from somebody
// else's tree. The largest files of a real machine, /proc/interrupts and
// /boot/grub/grub.cfg, have a few hundred KiB.
const MaxFile = 16 << 20

// These errors say why a file of somebody else's tree is not read.
var (
	// ErrSpecial reports that a device, a pipe or a socket is in the place of a
	// file. Opening such a file could do harm, or never end.
	ErrSpecial = errors.New("not a regular file")
	// ErrTooLarge reports a file with more than [MaxFile] bytes.
	ErrTooLarge = fmt.Errorf("larger than %d MiB", MaxFile>>20)
)

// Guard returns a view of fsys for somebody else's data, such as a captured
// tree: it opens only directories and regular files, and reads at most
// [MaxFile] bytes of a file. fsys itself must prevent links from leading out of
// the tree, as [os.Root.FS] does.
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

// A listing holds the directory that was listed last. The files of this
// directory are usually read next, and the listing already shows their types.
type listing struct {
	dir   string
	files map[string]bool // the names of regular files
}

// isListed reports whether the last listing shows that a name is a regular
// file.
func (g guarded) isListed(name string) bool {
	last := g.last.Load()
	return last != nil && last.dir == path.Dir(name) && last.files[path.Base(name)]
}

func (g guarded) guards() {}

// admissible returns an error for a file that must not be opened.
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

// A bounded file limits how many bytes can be read, because the size that Stat
// returns may be wrong.
type bounded struct {
	fs.File

	name string
	left int // the number of bytes that can still be read
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

// ReadAt implements [io.ReaderAt] if the underlying file does so too.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	at, ok := b.File.(io.ReaderAt)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return at.ReadAt(p, off)
}
