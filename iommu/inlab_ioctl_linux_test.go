package iommu_test

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// groupStatus makes the ioctl of a VFIO group whose argument begins at size.
func groupStatus(fd int, request uintptr, size *uint32) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(size))); errno != 0 {
		return errno
	}
	return nil
}
