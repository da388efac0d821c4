package fat_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/fat12"
	"github.com/diskfs/go-diskfs/filesystem/fat16"
	"github.com/diskfs/go-diskfs/filesystem/fat32"

	"github.com/proxstation/proxstation/internal/fat"
)

// A memory is a disk that is only in memory.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, at)
}

func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// sizes holds, for each width, a volume size that is possible.
var sizes = map[int]int64{12: 1 << 20, 16: 32 << 20, 32: 64 << 20}

// content holds the files of the tests' volumes.
var content = map[string][]byte{
	"EFI/OC/config.plist": bytes.Repeat([]byte("<key>"), 5000),
	"EFI/OC/OpenCore.efi": []byte("MZ"),
	"EFI/OC/Kexts/WhateverGreen.kext/Contents/Info.plist":   []byte("<plist/>"),
	"EFI/BOOT/BOOTx64.efi":                                  bytes.Repeat([]byte{1, 2, 3}, 700),
	"a name with blanks, and longer than one entry has.txt": []byte("x"),
}

// The function "made" returns a new volume that this package formatted and
// filled.
func made(t testing.TB, width int) memory {
	t.Helper()
	disk := make(memory, sizes[width])
	if err := fat.Format(disk, 0, sizes[width], width); err != nil {
		t.Fatal(err)
	}
	v, err := fat.Open(disk, 0, sizes[width])
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(content)) {
		if err := v.WriteFile(disk, path, content[path]); err != nil {
			t.Fatal(err)
		}
	}
	return disk
}

// foreign returns a volume that mkfs.fat and mtools made. It returns nil if
// these programs are not installed.
func foreign(t *testing.T, width int) memory {
	t.Helper()
	mkfs, mcopy, dir := find(t, "mkfs.fat"), find(t, "mcopy"), t.TempDir()
	if mkfs == "" || mcopy == "" {
		return nil
	}
	for path, data := range content {
		path = filepath.Join(dir, "tree", path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "volume")
	trees, err := filepath.Glob(filepath.Join(dir, "tree", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{mkfs, "-F", fmt.Sprint(width), "-n", "EFI", "-C", name, fmt.Sprint(sizes[width] / 1024)},
		append([]string{mcopy, "-s", "-i", name}, append(trees, "::")...),
	} {
		if said, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, said)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The function "each" runs a test on volumes of every width. This package made
// some of the volumes, and mkfs.fat the others.
func each(t *testing.T, test func(t *testing.T, disk memory, v *fat.Volume)) {
	t.Helper()
	for width := range sizes {
		for name, disk := range map[string]memory{"ours": made(t, width), "mkfs.fat's": foreign(t, width)} {
			if disk == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s FAT%d", name, width), func(t *testing.T) {
				t.Parallel()
				v, err := fat.Open(disk, 0, int64(len(disk)))
				if err != nil {
					t.Fatal(err)
				}
				if v.Width() != width {
					t.Fatalf("FAT%d", v.Width())
				}
				test(t, disk, v)
			})
		}
	}
}

func TestReadsWhatAnotherWrote(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, _ memory, v *fat.Volume) {
		for path, want := range content {
			have, err := v.ReadFile(strings.ToUpper(path), 1<<20)
			if err != nil || !bytes.Equal(have, want) {
				t.Errorf("%s: %d bytes, %v", path, len(have), err)
			}
		}
		list, err := v.List("efi/oc")
		var names []string
		for _, e := range list {
			names = append(names, e.Name)
		}
		if slices.Sort(names); err != nil || strings.Join(names, " ") != ". .. Kexts OpenCore.efi config.plist" {
			t.Errorf("EFI/OC holds %q (%v)", names, err)
		}
		if _, err := v.ReadFile("EFI/OC/config.plist", 100); !errors.Is(err, fat.ErrTooLarge) {
			t.Errorf("above the bound: %v", err)
		}
		if _, err := v.ReadFile("EFI/OC/none", 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no such file: %v", err)
		}
		if _, err := v.ReadFile("EFI/OC", 100); !errors.Is(err, fat.ErrFormat) {
			t.Errorf("a directory: %v", err)
		}
	})
}

// changes returns the files that the tests write, in the order of writing.
func changes() []struct {
	path string
	data []byte
} {
	return []struct {
		path string
		data []byte
	}{
		{"EFI/OC/config.plist", bytes.Repeat([]byte("longer "), 20000)},
		{"EFI/OC/config.plist", []byte("short")},
		{"EFI/OC/config.plist", nil},
		{"EFI/OC/config.plist", bytes.Repeat([]byte("again"), 999)},
		{"EFI/OC/Kexts/Lilu.kext/Contents/MacOS/Lilu", bytes.Repeat([]byte{7}, 70000)},
		{"EFI/OC/Kexts/Lilu.kext/Contents/Info.plist", []byte("<plist/>")},
		{"EFI/OC/Kexts/lilu.KEXT/Contents/Info.plist", []byte("<plist></plist>")},
	}
}

func TestAnotherReadsWhatItWrote(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, disk memory, v *fat.Volume) {
		want := map[string][]byte{}
		for path, data := range content {
			want[path] = data
		}
		for _, c := range changes() {
			if err := v.WriteFile(disk, c.path, c.data); err != nil {
				t.Fatal(err)
			}
			want[strings.Replace(c.path, "lilu.KEXT", "Lilu.kext", 1)] = c.data
		}
		for i := range 60 { // more entries than fit into a cluster
			path := fmt.Sprintf("EFI/OC/Kexts/A rather long name of a kext number %d.kext", i)
			if want[path] = []byte(path); v.WriteFile(disk, path, want[path]) != nil {
				t.Fatal(path)
			}
		}
		readAll(t, disk, want)
	})
}

// readAll checks that this package, go-diskfs and mtools read the expected
// files, and that fsck finds no fault.
func readAll(t *testing.T, disk memory, want map[string][]byte) {
	t.Helper()
	again, err := fat.Open(disk, 0, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range want {
		if have, err := again.ReadFile(path, 1<<20); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s: %d bytes, want %d (%v)", path, len(have), len(data), err)
		}
	}
	name := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(name, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, err := diskfs(t, name, again.Width(), int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range want {
		if have, err := theirs.ReadFile(path); err != nil || !bytes.Equal(have[:min(len(have), len(data))], data) {
			t.Errorf("go-diskfs reads %d bytes of %s, want %d (%v)", len(have), path, len(data), err)
		}
	}
	if tool := find(t, "mtype"); tool != "" {
		for path, data := range want {
			have, err := exec.CommandContext(t.Context(), tool, "-i", name, "::"+path).Output()
			if err != nil || !bytes.Equal(have, data) {
				t.Errorf("mtools reads %d bytes of %s, want %d (%v)", len(have), path, len(data), err)
			}
		}
	}
	if tool := find(t, "fsck.fat"); tool != "" {
		if said, err := exec.CommandContext(t.Context(), tool, "-n", name).CombinedOutput(); err != nil {
			t.Errorf("fsck: %v\n%s", err, said)
		}
	}
}

// diskfs opens a volume with github.com/diskfs/go-diskfs, whose results are
// compared with ours.
func diskfs(t *testing.T, name string, width int, size int64) (filesystem.FileSystem, error) {
	t.Helper()
	storage, err := file.OpenFromPath(name, true)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = storage.Close() })
	switch width {
	case 12:
		return fat12.Read(storage, size, 0, 512)
	case 16:
		return fat16.Read(storage, size, 0, 512)
	}
	return fat32.Read(storage, size, 0, 512)
}

// find returns a program's path, or "" if the program is missing. If the lab is
// required, a missing program fails the test.
func find(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("PROXSTATION_LAB") == "required" {
		t.Fatalf("%s is not installed", name)
	}
	t.Logf("%s is not installed", name)
	return ""
}

// If a file's size stays the same, only the bytes of this file change.
func TestOnlyTheFileChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, disk memory, v *fat.Volume) {
		before := bytes.Clone(disk)
		data := bytes.Repeat([]byte("<KEY>"), 5000)
		if err := v.WriteFile(disk, "EFI/OC/config.plist", data); err != nil {
			t.Fatal(err)
		}
		differ := 0
		for at := 0; at < len(before); at += 4096 {
			for i := at; !bytes.Equal(before[at:at+4096], disk[at:at+4096]) && i < at+4096; i++ {
				if before[i] != disk[i] {
					differ++
				}
			}
		}
		if differ != 3*5000 {
			t.Errorf("%d bytes differ", differ)
		}
	})
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	disk := made(t, 12)
	v, err := fat.Open(disk, 0, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"EFI/OC":                          fat.ErrFormat,
		"EFI/OC/config.plist/below":       fat.ErrFormat,
		"EFI/a:b":                         fat.ErrName,
		"EFI/" + strings.Repeat("n", 300): fat.ErrName,
		"EFI/large":                       fat.ErrFull,
	} {
		if err := v.WriteFile(disk, name, make([]byte, 2<<20)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for name, damage := range map[string]func(d memory){
		"nothing":            func(d memory) { clear(d) },
		"no signature":       func(d memory) { d[510] = 0 },
		"odd sectors":        func(d memory) { d[11] = 1 },
		"clusters of 3":      func(d memory) { d[13] = 3 },
		"no table":           func(d memory) { d[16] = 0 },
		"larger than itself": func(d memory) { binary.LittleEndian.PutUint16(d[19:], 0xFFFF) },
	} {
		other := bytes.Clone(disk)
		damage(other)
		if _, err := fat.Open(memory(other), 0, int64(len(other))); !errors.Is(err, fat.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := fat.Open(disk, int64(len(disk))-100, 100); !errors.Is(err, fat.ErrFormat) {
		t.Errorf("behind the end: %v", err)
	}
}

// Entries behind the end mark of a directory do not count. They still do not
// count when a new file takes the place of the mark.
func TestBehindTheEndMark(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, disk memory, v *fat.Volume) {
		for _, name := range []string{"X/gone", "X/also.gone"} {
			if err := v.WriteFile(disk, name, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		first := bytes.Index(disk, []byte("GONE~1")) - 32
		disk[first] = 0
		v, err := fat.Open(disk, 0, int64(len(disk)))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.WriteFile(disk, "X/new", []byte("x")); err != nil {
			t.Fatal(err)
		}
		list, err := v.List("X")
		if err != nil || len(list) != 3 || list[2].Name != "new" { // behind "." and ".."
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// After a directory is removed, its names and clusters are free, and all other
// files are as before. The volume then has as many free clusters as before the
// directory was written.
func TestRemove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, disk memory, v *fat.Volume) {
		before := bytes.Clone(disk)
		write := func() {
			for i := range 40 { // more entries than fit into a cluster
				path := fmt.Sprintf("EFI/OC/Kexts/Another rather long name.kext/Contents/Resources/a long name number %d", i)
				if err := v.WriteFile(disk, path, bytes.Repeat([]byte(path), 200)); err != nil {
					t.Fatal(err)
				}
			}
			if err := v.WriteFile(disk, "EFI/OC/Kexts/Another rather long name.kext/Contents/empty", nil); err != nil {
				t.Fatal(err)
			}
		}
		write()
		size := bytes.Count(disk, []byte("Resources/a long name number"))
		for range 3 { // if clusters or names leaked, the directory would grow, or the next files would be elsewhere
			if err := v.Remove(disk, "/efi/oc/kexts/another rather long name.KEXT/"); err != nil {
				t.Fatal(err)
			}
			readAll(t, disk, content)
			list, err := v.List("EFI/OC/Kexts")
			for _, e := range list {
				if strings.Contains(e.Name, "nother") || err != nil {
					t.Errorf("%q is still there (%v)", e.Name, err)
				}
			}
			write()
		}
		if again := bytes.Count(disk, []byte("Resources/a long name number")); again != size {
			t.Errorf("the files were written to other clusters: %d and %d", size, again)
		}
		if err := v.Remove(disk, "EFI/OC/Kexts/Another rather long name.kext"); err != nil {
			t.Fatal(err)
		}
		sector := int(binary.LittleEndian.Uint16(disk[11:]))
		tables := int(binary.LittleEndian.Uint16(disk[14:])) * sector
		if !bytes.Equal(disk[:tables+16*sector], before[:tables+16*sector]) {
			t.Error("the tables or the number of free clusters differ")
		}
		if err := v.Remove(disk, "EFI/BOOT/BOOTx64.efi"); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]error{"EFI/BOOT/BOOTx64.efi": fs.ErrNotExist, "": fat.ErrName, "EFI/..": fat.ErrName, "EFI/none/x": fs.ErrNotExist} {
			if err := v.Remove(disk, name); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", name, err, want)
			}
		}
	})
}

// For a directory that contains itself, and for files that share clusters,
// Remove returns an error.
func TestRemoveFromADamagedVolume(t *testing.T) {
	t.Parallel()
	for width := range sizes {
		for name, long := range map[string]string{"a directory inside of itself": "WhateverGreen.kext", "the root": "the root", "a shared cluster": "shared"} {
			disk := made(t, width)
			v, err := fat.Open(disk, 0, int64(len(disk)))
			if err != nil {
				t.Fatal(err)
			}
			inside := "EFI/OC/Kexts/WhateverGreen.kext/Contents/LINK"
			if err := v.WriteFile(disk, inside, []byte("x")); err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(disk, []byte("LINK~1  "))
			switch long {
			case "the root":
				disk[at+11] = 0x10
				copy(disk[at+20:], []byte{0, 0})
				copy(disk[at+26:], []byte{0, 0})
			case "shared":
				other := bytes.Index(disk, []byte("INFO~1  PLI"))
				copy(disk[at+26:at+28], disk[other+26:])
			default:
				other := bytes.Index(disk, []byte("WHATEV~1KEX"))
				disk[at+11] = 0x10
				copy(disk[at+26:at+28], disk[other+26:])
			}
			if v, err = fat.Open(disk, 0, int64(len(disk))); err != nil {
				t.Fatal(err)
			}
			if err := v.Remove(disk, "EFI/OC/Kexts/WhateverGreen.kext"); !errors.Is(err, fat.ErrFormat) {
				t.Errorf("FAT%d, %s: %v", width, name, err)
			}
			if _, err := v.ReadFile("EFI/OC/config.plist", 1<<20); err != nil {
				t.Errorf("FAT%d, %s: the configuration is gone: %v", width, name, err)
			}
		}
	}
}

// If a chain of clusters is a ring or leads nowhere, reading the chain returns
// an error.
func TestRing(t *testing.T) {
	t.Parallel()
	for _, value := range []uint16{0xFFFF, 0x0033, 0x0000, 0xEEEE} {
		disk := made(t, 16)
		table := int(binary.LittleEndian.Uint16(disk[14:])) * 512
		for entry := 2; entry < 2000; entry++ {
			binary.LittleEndian.PutUint16(disk[table+2*entry:], value)
		}
		v, err := fat.Open(disk, 0, int64(len(disk)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.ReadFile("EFI/OC/config.plist", 1<<20); !errors.Is(err, fat.ErrFormat) && !errors.Is(err, fat.ErrTooLarge) {
			t.Errorf("entries %x: %v", value, err)
		}
	}
}

func FuzzVolume(f *testing.F) {
	for width := range sizes {
		disk := made(f, width)
		f.Add(bytes.TrimRight(disk[:min(len(disk), 1<<17)], "\x00"), "EFI/OC/config.plist")
	}
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		disk := make(memory, 1<<18)
		copy(disk, data)
		v, err := fat.Open(disk, 0, int64(len(disk)))
		if err != nil {
			return
		}
		_, _ = v.List("")
		_, _ = v.ReadFile("EFI/OC/config.plist", 1<<20)
		if v.WriteFile(disk, path, []byte("content")) != nil {
			return
		}
		defer func() { _ = v.Remove(disk, "EFI") }()
		again, err := fat.Open(disk, 0, int64(len(disk)))
		if err != nil {
			return // the file overwrote the tables; this cannot happen on a sound volume
		}
		_, _ = again.ReadFile(path, 1<<20)
	})
}

// Check finds every kind of damage through which a change of one file could
// damage another file. It finds no damage in sound volumes.
func TestCheck(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, disk memory, v *fat.Volume) {
		if err := v.Check(); err != nil {
			t.Errorf("a sound volume: %v", err)
		}
		entry := func(names ...string) int { // takes several names, because each program that makes volumes chooses its own short names
			for _, name := range names {
				if at := bytes.Index(disk, []byte(name)); at >= 0 {
					return at
				}
			}
			t.Fatalf("no entry %q", names)
			return 0
		}
		program, config := entry("OPENCO~1EFI", "OPENCOREEFI"), entry("CONFIG~1PLI")
		kexts, other := entry("KEXTS~1    ", "KEXTS      "), entry("BOOT~1     ", "BOOT       ")
		sector := int(binary.LittleEndian.Uint16(disk[11:]))
		table := int(binary.LittleEndian.Uint16(disk[14:])) * sector
		for name, test := range map[string]struct {
			damage func(d memory)
			want   string
		}{
			"a shared cluster":        {func(d memory) { copy(d[program+26:program+28], d[config+26:]) }, "belongs to two files (/EFI/OC/"},
			"a shared directory":      {func(d memory) { copy(d[kexts+26:kexts+28], d[other+26:]) }, "belongs to two files"},
			"a directory of nothing":  {func(d memory) { copy(d[kexts+26:kexts+28], []byte{0, 0}) }, "leads to cluster 0 (/EFI/OC/Kexts)"},
			"a chain of free ones":    {func(d memory) { clear(d[table+v.Width()/2 : table+200]) }, "leads to cluster 0"},
			"the same name for two":   {func(d memory) { renamed(d, program, config) }, "is there twice"},
			"a file with no clusters": {func(d memory) { copy(d[program+26:program+28], []byte{0, 0}) }, "leads to cluster 0"},
		} {
			damaged := memory(bytes.Clone(disk))
			test.damage(damaged)
			v, err := fat.Open(damaged, 0, int64(len(damaged)))
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Check(); !errors.Is(err, fat.ErrFormat) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
		}
	})
}

// renamed gives two files of a directory the same short name, and takes their
// long names away.
func renamed(d memory, one, other int) {
	copy(d[one:one+11], d[other:])
	for _, at := range []int{one, other} {
		for long := at - 32; d[long+11] == 0x0F; long -= 32 {
			d[long] = 0xE5
		}
	}
}

func TestValidName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"Info.plist": true, ".hidden": true, "two words.kext": true, "é": true, strings.Repeat("n", 255): true,
		"": false, "a.": false, " a": false, "a ": false, "a/b": false, `a\b`: false, "a:b": false, "Icon\r": false, "a\x00": false, strings.Repeat("n", 256): false, strings.Repeat("\U0001F600", 128): false, "\xff": false} {
		if fat.ValidName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
