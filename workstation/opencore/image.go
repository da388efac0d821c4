package opencore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"howett.net/plist"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/fat"
)

// Paths of OpenCore's files on a volume, and limits for their contents.
// OpenCore's sources contain the path of its folder (OpenCorePkg
// Include/Acidanthera/Library/OcMainLib.h).
const (
	folder        = "EFI/OC"
	configFile    = folder + "/config.plist"
	bootFile      = "EFI/BOOT/BOOTx64.efi" // UEFI specification, section 3.5.1.1
	infoFile      = "Contents/Info.plist"  // the path inside a bundle
	maxEFI        = 64 << 20
	maxInfo       = 1 << 20
	maxListed     = 512 // the greatest number of entries in a folder
	maxKextsDepth = 3   // the deepest nesting of plug-ins
)

// An Image is the content of an OpenCore image, as data.
type Image struct {
	Layout Layout
	// Size is the size of the uncompressed disk in bytes. SHA256 is the
	// checksum of this disk in hexadecimal.
	Size   int64
	SHA256 string
	// Damage describes faults of the file system. With such a fault, a change
	// of one file could damage another file. Damage is "" if the file system is
	// sound.
	Damage string
	// Version is the version of OpenCore.efi. It is the zero Version if the
	// version cannot be read from the program.
	Version Version
	// Starts says whether the image has the file EFI/BOOT/BOOTx64.efi. Firmware
	// starts this program from a drive if it has no boot entry for the drive.
	Starts proxstation.Answer
	// Vault says whether the configuration is signed. A changed copy of a
	// signed configuration does not boot.
	Vault proxstation.Answer
	// ConfigText is the text of config.plist. Config holds the values in this
	// text.
	ConfigText []byte
	Config     Value
	// Twice holds the keys that occur more than once in one dictionary of
	// config.plist.
	Twice []string
	// Kexts holds the kernel extensions in the folder Kexts, including plug-ins
	// inside other extensions. OpenCore loads them only if config.plist says
	// so.
	Kexts []Kext
	// Drivers holds the programs in the folder Drivers.
	Drivers []Driver
	// ACPI holds the names of the tables in the folder ACPI.
	ACPI []string
}

// A Kext is a kernel extension.
type Kext struct {
	// Path is the bundle's path below the folder Kexts, as BundlePath in
	// config.plist has it.
	Path string
	// ID and Version are the values of CFBundleIdentifier and CFBundleVersion.
	ID, Version string
	// Executable is the program's path inside the bundle. It is "" if the
	// bundle has no program.
	Executable string
	// Problem says what is wrong with the bundle. It is "" if the bundle is
	// sound.
	Problem string
}

// A Driver is a UEFI driver. Drivers do not show their versions, but the
// checksum can be compared with the checksum of a release.
type Driver struct {
	Name   string
	Size   int64
	SHA256 string
	// Enabled reports whether config.plist makes OpenCore load the driver.
	Enabled bool
}

// Read reads an OpenCore image. The image is a raw disk with a FAT file system,
// which may be in a partition, or a CD image that boots from a FAT file system
// inside it. The image may be compressed with gzip. If the file is not an
// OpenCore image, the error is an [ImageError]. If OpenCore would not read its
// config.plist, the error is a [ConfigError].
func Read(r io.ReaderAt, size int64) (Image, error) {
	image, _, _, err := read(r, size)
	return image, err
}

func read(r io.ReaderAt, size int64) (Image, *disk, *fat.Volume, error) {
	d, container, err := open(r, size)
	if err != nil {
		return Image{}, nil, nil, err
	}
	v, layout, err := locate(d)
	if err != nil {
		return Image{}, nil, nil, err
	}
	layout.Container = container
	image, err := contentOf(v)
	if err != nil {
		return Image{}, nil, nil, err
	}
	image.Layout, image.Size = layout, d.size
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(d, 0, d.size)); err != nil {
		return Image{}, nil, nil, fmt.Errorf("opencore: %w", err)
	}
	image.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return image, d, v, nil
}

// contentOf reads OpenCore's folder on a volume.
func contentOf(v *fat.Volume) (Image, error) {
	var image Image
	program, err := v.ReadFile(folder+"/OpenCore.efi", maxEFI)
	if err != nil {
		return image, volumeError(v, "OpenCore.efi", err)
	}
	if image.ConfigText, err = v.ReadFile(configFile, maxConfig); err != nil {
		return image, volumeError(v, "config.plist", err)
	}
	if image.Config, image.Twice, err = parse(image.ConfigText); err != nil {
		return image, err
	}
	if err := v.Check(); err != nil {
		image.Damage = err.Error()
	}
	image.Version = versionOf(program)
	_, err = v.ReadFile(bootFile, maxEFI)
	image.Starts = proxstation.AnswerOf(err == nil)
	image.Vault = proxstation.AnswerOf(vaulted(program))
	if _, err := v.ReadFile(folder+"/vault.plist", maxConfig); !errors.Is(err, fs.ErrNotExist) {
		image.Vault = proxstation.Yes
	}
	if image.Kexts, err = kexts(v, "", 0); err != nil {
		return image, volumeError(v, "the kernel extensions", err)
	}
	if image.Drivers, err = drivers(v, image.Config); err != nil {
		return image, volumeError(v, "the drivers", err)
	}
	tables, err := list(v, folder+"/ACPI")
	for _, e := range tables {
		if strings.EqualFold(path.Ext(e.Name), ".aml") {
			image.ACPI = append(image.ACPI, e.Name)
		}
	}
	if err != nil {
		return image, volumeError(v, "the ACPI tables", err)
	}
	return image, nil
}

func volumeError(v *fat.Volume, what string, err error) error {
	return &ImageError{Found: fmt.Sprintf("a FAT%d file system with %s", v.Width(), contents(v)), Why: fmt.Sprintf("%s in %s cannot be read: %v", what, folder, err)}
}

// The function "list" returns the entries of a folder, and no entries if the
// folder does not exist.
func list(v *fat.Volume, name string) ([]fat.Entry, error) {
	all, err := v.List(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	all = slices.DeleteFunc(all, func(e fat.Entry) bool { return strings.HasPrefix(e.Name, ".") })
	if len(all) > maxListed {
		return nil, fmt.Errorf("%s has %d entries, more than %d", name, len(all), maxListed)
	}
	slices.SortFunc(all, func(a, b fat.Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// The function "kexts" reads the bundles in a folder, and the plug-ins inside
// them. The parameter "below" is the path of the folder, relative to the folder
// Kexts.
func kexts(v *fat.Volume, below string, depth int) ([]Kext, error) {
	all, err := list(v, folder+"/Kexts/"+below)
	if err != nil || depth >= maxKextsDepth {
		return nil, err
	}
	var found []Kext
	for _, e := range all {
		if !e.Dir || !strings.EqualFold(path.Ext(e.Name), ".kext") {
			continue
		}
		name := path.Join(below, e.Name)
		info, err := v.ReadFile(folder+"/Kexts/"+name+"/"+infoFile, maxInfo)
		kext := Kext{Problem: "Contents/Info.plist is missing"}
		if err == nil {
			kext = readInfo(info)
		} else if !errors.Is(err, fs.ErrNotExist) {
			kext.Problem = err.Error()
		}
		kext.Path = name
		if kext.Executable != "" {
			if _, err := v.ReadFile(folder+"/Kexts/"+name+"/"+kext.Executable, maxEFI); err != nil {
				kext.Problem = err.Error()
			}
		}
		inside, err := kexts(v, name+"/Contents/PlugIns", depth+1)
		if err != nil {
			return nil, err
		}
		if found = append(append(found, kext), inside...); len(found) > maxListed {
			return nil, fmt.Errorf("more than %d kernel extensions", maxListed)
		}
	}
	return found, nil
}

// readInfo reads a bundle's Info.plist, which may be XML or binary.
func readInfo(text []byte) Kext {
	var info struct {
		ID         string `plist:"CFBundleIdentifier"`
		Version    string `plist:"CFBundleVersion"`
		Executable string `plist:"CFBundleExecutable"`
	}
	if !shallow(text) {
		return Kext{Problem: "Contents/Info.plist is not a property list"}
	}
	if _, err := plist.Unmarshal(text, &info); err != nil {
		return Kext{Problem: "Contents/Info.plist: " + err.Error()}
	}
	kext := Kext{ID: info.ID, Version: info.Version}
	if info.Executable != "" {
		kext.Executable = "Contents/MacOS/" + info.Executable
	}
	if kext.ID == "" {
		kext.Problem = "Contents/Info.plist has no CFBundleIdentifier"
	}
	if strings.ContainsAny(info.Executable, `/\`) {
		kext.Problem, kext.Executable = "CFBundleExecutable is a path", ""
	}
	return kext
}

// The function "shallow" reports whether the values of a property list are
// nested only a little. A recursive library can then read the list safely.
func shallow(text []byte) bool {
	if bytes.HasPrefix(text, []byte("bplist00")) {
		return len(text) <= 1<<16 // each nested value takes bytes of its own, so the size limits the depth
	}
	_, _, err := parse(text)
	return err == nil
}

func drivers(v *fat.Volume, config Value) ([]Driver, error) {
	all, err := list(v, folder+"/Drivers")
	if err != nil {
		return nil, err
	}
	enabled := map[string]bool{}
	config, _ = configShape.fitting(config, nil)
	for _, item := range config.Get("UEFI", "Drivers").Items {
		name := item.Value.Get("Path").Text
		on := item.Value.Get("Enabled").True()
		if item.Value.Kind == Text { // before OpenCore 0.7.3 an entry was a string
			name, on = item.Value.Text, !strings.HasPrefix(item.Value.Text, "#")
		}
		enabled[strings.ToLower(name)] = on
	}
	var found []Driver
	for _, e := range all {
		if e.Dir || !strings.EqualFold(path.Ext(e.Name), ".efi") {
			continue
		}
		data, err := v.ReadFile(folder+"/Drivers/"+e.Name, maxEFI)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		found = append(found, Driver{Name: e.Name, Size: e.Size, SHA256: hex.EncodeToString(sum[:]), Enabled: enabled[strings.ToLower(e.Name)]})
	}
	return found, nil
}
