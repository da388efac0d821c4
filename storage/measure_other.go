//go:build !linux

package storage

import (
	"errors"
	"os"
)

// openDirect is for Linux, where PVE runs.
func openDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }
