package sysfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A tree is somebody else's directory. A single system call keeps a path within
// the directory (openat2(2), RESOLVE_BENEATH). [os.Root] instead opens every
// directory on the way, which takes ten times as long for the paths of sysfs.
type tree struct {
	root   *os.Root // keeps the directory open
	dir    *os.File
	prefix string
}

func openTree(root *os.Root) fs.FS {
	dir, err := root.Open(".")
	if err != nil {
		return Guard(root.FS())
	}
	t := tree{root, dir, "."}
	if _, err := t.Stat("."); err != nil { // openat2 is missing: Linux before 5.6, or a sandbox
		dir.Close()
		return Guard(root.FS())
	}
	return t
}

// open returns the file at a path below the tree. flags holds the flags of
// open(2).
func (t tree) open(op, name string, flags int) (*os.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(int(t.dir.Fd()), path.Join(t.prefix, name), &how)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.EXDEV):
			err = errOutside
		}
		if err != nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
		return os.NewFile(uintptr(fd), filepath.Join(t.root.Name(), t.prefix, name)), nil
	}
}

var errOutside = errors.New("a link leads out of the tree")

// Open implements [fs.FS].
func (t tree) Open(name string) (fs.File, error) {
	info, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := admissible("open", name, info); err != nil {
		return nil, err
	}
	f, err := t.open("open", name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil || info.IsDir() {
		return f, err
	}
	return &bounded{f, name, MaxFile}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (t tree) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := t.open("open", name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// Stat implements [fs.StatFS]. It does not really open the file, because it
// uses O_PATH.
func (t tree) Stat(name string) (fs.FileInfo, error) { return t.stat(name, unix.O_PATH) }

// Lstat implements [fs.ReadLinkFS].
func (t tree) Lstat(name string) (fs.FileInfo, error) {
	return t.stat(name, unix.O_PATH|unix.O_NOFOLLOW)
}

func (t tree) stat(name string, flags int) (fs.FileInfo, error) {
	f, err := t.open("stat", name, flags)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// ReadLink implements [fs.ReadLinkFS].
func (t tree) ReadLink(name string) (string, error) {
	f, err := t.open("readlink", name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer f.Close()
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", target)
	if errors.Is(err, unix.ENOENT) {
		err = fs.ErrInvalid // the file is not a link
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(target[:n]), nil
}

// Sub implements [fs.SubFS].
func (t tree) Sub(dir string) (fs.FS, error) {
	if !fs.ValidPath(dir) {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: fs.ErrInvalid}
	}
	return tree{t.root, t.dir, path.Join(t.prefix, dir)}, nil
}

func (t tree) guards() {}
