package opencore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/fat"
	"github.com/proxstation/proxstation/internal/opencoretest"
)

func findingOf(image Image, machine Machine, id string) Finding {
	for _, f := range Judge(image, machine) {
		if f.ID == id {
			return f
		}
	}
	return Finding{}
}

// If two files of an image share clusters, a change of config.plist would
// damage the other file. Judge reports this, and Write writes nothing.
func TestSharedClusters(t *testing.T) {
	t.Parallel()
	disk := opencoretest.New(opencoretest.Config).FAT(12, 2<<20)
	config, program := bytes.Index(disk, []byte("CONFIG~1PLI")), bytes.Index(disk, []byte("OPENHF~1EFI"))
	copy(disk[program+26:program+28], disk[config+26:])
	image, err := Read(disk, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	f := findingOf(image, onDisplay(), "opencore.file-system")
	if f.Severity != proxstation.Blocker || !strings.Contains(f.Seen, "belongs to two files") || !strings.Contains(f.Fix, "fsck.fat -a") {
		t.Errorf("%+v", f)
	}
	plan, err := Configure(image, onDisplay(), nil)
	if err != nil || !errors.Is(plan.Err(), ErrBlocked) {
		t.Fatal(err, plan.Err())
	}
	var out bytes.Buffer
	if err := Write(&out, disk, int64(len(disk)), plan); !errors.Is(err, ErrImage) || out.Len() > 0 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

// Configure refuses a config.plist with thousands of faults before it makes any
// change, because each change parses the whole file anew.
func TestThousandsOfChanges(t *testing.T) {
	t.Parallel()
	var properties strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&properties, "<key>k%d</key><string></string>", i)
	}
	image := imageWith(t, nil)
	image.ConfigText = []byte(strings.Replace(opencoretest.Config, "<key>DeviceProperties</key>", "<key>DeviceProperties</key><dict><key>Add</key><dict><key>PciRoot(0x0)/Pci(0x9,0x0)</key><dict>"+properties.String()+"</dict></dict></dict><key>#old</key>", 1))
	var err error
	if image.Config, image.Twice, err = parse(image.ConfigText); err != nil {
		t.Fatal(err)
	}
	if _, err = Configure(image, onDisplay(), nil); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "values would have to change") {
		t.Errorf("%v", err)
	}
}

// If a section is there twice, OpenCore reads both, and the later value wins. A
// change in the first section would have no effect, so Configure refuses it.
func TestSectionsThatAreThereTwice(t *testing.T) {
	t.Parallel()
	image := imageWith(t, nil)
	image.ConfigText = []byte(strings.Replace(opencoretest.Config, "<key>PlatformInfo</key>", "<key>PlatformInfo</key><dict/>\n<key>PlatformInfo</key>", 1))
	var err error
	if image.Config, image.Twice, err = parse(image.ConfigText); err != nil {
		t.Fatal(err)
	}
	if _, err = Configure(image, onDisplay(), nil); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "PlatformInfo is there more than once") {
		t.Errorf("%v", err)
	}
	if f := findingOf(image, onDisplay(), "opencore.duplicate-key"); !strings.Contains(f.Seen, "PlatformInfo") {
		t.Errorf("%+v", f)
	}
}

// If a rule finds thousands of faults, Judge reports the first of them one by
// one, and all others in one finding.
func TestThousandsOfFindings(t *testing.T) {
	t.Parallel()
	image := imageWith(t, nil)
	for range 1000 {
		image.Twice = append(image.Twice, "Misc -> Boot")
	}
	var entries Value
	for range 1000 {
		entries.Items = append(entries.Items, Item{Value: BoolValue(true)})
	}
	entries.Kind = Array
	image.Config = Value{Kind: Dict, Items: []Item{{Key: "Kernel", Value: dictOf("Patch", entries)}}}
	var said []string
	for _, f := range Judge(image, onDisplay()) {
		if f.ID == "opencore.duplicate-key" || f.ID == "opencore.type" {
			said = append(said, f.Seen)
		}
	}
	all := strings.Join(said, "\n")
	if len(said) != 2*(mostAlike+1) || !strings.Contains(all, "and 979 other keys") || !strings.Contains(all, "980 other values") {
		t.Errorf("%d findings:\n%s", len(said), all)
	}
}

// The numbers in config.plist are read as OpenCore reads them: a leading 0 does
// not mean an octal number, and underscores are not allowed.
func TestIntegers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"010": 10, "0x10": 16, "0XfF": 255, "-1": -1, "18446744073709551615": -1, "0xFFFFFFFFFFFFFFFF": -1} {
		if have, known := (Value{Kind: Integer, Text: text}).Int(); !known || have != want {
			t.Errorf("%s: %d, %v", text, have, known)
		}
	}
	for _, text := range []string{"", "0b1", "0o7", "1_0", "0x", "x", "1e3"} {
		if _, known := (Value{Kind: Integer, Text: text}).Int(); known {
			t.Errorf("%q is an integer", text)
		}
		if _, _, err := parse([]byte("<plist><dict><key>a</key><integer>" + text + "</integer></dict></plist>")); err == nil {
			t.Errorf("%q is read as an integer", text)
		}
	}
}

// If two partitions hold OpenCore, the firmware may start OpenCore from the
// second. Judge reports such a partition.
func TestTwoOpenCores(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	raw := tree.GPT(16, 20<<20)
	parts, _ := gpt(&disk{base: raw, size: int64(len(raw)), blocks: map[int64][]byte{}}, false)
	if len(parts) != 2 {
		t.Fatalf("%+v", parts)
	}
	if err := fat.Format(raw, parts[1].start, parts[1].size, 12); err != nil {
		t.Fatal(err)
	}
	second, err := fat.Open(raw, parts[1].start, parts[1].size)
	if err != nil {
		t.Fatal(err)
	}
	if image, err := Read(raw, int64(len(raw))); err != nil || len(image.Layout.Others) != 0 {
		t.Errorf("an empty second partition: %+v, %v", image.Layout, err)
	}
	if err := second.WriteFile(raw, "EFI/OC/config.plist", []byte("x")); err != nil {
		t.Fatal(err)
	}
	image, err := Read(raw, int64(len(raw)))
	if err != nil || image.Layout.Partition != 1 || !slices.Equal(image.Layout.Others, []int{2}) {
		t.Errorf("%+v, %v", image.Layout, err)
	}
	if f := findingOf(image, onDisplay(), "opencore.other"); f.Severity != proxstation.Warning || !strings.Contains(f.Seen, "partition 2 holds an OpenCore too") {
		t.Errorf("%+v", f)
	}
}

// Read reports a file that ends inside a partition.
func TestCutOff(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	for name, disk := range map[string]opencoretest.Memory{"gpt": tree.GPT(16, 20<<20), "mbr": tree.MBR(16, 20<<20)} {
		half := disk[:len(disk)/2]
		if _, err := Read(half, int64(len(half))); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "partition 1 ends at byte") || !strings.Contains(err.Error(), "it is cut off") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A few kilobytes of gzip can hold any amount of zeros. The function unzip
// stops reading at the limit.
func TestZerosWithoutEnd(t *testing.T) {
	t.Parallel()
	one := make(opencoretest.Memory, 1<<20).Gzip()
	if d, err := unzip(bytes.NewReader(bytes.Repeat(one, 4)), 4<<20); err != nil || d.size != 4<<20 || len(d.blocks) != 0 {
		t.Errorf("%v", err)
	}
	endless := io.MultiReader(bytes.NewReader(bytes.Repeat(one, 8)), unread{t})
	if _, err := unzip(endless, 4<<20); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "more than 4 MiB") {
		t.Errorf("%v", err)
	}
}

// A Read from a value of this type is an error of the test.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the whole file is read")
	return 0, io.EOF
}

// A plan is only for the image for which it was made. If any file of the image
// has changed since, Write refuses the plan.
func TestAnotherProgram(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	disk := tree.FAT(12, 2<<20)
	plan := planOf(t, disk, onDisplay(), nil)
	tree["EFI/OC/OpenCore.efi"] = opencoretest.Program("093", [528]byte{})
	other := tree.FAT(12, 2<<20)
	if err := Write(io.Discard, other, int64(len(other)), plan); !errors.Is(err, ErrStale) {
		t.Errorf("%v", err)
	}
}

// ReadBundles does not unpack archives to disk, so a path that leads out of the
// archive does no harm. A bundle is refused if FAT cannot hold its files.
func TestOddArchives(t *testing.T) {
	t.Parallel()
	good := opencoretest.Bundle("A.kext", "A", "a", "1")
	moved := func(prefix string) opencoretest.Tree {
		tree := opencoretest.Tree{}
		for name, data := range good {
			tree[prefix+name] = data
		}
		return tree
	}
	with := func(names ...string) opencoretest.Tree {
		tree := maps.Clone(good)
		for _, name := range names {
			tree["A.kext/Contents/"+name] = []byte("x")
		}
		return tree
	}
	for name, test := range map[string]struct {
		tree    opencoretest.Tree
		refused string
	}{
		"out.zip":       {moved("../../../etc/"), ""},
		"root.zip":      {moved("/"), ""},
		"litter.zip":    {with(".DS_Store", "._Info.plist", "Icon\r"), ""},
		"colon.zip":     {with("a:b"), `FAT holds no file of the name "a:b"`},
		"dot.zip":       {with("dir./x"), `FAT holds no file of the name "dir."`},
		"long.zip":      {with(strings.Repeat("n", 256)), "FAT holds no file"},
		"case.zip":      {with("read.txt", "READ.TXT"), "are the same file for FAT"},
		"nested.zip":    {opencoretest.Tree{"A.zip": []byte("PK\x03\x04")}, "no folder in it ends in .kext"},
		"recursive.zip": {moved("A.kext/Contents/PlugIns/"), "no Contents/Info.plist"},
	} {
		file := filepath.Join(t.TempDir(), name)
		pack(t, file, test.tree)
		bundles, err := ReadBundles(file)
		if test.refused != "" {
			if !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || len(bundles) != 1 || bundles[0].Path != "A.kext" || !slices.Equal(slices.Sorted(maps.Keys(bundles[0].files)), []string{"A.kext/Contents/Info.plist", "A.kext/Contents/MacOS/A"}) {
			t.Errorf("%s: %+v, %v", name, bundles, err)
		}
	}
}

// The text of a plan shows only the beginning of a long value.
func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	image := imageWith(t, map[string]Value{"PlatformInfo/Generic/SystemProductName": TextValue(strings.Repeat("é", 5000))})
	plan, err := Configure(image, onDisplay(), nil)
	if err != nil || len(plan.String()) > 8000 || !strings.Contains(plan.String(), "... (10000 bytes) -> iMac19,1") {
		t.Errorf("%v\n%s", err, plan)
	}
}

// The image is damaged at one place. If Write still makes a copy, the copy's
// file system must be sound, and all files that the plan does not change must
// be as in the image.
func FuzzWrite(f *testing.F) {
	tree := opencoretest.New(opencoretest.Config)
	base := tree.FAT(12, 1<<20)
	kexts := bytes.Index(base, []byte("LILU~1  "))
	f.Add(uint32(0), []byte{})
	f.Add(uint32(512+3), []byte{0xFF, 0x0F})       // the allocation table
	f.Add(uint32(kexts-32), []byte{0})             // an end mark before the entries of the bundles
	f.Add(uint32(kexts+26), []byte{0, 0, 0, 0})    // a bundle without clusters
	f.Add(uint32(kexts+64+26), []byte{2, 0})       // a bundle that is the root's first directory
	f.Add(uint32(kexts), []byte("LILU~1  \xE5 x")) // another name and other attributes
	given := Bundle{Kext: Kext{Path: "Lilu.kext", ID: lilu, Version: "1.7.2", Executable: "Contents/MacOS/Lilu"}, files: opencoretest.Bundle("Lilu.kext", "Lilu", lilu, "1.7.2")}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		raw := bytes.Clone(base)
		copy(raw[int(at)%len(raw):], patch)
		image, err := Read(opencoretest.Memory(raw), int64(len(raw)))
		if err != nil {
			return
		}
		plan, err := Configure(image, onDisplay(), &Options{Bundles: []Bundle{given}})
		if err != nil {
			return
		}
		var out bytes.Buffer
		if Write(&out, opencoretest.Memory(raw), int64(len(raw)), plan) != nil {
			return
		}
		before, err := fat.Open(opencoretest.Memory(raw), image.Layout.Start, image.Layout.Size)
		if err != nil {
			t.Fatal(err)
		}
		after, err := fat.Open(opencoretest.Memory(out.Bytes()), image.Layout.Start, image.Layout.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := after.Check(); err != nil {
			t.Error(err)
		}
		for name := range tree {
			have, haveErr := after.ReadFile(name, maxEFI)
			want, wantErr := before.ReadFile(name, maxEFI)
			if name != configFile && !strings.HasPrefix(name, "EFI/OC/Kexts/Lilu.kext/") && (!bytes.Equal(have, want) || (haveErr == nil) != (wantErr == nil)) {
				t.Errorf("%s: %d bytes (%v), want %d (%v)", name, len(have), haveErr, len(want), wantErr)
			}
		}
	})
}
