package opencore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"howett.net/plist"

	"github.com/proxstation/proxstation/internal/fat"
)

// ErrBlocked reports an image with which macOS would not start, or would not
// accelerate the card, even after the plan.
var ErrBlocked = errors.New("opencore: the image does not suit the VM")

// ErrStale reports that a plan was made for another image, or for an earlier
// content of the image.
var ErrStale = errors.New("opencore: the image is not as it was when the plan was made: plan again")

// Write writes a copy of an image with a plan applied. The copy is an
// uncompressed raw disk of the image's size. Bytes that the plan does not
// change are the same as in the image. Before it writes, Write makes the
// changes in memory, reads the changed disk back, and compares it with the
// plan. Errors match [ErrImage], [ErrConfig] or [ErrStale].
func Write(w io.Writer, r io.ReaderAt, size int64, plan Plan) error {
	image, d, v, err := read(r, size)
	if err != nil {
		return err
	}
	if image.SHA256 != plan.Before || !slices.Equal(replaced(image, plan.Bundles), plan.Replaced) {
		return ErrStale
	}
	if image.Damage != "" {
		return &ImageError{Found: image.Layout.String(), Why: image.Damage}
	}
	text := image.ConfigText
	for _, c := range plan.Changes {
		if text, err = edit(text, c.Change); err != nil {
			return err
		}
	}
	if err := sound(text, plan); err != nil {
		return err
	}
	if err := putKexts(d, v, plan); err != nil {
		return noRoom(image, err)
	}
	if !bytes.Equal(text, image.ConfigText) {
		if err := v.WriteFile(d, configFile, text); err != nil {
			return noRoom(image, err)
		}
	}
	if err := readBack(d, image.Layout, text, plan); err != nil {
		return err
	}
	if _, err := io.Copy(w, io.NewSectionReader(d, 0, d.size)); err != nil {
		return fmt.Errorf("opencore: %w", err)
	}
	return nil
}

// putKexts removes the folders that the plan's bundles replace, and then writes
// the bundles. All folders are removed first, so that their space is free.
func putKexts(d *disk, v *fat.Volume, plan Plan) error {
	for _, b := range plan.Bundles {
		if slices.ContainsFunc(plan.Replaced, func(k Kext) bool { return strings.EqualFold(k.Path, b.Path) }) {
			if err := v.Remove(d, folder+"/Kexts/"+b.Path); err != nil {
				return err
			}
		}
	}
	for _, b := range plan.Bundles {
		for _, name := range slices.Sorted(maps.Keys(b.files)) {
			if err := v.WriteFile(d, folder+"/Kexts/"+name, b.files[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Returns an error if the changed config.plist is not as planned, or if a
// second parser cannot read it.
func sound(text []byte, plan Plan) error {
	var tree map[string]any
	if _, err := plist.Unmarshal(text, &tree); err != nil {
		return &ConfigError{Why: "it is not sound after the changes: " + err.Error()}
	}
	if plan.after != nil && !bytes.Equal(text, plan.after) {
		return &ConfigError{Why: "the changes do not lead to what was planned"}
	}
	return nil
}

// readBack reads the changed disk again and compares it with the plan.
func readBack(d *disk, layout Layout, text []byte, plan Plan) error {
	again, err := fat.Open(d, layout.Start, layout.Size)
	if err != nil {
		return &ImageError{Found: layout.String(), Why: "the changed file system is not sound: " + err.Error()}
	}
	image, err := contentOf(again)
	if err != nil {
		return err
	}
	if !bytes.Equal(image.ConfigText, text) {
		return &ImageError{Found: layout.String(), Why: "config.plist reads back differently"}
	}
	for _, b := range plan.Bundles {
		for name, want := range b.files {
			if have, err := again.ReadFile(folder+"/Kexts/"+name, maxBundle); err != nil || !bytes.Equal(have, want) {
				return &ImageError{Found: layout.String(), Why: fmt.Sprintf("%s reads back differently (%v)", name, err)}
			}
		}
	}
	return nil
}

func noRoom(image Image, err error) error {
	why := err.Error()
	if errors.Is(err, fat.ErrFull) {
		why += "; take a larger image, or fewer kernel extensions"
	}
	return &ImageError{Found: image.Layout.String(), Why: why}
}

// PlanFile reads an image from a file, or from a disk such as
// /dev/pve/vm-130-disk-1, and makes a plan for it, as [Configure] does.
func PlanFile(name string, machine Machine, o *Options) (Plan, error) {
	file, size, err := openFile(name)
	if err != nil {
		return Plan{}, err
	}
	defer func() { _ = file.Close() }()
	image, err := Read(file, size)
	if err != nil {
		return Plan{}, err
	}
	return Configure(image, machine, o)
}

// openFile opens a file or a disk, and finds the size by seeking to the end. It
// refuses a folder. It also refuses a pipe, because opening a pipe would wait
// for a writer.
func openFile(name string) (file *os.File, size int64, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("opencore: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() && mode&(fs.ModeDevice|fs.ModeCharDevice) != fs.ModeDevice {
		return nil, 0, &ImageError{Found: name, Why: "it is neither a file nor a disk: give the image itself"}
	}
	if file, err = os.Open(name); err != nil {
		return nil, 0, fmt.Errorf("opencore: %w", err)
	}
	if size, err = file.Seek(0, io.SeekEnd); err != nil {
		_ = file.Close()
		return nil, 0, fmt.Errorf("opencore: %s: %w", name, err)
	}
	return file, size, nil
}

// WriteFile writes a copy of an image file with a plan applied, as [Write]
// does. The copy is a new file that only its owner can read, because it holds
// the identity. An incomplete copy has another name, and is removed after an
// error. The image stays as it is, so the VM can go back to it. If a file with
// the copy's name exists already, WriteFile does not change this file, and the
// error matches [fs.ErrExist].
func WriteFile(from, to string, plan Plan) error {
	in, size, err := openFile(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("opencore: %w", &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist})
	}
	out, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".part*")
	if err != nil {
		return fmt.Errorf("opencore: %w", err)
	}
	err = Write(out, in, size, plan)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		_ = os.Remove(out.Name()) // do not leave an incomplete image
	}
	return err
}

// CopyName returns a name, without a folder, for the file of a configured copy.
// It consists of the image's name, the plan's [Plan.Mark], and ".raw" for PVE's
// import.
func CopyName(image string, plan Plan) string {
	base := filepath.Base(image)
	for _, end := range []string{".gz", ".iso", ".img", ".raw", ".dmg"} {
		base = strings.TrimSuffix(base, end)
	}
	clean := strings.Map(func(r rune) rune {
		if r < 128 && (r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return r
		}
		return '-'
	}, base)
	return fmt.Sprintf("%s-%s.raw", clean, plan.Mark())
}
