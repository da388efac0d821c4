//go:build !linux

package iommu

import (
	"context"
	"io/fs"
	"os/exec"
)

// Real hosts run Linux. On other systems, these functions are enough to build
// the package, and to try a plan on a copy of a host's files.

// Lock implements [fileSystem] without a lock.
func (r rootFiles) Lock(context.Context) (unlock func(), err error) { return func() {}, nil }

func (r rootFiles) complete(string, fs.FileInfo, *fileInfo) error { return nil }

// Chown implements [newFile]: owners are not read here.
func (f systemFile) Chown(uid, gid int) error { return nil }

// SetAttrs implements [newFile]: attributes are not read here.
func (f systemFile) SetAttrs(map[string][]byte) error { return nil }

func apart(*exec.Cmd) {}
