package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/workstation/inventory"
)

// capture copies the files and links that an inventory reads from a machine
// into a new directory. It returns the names of the files that it could not
// read. In the capture, these files have mode 0. If an error or the end of ctx
// interrupts the copying, a note in the capture says so.
func capture(ctx context.Context, machine fs.FS, dir string) (denied []string, err error) {
	t := &tape{machine: machine, seen: map[string]*taken{}}
	if _, err := inventory.Read(t); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := hosttree.Begin(root); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(t.seen)) {
		if err := ctx.Err(); err != nil {
			return denied, err
		}
		file := t.seen[name]
		if file.denied {
			denied = append(denied, name)
		}
		if err := t.write(root, name, file); err != nil {
			return denied, err
		}
	}
	return denied, hosttree.End(root)
}

// A tape is a file system that records all reads from it.
type tape struct {
	machine fs.FS
	seen    map[string]*taken
}

// A taken is the recorded content of a file or a directory.
type taken struct {
	fs.File
	data    []byte
	entries []fs.DirEntry
	denied  bool
}

// Open implements [fs.FS].
func (t *tape) Open(name string) (fs.File, error) {
	file, err := t.machine.Open(name)
	if errors.Is(err, fs.ErrPermission) {
		t.seen[name] = &taken{denied: true}
	}
	if err != nil {
		return nil, err
	}
	t.seen[name] = &taken{File: file}
	return t.seen[name], nil
}

// Stat implements [fs.StatFS]. It does not open the file, which may be a pipe
// or a device.
func (t *tape) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(t.machine, name)
	if errors.Is(err, fs.ErrPermission) {
		t.seen[name] = &taken{denied: true}
	}
	t.note(name, err)
	return info, err
}

// Lstat implements [fs.ReadLinkFS].
func (t *tape) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(t.machine, name)
	t.note(name, err)
	return info, err
}

// ReadLink implements [fs.ReadLinkFS].
func (t *tape) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(t.machine, name)
	t.note(name, err)
	return target, err
}

// note records that a file exists.
func (t *tape) note(name string, err error) {
	if err == nil && t.seen[name] == nil {
		t.seen[name] = &taken{}
	}
}

// Read implements [fs.File].
func (f *taken) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.data = append(f.data, p[:n]...)
	f.denied = f.denied || errors.Is(err, fs.ErrPermission)
	return n, err
}

// ReadDir implements [fs.ReadDirFile].
func (f *taken) ReadDir(n int) ([]fs.DirEntry, error) {
	dir, ok := f.File.(fs.ReadDirFile)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	entries, err := dir.ReadDir(n)
	f.entries = append(f.entries, entries...)
	return entries, err
}

// write writes one file, or a directory with the names of its entries.
func (t *tape) write(root *os.Root, name string, file *taken) error {
	place, info, err := t.place(root, name)
	if err != nil || info == nil {
		return err
	}
	if !info.IsDir() {
		return put(root, place, file)
	}
	for _, entry := range file.entries {
		within := path.Join(place, entry.Name())
		if _, err := root.Lstat(within); err == nil {
			continue
		}
		if entry.Type().IsRegular() {
			err = root.WriteFile(within, nil, 0o644)
		} else {
			err = t.step(root, within, entry.Type())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put writes a file of the capture. It writes an empty file with mode 0 if
// reading the file was denied. If the content was never read, it writes an
// empty file, unless the file is already there.
func put(root *os.Root, place string, file *taken) error {
	mode := fs.FileMode(0o644)
	if file.denied {
		mode = 0
	}
	_, err := root.Lstat(place)
	if there := err == nil; there && len(file.data) == 0 && !file.denied {
		return nil
	}
	if err := root.WriteFile(place, judged(place, file.data), 0o644); err != nil {
		return err
	}
	return root.Chmod(place, mode)
}

// judgedLines matches the lines that an inventory needs from the configuration
// of a VM or a container.
var judgedLines = map[string]*regexp.Regexp{
	"qemu-server": regexp.MustCompile(`^(\[.*\]|(args|bios|cpu|delete|efidisk0|hostpci\d+|machine|memory|name|onboot|ostype|template|vga): .*)$`),
	"lxc":         regexp.MustCompile(`^(\[.*\]|dev\d+: .*|lxc\.mount\.entry.*)$`),
}

var appleKey = regexp.MustCompile(`osk=\\?["']?[^,\s"']*["']?`)

// judged returns the part of a file that an inventory needs. Most files stay
// whole. From the configuration of a VM or a container, it takes only the lines
// that an inventory needs, because other lines may hold secrets, such as a
// password's hash. It also hides Apple's key in args.
func judged(place string, data []byte) []byte {
	lines := judgedLines[path.Base(path.Dir(place))]
	if lines == nil || !strings.HasPrefix(place, "etc/pve/") {
		return data
	}
	var kept []byte
	for line := range bytes.Lines(data) {
		if lines.Match(bytes.TrimRight(line, "\n")) {
			kept = append(kept, appleKey.ReplaceAll(line, []byte("osk=..."))...)
		}
	}
	return kept
}

// place makes the directories and links that lead to name. It returns the path
// to which they lead. If nothing exists there, info is nil.
func (t *tape) place(root *os.Root, name string) (place string, info fs.FileInfo, err error) {
	place = "."
	for todo, links := strings.Split(name, "/"), 0; len(todo) > 0; {
		next := path.Join(place, todo[0])
		todo = todo[1:]
		if info, err = fs.Lstat(t.machine, next); err != nil {
			return "", nil, nil // the link's target does not exist, or cannot be reached
		}
		if err := t.step(root, next, info.Mode().Type()); err != nil {
			return "", nil, err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			place = next
			continue
		}
		if links++; links > 40 { // the kernel follows at most 40 links
			return "", nil, nil
		}
		target, err := t.target(next)
		if err != nil {
			return "", nil, err
		}
		todo, place = append(strings.Split(path.Join(path.Dir(next), target), "/"), todo...), "."
	}
	return place, info, nil
}

// step makes a directory or a link, and ignores files of other kinds.
func (t *tape) step(root *os.Root, name string, kind fs.FileMode) error {
	switch kind {
	case fs.ModeDir:
		return root.MkdirAll(name, 0o755)
	case fs.ModeSymlink:
		target, err := t.target(name)
		if err == nil {
			err = root.Symlink(target, name)
		}
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return nil
}

// target returns the target of a link as a path relative to the link's
// directory, because an absolute target would lead out of the capture.
func (t *tape) target(name string) (string, error) {
	target, err := fs.ReadLink(t.machine, name)
	if err != nil || !path.IsAbs(target) {
		return target, err
	}
	return filepath.Rel("/"+path.Dir(name), target)
}

// tell prints which files a capture contains, and which files could not be
// read.
func tell(out io.Writer, dir string, denied []string) {
	fmt.Fprintf(out, "Captured into %s: it holds serial numbers and what is written in /etc; look through it before you hand it on.\n", dir)
	if len(denied) > 0 {
		fmt.Fprintf(out, "Only root may read these, so capture as root: %s\n", strings.Join(denied, ", "))
	}
}
