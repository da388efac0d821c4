package opencore

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/fat"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrImage reports a file that is not an OpenCore image or that cannot be read.
// The error is an [ImageError].
var ErrImage = errors.New("not an OpenCore image that can be read")

// An ImageError says what was found instead of an OpenCore image.
type ImageError struct {
	// Found describes the file, as far as it was recognized.
	Found string
	// Why says why this file cannot be used, and what to do.
	Why string
}

// Error implements error.
func (e *ImageError) Error() string {
	return printable.Sprintf("opencore: the image is %s: %s", e.Found, e.Why)
}

// Is makes the error match [ErrImage].
func (e *ImageError) Is(target error) bool { return target == ErrImage }

// A Layout describes the place of the file system with OpenCore in an image, as
// the firmware finds it.
type Layout struct {
	// Container is "gzip" for a compressed disk, otherwise "raw".
	Container string
	// Table is the kind of the partition table: "none" for a file system
	// without a partition table, "gpt", "mbr", or "iso9660" for a CD that boots
	// from a FAT image inside it.
	Table string
	// Sector is the size of the sectors in which a GPT counts, in bytes: 512 or
	// 4096. It is 0 for other tables.
	Sector int64
	// Partition is the number of the partition. It is 0 if the file system is
	// not in a partition.
	Partition int
	// Start and Size are the place and size of the file system, in bytes.
	Start, Size int64
	// FAT is the kind of the file system: 12, 16 or 32 for FAT12, FAT16 or
	// FAT32.
	FAT int
	// Others holds the numbers of other partitions that hold OpenCore too.
	Others []int
	// Damage says what is wrong with the partition table. It is "" if the table
	// is sound.
	Damage string
}

// String returns the layout in a few words.
func (l Layout) String() string {
	text := fmt.Sprintf("FAT%d", l.FAT)
	switch l.Table {
	case "gpt", "mbr":
		text += fmt.Sprintf(" in partition %d of %s", l.Partition, strings.ToUpper(l.Table))
		if l.Sector > 512 {
			text += fmt.Sprintf(" with sectors of %d bytes", l.Sector)
		}
	case "iso9660":
		text += " inside of a CD image (El Torito)"
	default:
		text += " without a partition table"
	}
	if l.Container == "gzip" {
		text += ", compressed with gzip"
	}
	return text
}

// The first bytes of files that are not raw disks.
var foreign = []struct{ magic, found, why string }{
	{"QFI\xfb", "a qcow2 image", "convert it: qemu-img convert -O raw IMAGE.qcow2 IMAGE.raw"},
	{"PK\x03\x04", "a zip archive", "unpack it; a folder EFI goes into a FAT image, which OpenCore's projects publish too"},
	{"KDMV", "a VMDK image", "convert it: qemu-img convert -O raw IMAGE.vmdk IMAGE.raw"},
	{"conectix", "a VHD image", "convert it: qemu-img convert -O raw IMAGE.vhd IMAGE.raw"},
	{"vhdxfile", "a VHDX image", "convert it: qemu-img convert -O raw IMAGE.vhdx IMAGE.raw"},
	{"\xfd7zXZ", "compressed with xz", "unpack it with unxz"},
	{"(\xb5/\xfd", "compressed with zstd", "unpack it with unzstd"},
	{"BZh", "compressed with bzip2", "unpack it with bunzip2"},
}

// The function "open" opens the disk in a file. The returned string is the value
// for [Layout] Container.
func open(r io.ReaderAt, size int64) (*disk, string, error) {
	head := make([]byte, 8)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return nil, "", &ImageError{Found: fmt.Sprintf("a file of %d bytes", size), Why: errors.Join(errors.New("it is too short"), err).Error()}
	}
	if string(head[:2]) == "\x1f\x8b" {
		d, err := unzip(io.NewSectionReader(r, 0, size), maxUnzipped)
		return d, "gzip", err
	}
	for _, f := range foreign {
		if strings.HasPrefix(string(head), f.magic) {
			return nil, "", &ImageError{Found: f.found, Why: f.why}
		}
	}
	if tail := make([]byte, 4); size >= 512 {
		if _, err := r.ReadAt(tail, size-512); err == nil && string(tail) == "koly" {
			return nil, "", &ImageError{Found: "an Apple disk image (UDIF)", Why: "convert it, on a Mac: hdiutil convert IMAGE.dmg -format UDTO -o IMAGE"}
		}
	}
	if size > maxDisk {
		return nil, "", &ImageError{Found: fmt.Sprintf("a disk of %d GiB", size>>30), Why: fmt.Sprintf("an OpenCore image has %d GiB at most: give the image, not a system's disk", maxDisk>>30)}
	}
	return &disk{base: r, size: size, blocks: map[int64][]byte{}}, "raw", nil
}

// A part is a place where a file system may be.
type part struct {
	number      int
	start, size int64
	efi         bool // whether the partition is an EFI system partition, which the firmware looks for
}

// The function "locate" finds the file system that holds OpenCore. If several
// file systems hold OpenCore, it prefers a file system in an EFI system
// partition, and otherwise takes the first.
func locate(d *disk) (*fat.Volume, Layout, error) {
	layout, parts := table(d)
	slices.SortStableFunc(parts, func(a, b part) int {
		if a.efi == b.efi {
			return 0
		}
		if a.efi {
			return -1
		}
		return 1
	})
	var seen []string
	var found *fat.Volume
	for _, p := range parts {
		v, what := look(d, p, layout.Table)
		switch {
		case what != "":
			seen = append(seen, what)
		case found == nil:
			layout.Partition, layout.Start, layout.Size, layout.FAT = p.number, p.start, p.size, v.Width()
			found = v
		case p.start != layout.Start:
			layout.Others = append(layout.Others, p.number)
		}
	}
	if found == nil {
		return nil, layout, notOpenCore(layout, seen)
	}
	return found, layout, nil
}

// The function "table" reads the partition table. The first sector of an MBR
// ends with the same bytes as the first sector of a FAT file system. So the
// function looks for a FAT file system first.
func table(d *disk) (Layout, []part) {
	layout := Layout{Table: "none"}
	parts := []part{{0, 0, d.size, true}}
	if boot, isISO := elTorito(d); isISO {
		layout.Table, parts = "iso9660", boot
	} else if table, sector := gpt(d, false); sector > 0 {
		layout.Table, layout.Sector, parts = "gpt", sector, table
	} else if _, err := fat.Open(d, 0, d.size); err != nil {
		if table, sector := gpt(d, true); sector > 0 {
			layout.Table, layout.Sector, parts, layout.Damage = "gpt", sector, table, "the first copy of the partition table is damaged or missing; its backup at the end of the disk was read"
		} else if table := mbr(d); len(table) > 0 {
			layout.Table, parts = "mbr", table
		}
	}
	return layout, parts
}

// The function "look" opens the file system at a place. If the place does not
// hold OpenCore, the second result says what it holds.
func look(d *disk, p part, table string) (v *fat.Volume, instead string) {
	if p.start+p.size > d.size {
		return nil, fmt.Sprintf("a disk (%s) whose partition %d ends at byte %d of %d: it is cut off", table, p.number, p.start+p.size, d.size)
	}
	v, err := fat.Open(d, p.start, p.size)
	if err != nil {
		what := fmt.Sprintf("a disk (%s) with no FAT file system at byte %d", table, p.start)
		if table == "none" {
			what = "a file without a partition table"
		}
		return nil, fmt.Sprintf("%s (%v)", what, err)
	}
	if _, err = v.List(folder); err != nil {
		return nil, fmt.Sprintf("a FAT%d file system with %s", v.Width(), contents(v))
	}
	return v, ""
}

// notOpenCore returns an error that says what the image holds instead of
// OpenCore.
func notOpenCore(layout Layout, seen []string) error {
	found := strings.Join(seen, "; ")
	switch {
	case strings.Contains(strings.ToUpper(found), "CLOVER"):
		return &ImageError{Found: "one of the boot loader Clover", Why: "this package knows OpenCore only: take an image of OSX-PROXMOX, KVM-Opencore or OpenCore-ISO"}
	case layout.Table == "iso9660" && found == "":
		return &ImageError{Found: "a CD image that no firmware starts", Why: "it has no El Torito entry for UEFI"}
	case found == "":
		found = "a disk of the kind " + layout.Table + " without partitions"
	}
	return &ImageError{Found: found, Why: "no folder EFI/OC is in a FAT file system there"}
}

// The names of the entries in a volume's root and in its folder EFI.
func contents(v *fat.Volume) string {
	var names []string
	for _, dir := range []string{"", "EFI"} {
		list, err := v.List(dir)
		for _, e := range list {
			if err == nil && len(names) < 20 && !strings.HasPrefix(e.Name, ".") {
				names = append(names, strings.TrimPrefix(dir+"/"+e.Name, "/"))
			}
		}
	}
	if len(names) == 0 {
		return "no files"
	}
	return strings.Join(names, ", ")
}
