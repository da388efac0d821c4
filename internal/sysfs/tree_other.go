//go:build !linux

package sysfs

import (
	"io/fs"
	"os"
)

func openTree(root *os.Root) fs.FS { return Guard(root.FS()) }
