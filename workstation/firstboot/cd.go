package firstboot

import (
	"fmt"
	"os"
	"path/filepath"

	disk "github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
)

// sector is the size of a CD's sector in bytes (ECMA-119 section 6.1.2).
const sector = 2048

// Image returns the CD. Its files have two names each: Linux reads the names of
// ISO 9660 with Rock Ridge, and Windows reads the names of Joliet. All files
// are in the root of the CD, because go-diskfs 1.9.4 writes wrong positions
// into Joliet for files in directories.
//
// go-diskfs reads the content from files. Image therefore makes a directory in
// [os.TempDir] that only this user can read, and removes it before it returns.
// If there is an error, a file could not be written, read or removed.
func (s Seed) Image() (image []byte, err error) {
	dir, err := os.MkdirTemp("", "proxstation-firstboot-") // with mode 0700
	if err != nil {
		return nil, fmt.Errorf("firstboot: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(dir); err == nil && removeErr != nil {
			image, err = nil, fmt.Errorf("firstboot: the files of %s are still there: %w", s.Name(), removeErr)
		}
	}()
	image, err = s.write(filepath.Join(dir, "files"), filepath.Join(dir, "cd.iso"))
	if err != nil {
		return nil, fmt.Errorf("firstboot: %s: %w", s.Name(), err)
	}
	return image, nil
}

func (s Seed) write(files, cd string) ([]byte, error) {
	if err := os.Mkdir(files, 0o700); err != nil {
		return nil, err
	}
	for _, f := range s.files {
		if err := os.WriteFile(filepath.Join(files, f.name), []byte(f.data.Reveal()), 0o600); err != nil {
			return nil, err
		}
	}
	target, err := os.OpenFile(cd, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = target.Close() }() // the error does not matter, because the file is read again below
	system, err := iso9660.Create(disk.New(target, false), 0, 0, sector, files)
	if err != nil {
		return nil, err
	}
	if err := system.Finalize(iso9660.FinalizeOptions{RockRidge: true, Joliet: true, VolumeIdentifier: s.label}); err != nil {
		return nil, err
	}
	image, err := os.ReadFile(cd)
	if err != nil {
		return nil, err
	}
	// go-diskfs 1.9.4 leaves the last sector incomplete, and readers would then
	// miss the end of the CD.
	return append(image, make([]byte, (sector-len(image)%sector)%sector)...), nil
}
