package sysfs

import (
	"io/fs"
	"os"
)

// OpenTree returns a directory that others made, such as a captured tree: no
// link leads out of it, and it is guarded as [Guard] does. It stays open until
// the program ends.
func OpenTree(dir string) (fs.FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return openTree(root), nil
}
