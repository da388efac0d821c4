package fat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Remove removes a file, or a directory with all files below it. It frees their
// clusters, and does not overwrite their content. w must write to the disk on
// which the volume was opened. The error matches [fs.ErrNotExist] if there is
// no such file, and [ErrFormat] if the volume is damaged below the directory,
// for example because two files share a cluster. An error may leave the volume
// damaged, so only change a copy.
func (v *Volume) Remove(w io.WriterAt, name string) error {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return fmt.Errorf("%w: the root directory cannot be removed", ErrName)
	}
	parent, err := v.find(strings.Trim(path.Dir("/"+name), "/"))
	if err != nil {
		return err
	}
	e, there, err := v.in(parent, path.Base(name))
	if err == nil && !there {
		err = &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return err
	}
	if err := v.release(e); err != nil {
		return err
	}
	return errors.Join(v.unlink(w, parent, e), v.flush(w))
}

// release frees the clusters of a file, or of a directory and all files below
// it. Every step frees a cluster, and a freed cluster is not the beginning of a
// chain. So if a directory leads back to itself, release does not run forever:
// it returns an error.
func (v *Volume) release(e Entry) error {
	for todo := []Entry{e}; len(todo) > 0; {
		e, todo = todo[0], todo[1:]
		if e.first == 0 && !e.Dir && e.Size == 0 {
			continue // an empty file has no clusters
		}
		if e.Dir {
			if e.first == 0 || e.first == v.rootCluster {
				return fmt.Errorf("%w: %s is the root directory", ErrFormat, e.Name)
			}
			slots, err := v.slots(e)
			if err != nil {
				return err
			}
			for _, inside := range entries(slots, v.width) {
				if inside.short[0] != '.' { // the entries "." and ".."
					todo = append(todo, inside)
				}
			}
		}
		list, err := v.chain(e.first, int64(v.clusters))
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		for _, cluster := range list {
			v.set(cluster, 0)
		}
	}
	return nil
}

// unlink marks an entry and the entries of its long name as deleted.
func (v *Volume) unlink(w io.WriterAt, parent, e Entry) error {
	clear(v.listed)
	slots, err := v.slots(parent)
	if err != nil {
		return err
	}
	last := slices.IndexFunc(slots, func(s slot) bool { return s.at == e.at })
	for i := last; i >= 0; i-- {
		d := slots[i].data
		if i < last && (d[0] == deleted || d[11]&0x3F != attrLong || d[13] != checksum(e.short)) {
			break
		}
		if _, err := w.WriteAt([]byte{deleted}, slots[i].at); err != nil {
			return err
		}
	}
	return nil
}
