package hosttree

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// Open returns the tree of a machine: a described host if the name ends in
// .txt, else a directory with sys, proc, etc, boot and run in it, such as a
// capture. No link leads out of the directory, and no device or pipe in it is
// opened. Its errors match
// [ErrIncomplete] if the directory is a capture that was cut off.
func Open(name string) (fs.FS, error) {
	if strings.HasSuffix(name, ".txt") {
		description, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("hosttree: %w", err)
		}
		return Parse(description)
	}
	tree, err := sysfs.OpenTree(name)
	if err != nil {
		return nil, fmt.Errorf("hosttree: %w", err)
	}
	if err := checkCapture(tree); err != nil {
		return nil, fmt.Errorf("hosttree: %s: %w", name, err)
	}
	return tree, nil
}
