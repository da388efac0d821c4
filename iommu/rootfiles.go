package iommu

import (
	"errors"
	"io/fs"
	"os"
)

// rootFiles holds the files below a root directory. Links that lead out of this
// directory are not followed.
type rootFiles struct{ root *os.Root }

func (r rootFiles) ReadFile(name string) ([]byte, error) { return r.root.ReadFile(name) }
func (r rootFiles) Rename(from, to string) error         { return r.root.Rename(from, to) }
func (r rootFiles) Remove(name string) error             { return r.root.Remove(name) }
func (r rootFiles) Mkdir(name string) error              { return r.root.Mkdir(name, 0o755) }

func (r rootFiles) Stat(name string) (fileInfo, error) {
	info, err := r.root.Lstat(name)
	if err != nil {
		return fileInfo{}, err
	}
	all := fileInfo{Mode: info.Mode(), Names: 1}
	if info.Mode().Type() == fs.ModeSymlink {
		all.Target, err = r.root.Readlink(name)
	}
	if err == nil {
		err = r.complete(name, info, &all)
	}
	return all, err
}

// Create implements [fileSystem]. It follows no link, because it uses O_EXCL.
func (r rootFiles) Create(name string) (newFile, error) {
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return systemFile{f}, err
}

func (r rootFiles) Sync(dir string) error {
	f, err := r.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// A systemFile is a newFile of the operating system.
type systemFile struct{ *os.File }
