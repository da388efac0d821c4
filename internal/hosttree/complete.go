package hosttree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// captureFile is the name of the file that says whether a capture is complete.
// Trees that are not captures have no such file.
const captureFile = "capture.txt"

// ErrIncomplete reports a capture that was interrupted, or that was copied only
// in part.
var ErrIncomplete = errors.New("the capture is not complete")

const (
	begun = "This capture was not finished: do not trust it, capture the machine again.\n"
	ended = "A capture of %d files, links and directories and %d bytes.\n"
)

// Begin marks a directory as a capture that is not complete yet.
func Begin(root *os.Root) error { return root.WriteFile(captureFile, []byte(begun), 0o644) }

// End marks a capture as complete. If a part of the capture is missing later,
// [Open] refuses the capture.
func End(root *os.Root) error {
	names, bytes, err := measure(root.FS())
	if err != nil {
		return err
	}
	return root.WriteFile(captureFile, fmt.Appendf(nil, ended, names, bytes), 0o644)
}

// measure counts the names and the bytes in a tree. It leaves captureFile out.
func measure(tree fs.FS) (names int, bytes int64, err error) {
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." || name == captureFile {
			return err
		}
		names++
		if entry.Type().IsRegular() {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			bytes += info.Size()
		}
		return nil
	})
	return names, bytes, err
}

func checkCapture(tree fs.FS) error {
	info, err := fs.Lstat(tree, captureFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > 4096 {
		return fmt.Errorf("%s: %w", captureFile, errors.Join(err, ErrIncomplete))
	}
	text, err := fs.ReadFile(tree, captureFile)
	if err != nil {
		return err
	}
	var wantNames int
	var wantBytes int64
	if _, err := fmt.Sscanf(string(text), ended, &wantNames, &wantBytes); err != nil {
		return fmt.Errorf("%w: it was cut off; capture the machine again", ErrIncomplete)
	}
	names, bytes, err := measure(tree)
	if err == nil && (names != wantNames || bytes != wantBytes) {
		err = fmt.Errorf("%w: it had %d names and %d bytes, but now has %d and %d; copy it again (tar keeps all of it)",
			ErrIncomplete, wantNames, wantBytes, names, bytes)
	}
	return err
}
