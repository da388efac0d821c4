package sysfs

import (
	"io/fs"
	"os"
)

// OpenTree opens somebody else's directory, such as a captured tree. No link
// leads out of the directory, and the restrictions of [Guard] apply. The
// directory stays open until the program ends.
func OpenTree(dir string) (fs.FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return openTree(root), nil
}
