package iommu_test

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// groupStatus makes an ioctl of a VFIO group. size is the first field of its
// argument.
func groupStatus(fd int, request uintptr, size *uint32) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(size))); errno != 0 {
		return errno
	}
	return nil
}

// openDevice makes the ioctl of a VFIO group that opens a function by name.
func openDevice(group int, request uintptr, name string) (int, error) {
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(group), request, uintptr(unsafe.Pointer(text)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}
