package opencore

import (
	"archive/zip"
	"bytes"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/fat"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrBundle reports a file or folder that is not a kernel extension for
// OpenCore. The error is a [BundleError].
var ErrBundle = errors.New("not a kernel extension")

// A BundleError says what is wrong with a kernel extension that the caller
// passed.
type BundleError struct {
	// Path is the path of the faulty file or folder.
	Path string
	// Why says what is wrong, and what to give instead.
	Why string
}

// Error implements error.
func (e *BundleError) Error() string { return printable.Sprintf("opencore: %s: %s", e.Path, e.Why) }

// Is makes the error match [ErrBundle].
func (e *BundleError) Is(target error) bool { return target == ErrBundle }

// A Bundle is a kernel extension from the caller. [Configure] and [Write] put
// it into a copy of an image.
type Bundle struct {
	Kext
	// From is the folder from which the bundle was read. For an archive, From
	// is the path of the archive, followed by the path inside it.
	From string
	// Inside holds the plug-ins inside the bundle.
	Inside []Kext
	files  map[string][]byte // the contents of the files, by path below the folder Kexts
}

const (
	maxBundle      = 64 << 20
	maxBundleFiles = 2000
)

// ReadBundles reads the kernel extensions in a folder whose name ends in .kext,
// or in the zip archive of a release. Each extension must be complete: its
// Info.plist must contain an identifier, and its program must be for Intel's
// Macs. The error is a [BundleError].
func ReadBundles(name string) ([]Bundle, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("opencore: %w", err)
	}
	tree, root := os.DirFS(filepath.Dir(name)), filepath.Base(name)
	switch {
	case info.IsDir() && !isKext(root):
		return nil, &BundleError{name, "its name does not end in .kext: give the bundle's folder itself"}
	case info.IsDir():
	case !info.Mode().IsRegular():
		return nil, &BundleError{name, "it is neither a folder nor a file"}
	default:
		archive, err := zip.OpenReader(name)
		if err != nil {
			return nil, &BundleError{name, "it is neither a folder nor a zip archive: " + err.Error()}
		}
		defer func() { _ = archive.Close() }()
		tree, root = archive, "."
	}
	bundles, err := bundlesIn(tree, root)
	if err == nil && len(bundles) == 0 {
		err = errors.New("no folder in it ends in .kext")
	}
	if err != nil {
		return nil, &BundleError{name, err.Error()}
	}
	for i, b := range bundles {
		bundles[i].From = filepath.Join(name, b.From)
		if info.IsDir() {
			bundles[i].From = name
		}
	}
	return bundles, nil
}

func isKext(name string) bool { return strings.EqualFold(path.Ext(name), ".kext") }

// bundlesIn returns the bundles below a folder. Bundles inside another bundle,
// or inside a folder of debug symbols, are left out.
func bundlesIn(tree fs.FS, root string) ([]Bundle, error) {
	var bundles []Bundle
	total, files := int64(0), 0
	err := fs.WalkDir(tree, root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.EqualFold(path.Ext(name), ".dSYM") || name == "__MACOSX"):
			return fs.SkipDir
		case !entry.IsDir() || !isKext(name):
			return nil
		}
		b := Bundle{From: name, files: map[string][]byte{}}
		if err := b.read(tree, name, &total, &files); err != nil {
			return err
		}
		bundles = append(bundles, b)
		return fs.SkipDir
	})
	return bundles, err
}

// Reads the files of a bundle, and adds them to the sums of all bundles: total
// counts bytes, and files counts files.
func (b *Bundle) read(tree fs.FS, root string, total *int64, files *int) error {
	base := path.Base(root)
	err := fs.WalkDir(tree, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || isLitter(path.Base(name)) {
			return err // skip links, because the walk finds their targets anyway
		}
		inside := base + strings.TrimPrefix(name, root)
		if err := b.fits(inside); err != nil {
			return err
		}
		file, err := tree.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		data, err := io.ReadAll(io.LimitReader(file, maxBundle-*total+1))
		*total += int64(len(data))
		*files++
		if *total > maxBundle || *files > maxBundleFiles {
			return fmt.Errorf("more than %d MiB or %d files", maxBundle>>20, maxBundleFiles)
		}
		b.files[inside] = data
		return err
	})
	if err != nil {
		return err
	}
	for name := range b.files {
		if strings.HasSuffix(name, ".kext/"+infoFile) {
			if err := b.check(strings.TrimSuffix(name, "/"+infoFile), base); err != nil {
				return err
			}
		}
	}
	if b.ID == "" {
		return fmt.Errorf("%s has no Contents/Info.plist", base)
	}
	slices.SortFunc(b.Inside, func(a, c Kext) int { return strings.Compare(a.Path, c.Path) })
	return nil
}

// isLitter reports whether macOS's Finder left a file in a folder or archive.
// No kernel extension needs such a file.
func isLitter(name string) bool {
	return name == ".DS_Store" || name == "Icon\r" || strings.HasPrefix(name, "._")
}

// Returns an error if FAT does not allow the name, or if a file with an equal
// name was read before. FAT does not distinguish upper and lower case.
func (b *Bundle) fits(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if !fat.ValidName(part) {
			return fmt.Errorf("%q: FAT holds no file of the name %q", name, part)
		}
	}
	for other := range b.files {
		if strings.EqualFold(other, name) {
			return fmt.Errorf("%q and %q are the same file for FAT", other, name)
		}
	}
	return nil
}

// Checks one Info.plist, and the program that it names.
func (b *Bundle) check(at, base string) error {
	kext := readInfo(b.files[at+"/"+infoFile])
	kext.Path = at
	if kext.Problem != "" {
		return fmt.Errorf("%s: %s", at, kext.Problem)
	}
	if kext.Executable != "" {
		if err := forMacs(b.files[at+"/"+kext.Executable]); err != nil {
			return fmt.Errorf("%s/%s: %w", at, kext.Executable, err)
		}
	}
	if at == base {
		b.Kext = kext
	} else {
		b.Inside = append(b.Inside, kext)
	}
	return nil
}

// forMacs returns an error if a program is not for Intel's Macs. A file with
// programs for several processors lists the processors at its beginning.
func forMacs(program []byte) error {
	if len(program) < 16 {
		return errors.New("the program is missing or empty")
	}
	if universal, err := macho.NewFatFile(bytes.NewReader(program)); err == nil {
		for _, arch := range universal.Arches {
			if arch.Cpu == macho.CpuAmd64 {
				return nil
			}
		}
		return errors.New("the program is not for Intel's processors")
	}
	if !bytes.HasPrefix(program, []byte{0xCF, 0xFA, 0xED, 0xFE, 7, 0, 0, 1}) { // the magic number of 64-bit programs, followed by x86-64
		return errors.New("the program is not a macOS program for Intel's processors")
	}
	return nil
}
