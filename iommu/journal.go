package iommu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"
)

// journalFile remembers what the files were before, from the root of the
// machine. Only root can read it.
const journalFile = "var/lib/proxstation/host.json"

// A journal is a stack of applied plans, the last one on top.
type journal struct {
	Entries []entry  `json:"entries"`
	Made    []string `json:"made,omitempty"` // directories made for the journal itself
}

// An entry is a plan that is being applied or was.
type entry struct {
	Files    []saved    `json:"files"`
	Made     []string   `json:"made,omitempty"` // directories made, in order
	Commands [][]string `json:"commands,omitempty"`
	Done     bool       `json:"done"` // all files written and commands run
}

// A saved file is a change, with all that there was of the file before. Its
// bytes are kept as bytes, since JSON's strings hold no others than UTF-8; nil
// means that the file is not there.
type saved struct {
	Path   string      `json:"path"`
	Before []byte      `json:"before"`
	After  []byte      `json:"after"`
	Mode   fs.FileMode `json:"mode,omitempty"`
	Owner  [2]int      `json:"owner"` // user and group
}

// raw returns a text as bytes.
func raw(text *string) []byte {
	if text == nil {
		return nil
	}
	return append([]byte{}, *text...)
}

func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// A disk makes changes that a power cut leaves done or not done. Each step
// asks ahead first, so that tests can cut the power.
type disk struct {
	root  *os.Root
	ahead func(step string) error // nil: go on
}

func (d disk) step(format string, args ...any) error {
	if d.ahead == nil {
		return nil
	}
	return d.ahead(fmt.Sprintf(format, args...))
}

// look returns a file as it is now; a file that is not there has nil bytes.
// Links and other things that are no files are an error: replacing one would
// lose it.
func (d disk) look(name string) (now []byte, s saved, err error) {
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, saved{Mode: 0o644}, nil
	}
	if err != nil {
		return nil, saved{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, saved{}, fmt.Errorf("/%s is not a regular file", name)
	}
	now, err = d.root.ReadFile(name)
	if err != nil {
		return nil, saved{}, err
	}
	s.Mode = info.Mode().Perm()
	s.Owner = owner(info)
	return append([]byte{}, now...), s, nil
}

// put makes the file have content, or not be there. The directory must be.
func (d disk) put(s saved, content []byte) error {
	dir, temp := path.Dir(s.Path), tempName(s.Path)
	if content == nil {
		if err := d.step("remove %s", s.Path); err != nil {
			return err
		}
		if err := d.root.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.sync(dir)
	}
	if err := d.write(temp, content, s); err != nil {
		return err
	}
	if err := d.step("rename %s", s.Path); err != nil {
		return err
	}
	if err := d.root.Rename(temp, s.Path); err != nil {
		return err
	}
	return d.sync(dir)
}

// tempName is in the same directory and has an ending that neither modprobe
// nor grub-mkconfig reads.
func tempName(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+".proxstation")
}

func (d disk) write(name string, content []byte, s saved) error {
	if err := d.step("create %s", name); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	half := len(content) / 2
	if _, err := f.Write(content[:half]); err != nil {
		return err
	}
	if err := d.step("write %s", name); err != nil {
		return err
	}
	if _, err := f.Write(content[half:]); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(s.Mode), d.own(f, s)); err != nil {
		return err
	}
	if err := d.step("sync %s", name); err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// own gives the file to its owner before. Only root can, and need not if it
// is right already.
func (d disk) own(f *os.File, s saved) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if s.Owner == owner(info) || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(s.Owner[0], s.Owner[1])
}

// sync makes what happened in a directory last.
func (d disk) sync(dir string) error {
	if err := d.step("sync directory %s", dir); err != nil {
		return err
	}
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// missing returns the directories above a file that are not there, the
// outermost first.
func (d disk) missing(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, err := d.root.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			dirs = append(dirs, dir)
		}
	}
	slices.Reverse(dirs)
	return dirs
}

func (d disk) mkdirs(dirs []string) error {
	for _, dir := range dirs {
		if err := d.step("mkdir %s", dir); err != nil {
			return err
		}
		if err := d.root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.sync(path.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// rmdirs removes directories that we made, the innermost first, unless others
// have put something there.
func (d disk) rmdirs(dirs []string) error {
	for _, dir := range slices.Backward(dirs) {
		if err := d.step("rmdir %s", dir); err != nil {
			return err
		}
		err := d.root.Remove(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func (d disk) loadJournal() (journal, error) {
	var j journal
	data, err := d.root.ReadFile(journalFile)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return j, fmt.Errorf("/%s: %w", journalFile, err)
	}
	return j, nil
}

// saveJournal writes the journal. One without entries goes away, and with it
// the directories made for it.
func (d disk) saveJournal(j journal) error {
	file := saved{Path: journalFile, Mode: 0o600, Owner: [2]int{os.Geteuid(), os.Getegid()}}
	if len(j.Entries) == 0 {
		if _, err := d.root.Stat(path.Dir(journalFile)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(d.put(file, nil), d.clear(journalFile), d.rmdirs(append(j.Made, path.Dir(journalFile))))
	}
	data, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return err
	}
	return d.put(file, append(data, '\n'))
}
