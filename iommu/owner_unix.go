//go:build unix

package iommu

import (
	"io/fs"
	"syscall"
)

// owner returns the user and the group that a file belongs to.
func owner(info fs.FileInfo) [2]int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return [2]int{}
	}
	return [2]int{int(stat.Uid), int(stat.Gid)}
}
