package iommu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
)

// A fileSystem holds a machine's files. Their paths begin at the machine's root
// directory. A power cut may undo changes that were not synced. A file's
// content and attributes are safe after its own Sync. A new, changed or removed
// name is safe after a Sync of its directory.
type fileSystem interface {
	// Lock waits until no other process works on the machine's files.
	Lock(ctx context.Context) (unlock func(), err error)
	// Stat describes the file of this name. It does not follow a link.
	Stat(name string) (fileInfo, error)
	ReadFile(name string) ([]byte, error)
	// Create makes a new file that only its owner can read.
	Create(name string) (newFile, error)
	Rename(from, to string) error
	Remove(name string) error
	Mkdir(name string) error
	Sync(dir string) error
}

// A newFile is a file that is being written.
type newFile interface {
	io.WriteCloser
	Chown(uid, gid int) error
	Chmod(mode fs.FileMode) error
	// SetAttrs gives the file these extended attributes and no others.
	SetAttrs(attrs map[string][]byte) error
	Sync() error
}

// A fileInfo holds everything about a file except its content.
type fileInfo struct {
	Mode   fs.FileMode
	Owner  [2]int            // user and group
	Names  int               // hard links
	Attrs  map[string][]byte // extended attributes
	Target string            // the target of a symbolic link
	Fixed  bool              // chattr(1) protects the file
}

// keptMode holds the mode bits that a new file takes over from the old file.
const keptMode = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// A disk makes changes so that after a power cut each change is either done or
// not done.
type disk struct{ fileSystem }

// The method "look" returns the file as it is on the disk now. The content is
// nil if the file does not exist. It returns an error if the file, or a
// leftover beside it, cannot be replaced.
func (d disk) look(name string) (saved, []byte, error) {
	s := saved{Path: name, Mode: 0o644}
	if !fs.ValidPath(name) || name == "." {
		return s, nil, fmt.Errorf("%q is no path from the root of the machine", name)
	}
	info, err := d.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil, d.checkLeftover(name)
	}
	if err != nil {
		return s, nil, d.explain(name, err)
	}
	if err := info.replaceable(name); err != nil {
		return s, nil, err
	}
	content, err := d.ReadFile(name)
	if err != nil {
		return s, nil, err
	}
	s.Mode, s.Owner, s.Attrs = info.Mode&keptMode, info.Owner, info.Attrs
	return s, append([]byte{}, content...), d.checkLeftover(name)
}

// replaceable returns an error that matches [ErrIrreplaceable] if a new file
// could not keep all properties of the old file.
func (i fileInfo) replaceable(name string) error {
	switch {
	case i.Mode.Type() == fs.ModeSymlink:
		target := i.Target
		if !path.IsAbs(target) {
			target = path.Join("/"+path.Dir(name), target)
		}
		return fmt.Errorf("/%[1]s %[2]w: it is a symbolic link to %[3]s. To have the file itself there: cp -p --remove-destination %[3]s /%[1]s", name, ErrIrreplaceable, target)
	case !i.Mode.IsRegular():
		return fmt.Errorf("/%s %w: it is not a regular file", name, ErrIrreplaceable)
	case i.Names > 1:
		return fmt.Errorf("/%[1]s %[2]w: it has %[3]d hard links (find / -xdev -samefile /%[1]s). To part it from the others: cp -a /%[1]s /%[1]s.copy && mv /%[1]s.copy /%[1]s",
			name, ErrIrreplaceable, i.Names)
	case i.Fixed:
		return fmt.Errorf("/%[1]s %[2]w: it is immutable or append-only. To allow it: chattr -i -a /%[1]s", name, ErrIrreplaceable)
	}
	return nil
}

// The method "explain" checks whether a directory above the file is a link to a
// place outside of the root directory. If so, it names the link in the error,
// because the system's own error does not.
func (d disk) explain(name string, err error) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		info, statErr := d.Stat(dir)
		isLink := statErr == nil && info.Mode.Type() == fs.ModeSymlink
		if isLink && (path.IsAbs(info.Target) || !fs.ValidPath(path.Join(path.Dir(dir), info.Target))) {
			return fmt.Errorf("/%s %w: the directory /%s is a link to %s. Make that link relative (ln -sfnr)", name, ErrIrreplaceable, dir, info.Target)
		}
	}
	return err
}

// tempName returns a name in the same directory, with an ending that neither
// modprobe nor grub-mkconfig reads. A single name is enough, because only one
// process writes.
func tempName(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+".proxstation")
}

// checkLeftover returns an error if the name of the temporary file is taken by
// something other than our own leftover.
func (d disk) checkLeftover(name string) error {
	info, err := d.Stat(tempName(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode.IsRegular() {
		return fmt.Errorf("/%s is in the way and not ours: remove it", tempName(name))
	}
	return err
}

// The method "clear" removes the temporary file that a killed run left beside a
// file.
func (d disk) clear(name string) error {
	if err := d.checkLeftover(name); err != nil {
		return err
	}
	err := d.Remove(tempName(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.Sync(path.Dir(name))
}

func (d disk) clearAll(files []saved) error {
	for _, file := range files {
		if err := d.clear(file.Path); err != nil {
			return err
		}
	}
	return nil
}

// The method "put" writes content into the file, or removes the file if content
// is nil. The file's directory must exist.
func (d disk) put(s saved, content []byte) error {
	if content == nil {
		if err := d.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.Sync(path.Dir(s.Path))
	}
	if err := d.clear(s.Path); err != nil {
		return err
	}
	temp := tempName(s.Path)
	err := d.write(temp, content, s)
	if err == nil {
		err = d.Rename(temp, s.Path)
	}
	if err != nil {
		return errors.Join(err, d.clear(s.Path))
	}
	return d.Sync(path.Dir(s.Path))
}

// The method "write" makes a new file with the owner and attributes of the old
// file, which s describes. If there was no old file, the new file keeps the
// owner and attributes that the system gave it.
func (d disk) write(name string, content []byte, s saved) error {
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // closes the file after an error; otherwise it is closed already
	if _, err := f.Write(content); err != nil {
		return err
	}
	if s.Before != nil { // the owner is set before the mode, because a new owner removes setuid
		if err := f.Chown(s.Owner[0], s.Owner[1]); err != nil {
			return err
		}
	}
	if err := f.Chmod(s.Mode); err != nil {
		return err
	}
	if s.Before != nil {
		if err := f.SetAttrs(s.Attrs); err != nil {
			return err
		}
	}
	return errors.Join(f.Sync(), f.Close())
}

// The method "restore" brings a file back to its earlier state, and removes the
// leftovers of a killed run beside it.
func (d disk) restore(file saved) error {
	missing, err := d.missing(file.Path)
	if err != nil || slices.Contains(missing, path.Dir(file.Path)) {
		return err // without the directory, there is nothing to restore
	}
	s, now, err := d.look(file.Path)
	if err != nil {
		return err
	}
	if err := d.clear(file.Path); err != nil {
		return err
	}
	as := s.Mode == file.Mode && s.Owner == file.Owner && maps.EqualFunc(s.Attrs, file.Attrs, slices.Equal)
	if equal(now, file.Before) && (now == nil || as) {
		return nil
	}
	return d.put(file, file.Before)
}

// The method "missing" returns the directories above a file that do not exist,
// the outermost first.
func (d disk) missing(name string) ([]string, error) {
	dirs := strings.Split(path.Dir(name), "/")
	for i := range dirs {
		_, err := d.Stat(strings.Join(dirs[:i+1], "/"))
		if errors.Is(err, fs.ErrNotExist) {
			var missing []string
			for ; i < len(dirs); i++ {
				missing = append(missing, strings.Join(dirs[:i+1], "/"))
			}
			return missing, nil
		}
		if err != nil {
			return nil, d.explain(name, err)
		}
	}
	return nil, nil
}

func (d disk) mkdirs(dirs []string) error {
	for _, dir := range dirs {
		if err := d.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.Sync(path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// rmdirs removes directories that we made, the innermost first, unless others
// have put something there.
func (d disk) rmdirs(dirs []string) error {
	for _, dir := range slices.Backward(dirs) {
		info, err := d.Stat(dir)
		if err == nil && !info.Mode.IsDir() {
			return nil // the directory is not empty
		}
		if err == nil {
			err = d.Remove(dir)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist):
			return nil
		case err != nil:
			return err
		}
		if err := d.Sync(path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}
