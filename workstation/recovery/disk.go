package recovery

import (
	"fmt"
	"io"
)

// Folder is the folder of a disk in which boot pickers look for a recovery
// system.
const Folder = "com.apple.recovery.boot"

// WriteDisk writes a raw disk from which a VM boots the recovery system: a
// FAT32 file system without a partition table, with the image and its chunklist
// in [Folder]. Firmware and OpenCore can read such a disk. The same input gives
// the same disk. The caller should have verified the chunklist. WriteDisk
// verifies the image while it writes the image. After an error the written data
// is not a usable disk. The error is an [*ImageError] if the image does not
// match its chunklist.
//
// Attach the disk in PVE as a disk, not as a CD-ROM, because OpenCore does not
// look for this folder on a CD-ROM. OpenCore also ignores a disk without GPT,
// unless its Misc > Security > ScanPolicy is 0 or allows this file system
// (OpenCore Configuration; by default only APFS is allowed).
func WriteDisk(w io.Writer, list *Chunklist, image io.Reader) error {
	v := newVolume(list)
	if v.files[0].size > maxImage {
		return fmt.Errorf("recovery: an image of %d bytes does not fit into FAT32", v.files[0].size)
	}
	if err := v.writeHead(w); err != nil {
		return fmt.Errorf("recovery: disk: %w", err)
	}
	if _, err := list.verify(image, 0, w, nil); err != nil {
		return err
	}
	if err := atEnd(image, list.Size()); err != nil {
		return err
	}
	tail := []int64{v.slack(v.files[0].size), -1, v.slack(v.files[1].size), v.free() * v.clusterSize(), v.padding()}
	for _, n := range tail {
		var err error
		if n < 0 {
			_, err = w.Write(list.data)
		} else {
			err = writeZeros(w, n)
		}
		if err != nil {
			return fmt.Errorf("recovery: disk: %w", err)
		}
	}
	return nil
}

// DiskSize returns the number of bytes that WriteDisk writes. It is a multiple
// of 1 MiB.
func DiskSize(list *Chunklist) int64 {
	v := newVolume(list)
	return v.size() + v.padding()
}

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, min(n, mebibyte))
	for n > 0 {
		written, err := w.Write(zeros[:min(n, mebibyte)])
		if err != nil {
			return err
		}
		n -= int64(written)
	}
	return nil
}
