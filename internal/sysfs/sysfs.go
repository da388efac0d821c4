// Package sysfs reads attributes of sysfs and procfs from an [fs.FS]. The same
// code can therefore read a captured tree and the running machine.
package sysfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Attr returns the file's content without surrounding white space. For a
// missing file the error matches [fs.ErrNotExist].
func Attr(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	page, _ := pages.Get().(*[]byte)
	defer pages.Put(page)
	// The size of an attribute is unknown before it is read, but it is at most
	// a page.
	n, err := io.ReadFull(f, *page)
	text := strings.TrimSpace(string((*page)[:n]))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return text, nil
	case err != nil:
		return "", err
	}
	rest, err := io.ReadAll(f)
	return strings.TrimSpace(string(*page) + string(rest)), err
}

var pages = sync.Pool{New: func() any { return new(make([]byte, 4096)) }}

// Optional does the same as [Attr] for a file that may be missing. For a
// missing file, ok is false and err is nil. err is set only if the file exists
// but cannot be read.
func Optional(fsys fs.FS, name string) (value string, ok bool, err error) {
	value, err = Attr(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return value, err == nil, err
}

// Uint returns the file's content as a number with at most the given number of
// bits. As in the kernel, a number that begins with "0x" is hexadecimal.
func Uint(fsys fs.FS, name string, bits int) (uint64, error) {
	text, err := Attr(fsys, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// Link returns the last element in the target of a symbolic link, such as the
// name of a driver, a group or a subsystem. ok is false if there is no link.
func Link(fsys fs.FS, name string) (target string, ok bool, err error) {
	target, err = fs.ReadLink(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return path.Base(target), true, nil
}

// Names returns the names in a directory, in order. For a missing directory the
// error matches [fs.ErrNotExist]. For an empty directory it returns no names
// and no error.
func Names(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// Real returns the path to which name leads, without links. For a device, this
// path is the device's directory below devices. Real follows at most 40 links,
// like the kernel. If the path leaves fsys, the error matches [fs.ErrInvalid].
func Real(fsys fs.FS, name string) (string, error) {
	todo, done := strings.Split(name, "/"), "."
	for links := 0; len(todo) > 0; {
		next := path.Join(done, todo[0])
		todo = todo[1:]
		info, err := fs.Lstat(fsys, next)
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			done = next
			continue
		}
		target, err := fs.ReadLink(fsys, next)
		if err != nil {
			return "", err
		}
		place := path.Join(path.Dir(next), target)
		if links++; links > 40 || path.IsAbs(target) || !fs.ValidPath(place) {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: fs.ErrInvalid}
		}
		todo, done = append(strings.Split(place, "/"), todo...), "."
	}
	return done, nil
}

// Sub returns the part of a tree below a directory, with the restrictions of
// [Guard]. The directory need not exist.
func Sub(root fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(Guard(root), dir)
	if err != nil {
		panic(err) // cannot happen, because all callers use valid names
	}
	return sub
}

// HasAny reports whether a tree has any of the names. A name that the program
// may not look up counts as existing.
func HasAny(root fs.FS, names ...string) bool {
	for _, name := range names {
		if _, err := fs.Stat(root, name); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}
