package iommu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errPowerCut = errors.New("power cut")

// An inode is a file or directory of a volatile file system. The field
// "lasts" holds its state at the last sync.
type inode struct {
	fileInfo

	data  []byte
	lasts *inode
}

func (i *inode) String() string {
	return fmt.Sprintf("%v %v %v %q", i.Mode, i.Owner, i.Attrs, i.data)
}

func (i *inode) sync() {
	synced := *i
	synced.data, synced.lasts, synced.Attrs = bytes.Clone(i.data), nil, maps.Clone(i.Attrs)
	i.lasts = &synced
}

// The type "volatile" is a file system that loses all changes that were not
// synced when its power is cut.
type volatile struct {
	now   map[string]*inode // the current inodes by name
	lasts map[string]*inode
	cut   int // the power is cut before this operation; -1 means never
	fail  map[string]error
	ops   []string
}

func newVolatile() *volatile {
	v := &volatile{now: map[string]*inode{}, lasts: map[string]*inode{}, cut: -1, fail: map[string]error{}}
	for _, dir := range []string{".", "etc", "etc/kernel", "etc/modprobe.d", "etc/default", "var", "var/lib"} {
		v.now[dir] = &inode{fileInfo: fileInfo{Mode: fs.ModeDir | 0o755}}
	}
	v.now[cmdlineFile] = &inode{data: []byte("root=\xff\x00 quiet"), fileInfo: fileInfo{Mode: 0o640 | fs.ModeSetgid, Owner: [2]int{7, 3}, Names: 1,
		Attrs: map[string][]byte{"user.note": []byte("n"), "system.posix_acl_access": {2}}}}
	for name, i := range v.now {
		i.sync()
		v.lasts[name] = i
	}
	return v
}

// op counts an operation, and cuts the power before the chosen operation.
func (v *volatile) op(format string, args ...any) error {
	name := fmt.Sprintf(format, args...)
	v.ops = append(v.ops, name)
	if v.cut >= 0 && len(v.ops) > v.cut {
		return errPowerCut
	}
	return v.fail[name]
}

func (v *volatile) Lock(context.Context) (func(), error) { return func() {}, nil }

func (v *volatile) get(op, name string) (*inode, error) {
	if i := v.now[name]; i != nil {
		return i, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (v *volatile) Stat(name string) (fileInfo, error) {
	i, err := v.get("stat", name)
	if err != nil {
		return fileInfo{}, err
	}
	return i.fileInfo, nil
}

func (v *volatile) ReadFile(name string) ([]byte, error) {
	i, err := v.get("read", name)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(i.data), nil
}

func (v *volatile) Create(name string) (newFile, error) {
	if err := v.op("create %s", name); err != nil {
		return nil, err
	}
	if v.now[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if _, err := v.get("create", path.Dir(name)); err != nil {
		return nil, err
	}
	i := &inode{fileInfo: fileInfo{Mode: 0o600, Names: 1, Attrs: map[string][]byte{"system.posix_acl_access": {1}}}}
	i.lasts = &inode{fileInfo: i.fileInfo}
	v.now[name] = i
	return &volatileFile{v, name, i}, nil
}

func (v *volatile) Rename(from, to string) error {
	if err := v.op("rename %s", to); err != nil {
		return err
	}
	v.now[to] = v.now[from]
	delete(v.now, from)
	return nil
}

func (v *volatile) Remove(name string) error {
	if _, err := v.get("remove", name); err != nil {
		return err
	}
	if err := v.op("remove %s", name); err != nil {
		return err
	}
	for other := range v.now {
		if strings.HasPrefix(other, name+"/") {
			return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
	}
	delete(v.now, name)
	return nil
}

func (v *volatile) Mkdir(name string) error {
	if err := v.op("mkdir %s", name); err != nil {
		return err
	}
	if v.now[name] != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	i := &inode{fileInfo: fileInfo{Mode: fs.ModeDir | 0o755}}
	i.sync()
	v.now[name] = i
	return nil
}

func (v *volatile) Sync(dir string) error {
	if err := v.op("sync directory %s", dir); err != nil {
		return err
	}
	v.persist(dir)
	return nil
}

// The method "persist" syncs the names in a directory.
func (v *volatile) persist(dir string) {
	maps.DeleteFunc(v.lasts, func(name string, _ *inode) bool { return path.Dir(name) == dir && name != "." })
	for name, i := range v.now {
		if path.Dir(name) == dir {
			v.lasts[name] = i
		}
	}
}

// The method "restart" returns the file system after a power cut. It has the
// names of the last sync and, in directories for which "survives" returns true,
// all later changes of names too. Files always have their content of the last
// sync.
func (v *volatile) restart(survives func(dir string) bool) *volatile {
	for name := range v.now {
		if i := v.now[name]; i.Mode.IsDir() && survives(name) {
			v.persist(name)
		}
	}
	after := &volatile{now: map[string]*inode{}, cut: -1}
	for name, i := range v.lasts {
		for dir := name; ; dir = path.Dir(dir) {
			if v.lasts[dir] == nil {
				break // the directory itself was lost
			}
			if dir == "." {
				synced := *i.lasts
				synced.sync()
				after.now[name] = &synced
				break
			}
		}
	}
	after.lasts = maps.Clone(after.now)
	return after
}

// The method "snapshot" returns all files and directories with their content and
// mode.
func (v *volatile) snapshot() map[string]string {
	files := map[string]string{}
	for name, i := range v.now {
		files[name] = i.String()
	}
	return files
}

type volatileFile struct {
	v    *volatile
	name string
	*inode
}

func (f *volatileFile) Write(p []byte) (int, error) {
	f.data = append(f.data, p[:len(p)/2]...)
	if err := f.v.op("write %s", f.name); err != nil {
		return len(p) / 2, err
	}
	f.data = append(f.data, p[len(p)/2:]...)
	return len(p), nil
}

// Chown clears setuid and setgid, as chown(2) does.
func (f *volatileFile) Chown(uid, gid int) error {
	f.Owner, f.Mode = [2]int{uid, gid}, f.Mode&fs.ModePerm
	return f.v.op("chown %s", f.name)
}

func (f *volatileFile) Chmod(mode fs.FileMode) error {
	f.Mode = mode
	return f.v.op("chmod %s", f.name)
}

func (f *volatileFile) SetAttrs(attrs map[string][]byte) error {
	f.Attrs = maps.Clone(attrs)
	return f.v.op("set attributes %s", f.name)
}

func (f *volatileFile) Sync() error {
	if err := f.v.op("sync %s", f.name); err != nil {
		return err
	}
	f.inode.sync()
	return nil
}

func (f *volatileFile) Close() error { return nil }

// survivals lists ways to choose the directories whose names survive a power
// cut. File systems write names to the disk in any order, and /etc and /var may
// be two file systems.
var survivals = map[string]func(dir string) bool{
	"nothing":      func(string) bool { return false },
	"all names":    func(string) bool { return true },
	"names in etc": func(dir string) bool { return strings.HasPrefix(dir, "etc") },
	"names in var": func(dir string) bool { return strings.HasPrefix(dir, "var") },
}

// everyCut cuts the power before each operation in turn, and at the end. It
// calls the function "try" for each state of the files that may remain after
// such a cut.
func everyCut(t *testing.T, least int, try func(t *testing.T, v *volatile, survives func(string) bool) (finished bool)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(survivals)) {
		t.Run("surviving "+name, func(t *testing.T) {
			t.Parallel()
			for cut := 0; ; cut++ {
				v := newVolatile()
				v.cut = cut
				if try(t, v, survivals[name]) {
					if cut < least {
						t.Errorf("only %d operations were seen", cut)
					}
					t.Logf("the power was cut %d times", cut)
					return
				}
				if t.Failed() {
					t.Fatalf("the power was cut at operation %d:\n%s", cut, strings.Join(v.ops, "\n"))
				}
			}
		})
	}
}
