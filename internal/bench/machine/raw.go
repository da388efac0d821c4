package machine

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// Raw returns one step for each file, link and directory that iommu.Read reads.
// The step reads its file, link or directory again and ignores the content. The
// time for all steps is the cost of reading without parsing.
func Raw(dir string) (steps []func() error, err error) {
	r := recorder{os.DirFS(dir), map[string]func(string) error{}}
	if _, err := iommu.Read(r); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(r.read)) {
		_, name, _ := strings.Cut(key, " ")
		file := filepath.Join(dir, name)
		steps = append(steps, func() error { return r.read[key](file) })
	}
	return steps, nil
}

// A recorder is a file system that records which files are read.
type recorder struct {
	fsys fs.FS
	read map[string]func(file string) error // the key is the operation and the file
}

func (r recorder) note(op, name string, err error, again func(file string) error) {
	if err == nil {
		r.read[op+" "+name] = again
	}
}

// Open implements [fs.FS].
func (r recorder) Open(name string) (fs.File, error) {
	f, err := r.fsys.Open(name)
	if info, statErr := fs.Stat(r.fsys, name); statErr != nil || info.IsDir() {
		return f, err
	}
	r.note("read", name, err, func(file string) error { _, err := os.ReadFile(file); return err })
	return f, err
}

// Stat implements [fs.StatFS].
func (r recorder) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.fsys, name) }

// ReadDir implements [fs.ReadDirFS].
func (r recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.fsys, name)
	r.note("list", name, err, func(file string) error { _, err := os.ReadDir(file); return err })
	return entries, err
}

// ReadLink implements [fs.ReadLinkFS].
func (r recorder) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(r.fsys, name)
	r.note("follow", name, err, func(file string) error { _, err := os.Readlink(file); return err })
	return target, err
}

// Lstat implements [fs.ReadLinkFS].
func (r recorder) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.fsys, name) }
