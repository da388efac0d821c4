package sysfs

import (
	"io/fs"
	"os"
)

// OpenTree opens a directory of somebody else, such as a captured tree. No link
// leads out of it, and it is guarded as by [Guard]. It stays open until the
// program ends.
func OpenTree(dir string) (fs.FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return openTree(root), nil
}
