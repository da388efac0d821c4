package opencore

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/fat"
	"github.com/proxstation/proxstation/internal/opencoretest"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// identityOfATest is an identity that belongs to nobody. Its numbers only have
// the form of Apple's numbers.
var identityOfATest = Identity{Serial: proxstation.NewSecret("C02XW0AAJV3Q"), Board: proxstation.NewSecret("C02902304GULNV9A1"),
	UUID: proxstation.NewSecret("5A2C0B8E-93B1-4E2A-9E1F-0C4D8F7A6B51"), ROM: proxstation.NewSecret("BC:24:11:00:00:01")}

// The plans for the usual machines must equal the recorded plans in testdata.
func TestGoldenPlans(t *testing.T) {
	t.Parallel()
	tahoe := func(m Machine) Machine {
		m.Release = gpu.MacOSTahoe
		return m
	}
	for name, machine := range map[string]Machine{"uhd630-i440fx": onDisplay(), "uhd630-q35-headless": headless(), "rx6600-q35": onRX6600(), "no-card-q35": withoutCard(),
		"uhd630-i440fx-tahoe": tahoe(onDisplay()), "uhd630-q35-headless-tahoe": tahoe(headless()), "rx6600-q35-tahoe": tahoe(onRX6600())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := testDisk(t)
			plan := planOf(t, disk, machine, nil)
			golden := filepath.Join("testdata", "plan-"+name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(plan.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || plan.String() != string(want) {
				t.Errorf("%v; the plan is\n%s", err, plan)
			}
			if again := planOf(t, written(t, disk, plan), machine, nil); !again.Empty() {
				t.Errorf("the copy is not as it should be:\n%s", again)
			}
		})
	}
}

func planOf(t *testing.T, disk opencoretest.Memory, machine Machine, o *Options) Plan {
	t.Helper()
	image, err := Read(disk, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Configure(image, machine, o)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func written(t *testing.T, disk opencoretest.Memory, plan Plan) opencoretest.Memory {
	t.Helper()
	before := bytes.Clone(disk)
	var b bytes.Buffer
	if err := Write(&b, disk, int64(len(disk)), plan); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, disk) {
		t.Fatal("the image itself was changed")
	}
	return b.Bytes()
}

// A copy must differ from its image only as planned. No other file, no other
// key, and no other byte in the lines of config.plist may change.
func TestWriteChangesWhatIsPlannedAndNothingElse(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	for name, disk := range map[string]opencoretest.Memory{"FAT12": tree.FAT(12, 2<<20), "GPT": tree.GPT(32, 48<<20), "GPT of 4096": tree.GPTOf(4096, 16, 20<<20), "ISO": tree.ISO(16 << 20), "gzip": tree.MBR(16, 20<<20).Gzip()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := planOf(t, disk, onDisplay(), &Options{Identity: identityOfATest})
			after := written(t, disk, plan)
			image, err := Read(after, int64(len(after)))
			if err != nil {
				t.Fatal(err)
			}
			want := decoded(t, []byte(opencoretest.Config))
			for _, c := range plan.Changes {
				put(want, c.Change)
			}
			if have := decoded(t, image.ConfigText); !reflect.DeepEqual(have, want) {
				t.Error("another library finds other changes than the planned ones")
			}
			gone := missing(opencoretest.Config, string(image.ConfigText))
			if want := []string{"</data>", "<data>", "<string>00000000-0000-0000-0000-000000000000</string>", "<string>M0000000000000001</string>", "<string>W00000000001</string>",
				"<string>iMacPro1,1</string>", "ESIzRFVm"}; !slices.Equal(gone, want) {
				t.Errorf("the lines that are gone are %q", gone)
			}
			others(t, after, image, tree)
		})
	}
}

// Returns the lines that are in before but not in after, sorted.
func missing(before, after string) []string {
	count := map[string]int{}
	for line := range strings.SplitSeq(after, "\n") {
		count[line]++
	}
	var gone []string
	for line := range strings.SplitSeq(before, "\n") {
		if count[line]--; count[line] < 0 {
			gone = append(gone, strings.TrimSpace(line))
		}
	}
	slices.Sort(gone)
	return gone
}

// Checks that all files except config.plist are as in the image. Both this
// package and mtools read the files, and fsck checks the file system.
func others(t *testing.T, disk opencoretest.Memory, image Image, tree opencoretest.Tree) {
	t.Helper()
	v, err := fat.Open(disk, image.Layout.Start, image.Layout.Size)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(name, disk[image.Layout.Start:], 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range tree {
		if path == configFile {
			want = image.ConfigText
		}
		if have, err := v.ReadFile(path, maxEFI); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s: %d bytes, want %d (%v)", path, len(have), len(want), err)
		}
		if mtype, err := exec.LookPath("mtype"); err == nil {
			if have, err := exec.CommandContext(t.Context(), mtype, "-i", name, "::"+path).Output(); err != nil || !bytes.Equal(have, want) {
				t.Errorf("mtools reads %d bytes of %s, want %d (%v)", len(have), path, len(want), err)
			}
		}
	}
	if fsck, err := exec.LookPath("/usr/sbin/fsck.fat"); err == nil && image.Layout.Table != "gpt" { // with a GPT, fsck would take the second partition for a part of the file system
		if said, err := exec.CommandContext(t.Context(), fsck, "-n", name).CombinedOutput(); err != nil {
			t.Errorf("fsck: %v\n%s", err, said)
		}
	}
}

// Configure takes kernel extensions from a folder or from a release's archive.
// They replace the image's extensions.
func TestBundles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir, opencoretest.Bundle("Lilu.kext", "Lilu", lilu, "1.7.2"))
	archive := filepath.Join(dir, "NootRX.zip")
	pack(t, archive, opencoretest.Bundle("Release/NootRX.kext", "NootRX", nootRX, "1.0.0"), opencoretest.Bundle("Release/NootRX.kext/Contents/PlugIns/Inner.kext", "Inner", "inner", "1"),
		opencoretest.Tree{"Release/NootRX.dSYM/Contents/Info.plist": []byte("x"), "README.md": nil})
	var bundles []Bundle
	for _, name := range []string{filepath.Join(dir, "Lilu.kext"), archive} {
		list, err := ReadBundles(name)
		if err != nil {
			t.Fatal(err)
		}
		bundles = append(bundles, list...)
	}
	if len(bundles) != 2 || bundles[0].Version != "1.7.2" || bundles[1].Path != "NootRX.kext" || len(bundles[1].Inside) != 1 || bundles[1].Inside[0].Path != "NootRX.kext/Contents/PlugIns/Inner.kext" {
		t.Fatalf("%+v", bundles)
	}
	navi22 := onRX6600()
	navi22.Card = cardAt("0000:03:00.0", 0x1002, 0x73df)
	tree := opencoretest.New(strings.Replace(opencoretest.Config, "Lilu.kext", "Nothing.kext", 1))
	disk := tree.FAT(16, 16<<20)
	plan := planOf(t, disk, navi22, &Options{Bundles: bundles})
	if err := plan.Err(); err != nil {
		t.Errorf("%v\n%s", err, plan)
	}
	after := written(t, disk, plan)
	image, err := Read(after, int64(len(after)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for _, item := range image.Config.Get("Kernel", "Add").Items {
		if item.Value.Get("Enabled").True() {
			entries = append(entries, item.Value.Get("BundlePath").Text)
		}
	}
	slices.Sort(entries[1:])
	if want := []string{"Lilu.kext", "NootRX.kext", "NootRX.kext/Contents/PlugIns/Inner.kext"}; !slices.Equal(entries, want) {
		t.Errorf("loaded are %q\n%s", entries, plan)
	}
	for _, k := range image.Kexts {
		if k.Path == "Lilu.kext" && k.Version != "1.7.2" || k.Problem != "" {
			t.Errorf("%+v", k)
		}
	}
}

func save(t *testing.T, dir string, trees ...opencoretest.Tree) {
	t.Helper()
	for _, tree := range trees {
		for name, data := range tree {
			name = filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func pack(t *testing.T, name string, trees ...opencoretest.Tree) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, tree := range trees {
		for _, path := range slices.Sorted(maps.Keys(tree)) {
			f, err := w.Create(path)
			if err == nil {
				_, err = f.Write(tree[path])
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestReadBundlesRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := opencoretest.Bundle("A.kext", "A", "a", "1")
	with := func(path string, data []byte) opencoretest.Tree {
		tree := maps.Clone(good)
		tree[path] = data
		return tree
	}
	many := maps.Clone(good)
	for i := range maxBundleFiles {
		many[fmt.Sprintf("A.kext/Contents/Resources/%d", i)] = nil
	}
	for name, test := range map[string]struct {
		tree opencoretest.Tree
		want string
	}{
		"empty.zip":   {opencoretest.Tree{"README.md": nil}, "no folder in it ends in .kext"},
		"info.zip":    {opencoretest.Tree{"A.kext/Contents/MacOS/A": nil}, "no Contents/Info.plist"},
		"program.zip": {with("A.kext/Contents/MacOS/A", nil), "missing or empty"},
		"linux.zip":   {with("A.kext/Contents/MacOS/A", []byte("\x7fELF............................")), "not a macOS program"},
		"arm.zip":     {with("A.kext/Contents/MacOS/A", append([]byte{0xCF, 0xFA, 0xED, 0xFE, 12, 0, 0, 1}, make([]byte, 100)...)), "not a macOS program"},
		"id.zip":      {with("A.kext/Contents/Info.plist", []byte("<plist><dict/></plist>")), "CFBundleIdentifier"},
		"many.zip":    {many, "2000 files"},
	} {
		pack(t, filepath.Join(dir, name), test.tree)
		_, err := ReadBundles(filepath.Join(dir, name))
		var typed *BundleError
		if !errors.Is(err, ErrBundle) || !errors.As(err, &typed) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := ReadBundles(dir); !errors.Is(err, ErrBundle) {
		t.Errorf("a folder that is no bundle: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.dmg"), []byte("koly"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBundles(filepath.Join(dir, "x.dmg")); !errors.Is(err, ErrBundle) {
		t.Errorf("another file: %v", err)
	}
	if _, err := ReadBundles(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	random := bytes.Repeat([]byte{1, 77, 130, 251}, 32)
	made, err := MakeIdentity("iMac19,1", "BC:24:11:00:00:01", bytes.NewReader(random))
	if err != nil {
		t.Fatal(err)
	}
	disk := testDisk(t)
	plan := planOf(t, disk, onDisplay(), &Options{MakeUp: bytes.NewReader(random)})
	after := written(t, disk, plan)
	image, err := Read(after, int64(len(after)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"SystemSerialNumber": made.Serial.Reveal(), "MLB": made.Board.Reveal(), "SystemUUID": made.UUID.Reveal(), "ROM": "BC2411000001"} {
		if have := image.Config.Get("PlatformInfo", "Generic", name).Text; have != want {
			t.Errorf("%s is %s, want %s", name, have, want)
		}
	}
	for _, f := range plan.Findings {
		if f.ID == "opencore.identity" || f.ID == "opencore.rom" || f.ID == "opencore.network-built-in" {
			t.Errorf("%s", f)
		}
	}
	raw, err := json.Marshal(plan)
	for _, text := range []string{plan.String(), fmt.Sprintf("%+v %v %#v", plan, plan.Changes, plan), string(raw)} {
		for _, secret := range []string{made.Serial.Reveal(), made.Board.Reveal(), made.UUID.Reveal(), "BC2411000001", "W00000000001"} {
			if err != nil || strings.Contains(text, secret) {
				t.Errorf("a plan shows %s (%v):\n%s", secret, err, text)
			}
		}
	}
	if !strings.Contains(plan.String(), "The identity is made up") || strings.Contains(planOf(t, disk, onDisplay(), nil).String(), "made up.") {
		t.Errorf("the plan does not say what is made up:\n%s", plan)
	}
}

func TestMakeIdentity(t *testing.T) {
	t.Parallel()
	for model := range codes {
		seed := []byte(model)
		i, err := MakeIdentity(model, "", bytes.NewReader(bytes.Repeat(seed, 64)))
		values, formErr := i.values()
		if err != nil || formErr != nil || len(values) != 4 || !strings.HasSuffix(i.Serial.Reveal(), codes[model].model) {
			t.Errorf("%s: %v, %v", model, err, formErr)
		}
		if _, known := macs[model]; !known {
			t.Errorf("%s is not a Mac", model)
		}
		sum := 0
		for at, c := range i.Board.Reveal() {
			sum += []int{1, 3}[at%2] * strings.IndexRune(digits34, c)
		}
		if sum%34 != 0 || len(i.Board.Reveal()) != 17 {
			t.Errorf("%s: the board's check digit is wrong", model)
		}
	}
	if _, err := MakeIdentity("PC", "", bytes.NewReader(make([]byte, 64))); !errors.Is(err, ErrIdentity) {
		t.Errorf("no Mac: %v", err)
	}
	if _, err := MakeIdentity("iMac19,1", "", strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no random numbers: %v", err)
	}
}

func TestIdentityRefuses(t *testing.T) {
	t.Parallel()
	image := imageWith(t, nil)
	for name, i := range map[string]Identity{
		"a short serial number": {Serial: proxstation.NewSecret("C02")}, "everybody's": {Serial: proxstation.NewSecret("W00000000001")},
		"a board's": {Board: proxstation.NewSecret("not one")}, "a UUID": {UUID: proxstation.NewSecret("1-2-3")}, "an address": {ROM: proxstation.NewSecret("xx:yy")}, "half an address": {ROM: proxstation.NewSecret("BC:24:11")},
	} {
		_, err := Configure(image, onDisplay(), &Options{Identity: i})
		var typed *IdentityError
		if !errors.Is(err, ErrIdentity) || !errors.As(err, &typed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	disk := testDisk(t)
	plan := planOf(t, disk, onDisplay(), nil)
	other := opencoretest.New(strings.Replace(opencoretest.Config, "iMacPro1,1", "iMac19,2", 1)).FAT(12, 2<<20)
	if err := Write(io.Discard, other, int64(len(other)), plan); !errors.Is(err, ErrStale) {
		t.Errorf("another image: %v", err)
	}
	if err := Write(io.Discard, disk[:100], 100, plan); !errors.Is(err, ErrImage) {
		t.Errorf("a part of the image: %v", err)
	}
	full := plan
	full.Bundles = []Bundle{{Kext: Kext{Path: "Large.kext"}, files: map[string][]byte{"Large.kext/x": make([]byte, 3<<20)}}}
	if err := Write(io.Discard, disk, int64(len(disk)), full); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "larger image") {
		t.Errorf("a full image: %v", err)
	}
	tampered := plan
	tampered.Changes = plan.Changes[1:]
	if err := Write(io.Discard, disk, int64(len(disk)), tampered); !errors.Is(err, ErrConfig) {
		t.Errorf("a plan with a change less: %v", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := filepath.Join(dir, "OpenCore v21.iso.gz")
	image := testDisk(t).Gzip()
	if err := os.WriteFile(from, image, 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanFile(from, headless(), nil)
	if err != nil {
		t.Fatal(err)
	}
	name := CopyName(from, plan)
	if !strings.HasPrefix(name, "OpenCore-v21-") || !strings.HasSuffix(name, ".raw") || name == CopyName(from, planOf(t, testDisk(t), onDisplay(), nil)) {
		t.Errorf("the copy is called %s", name)
	}
	to := filepath.Join(dir, name)
	if err := WriteFile(from, to, plan); err != nil {
		t.Fatal(err)
	}
	again, err := PlanFile(to, headless(), nil)
	if err != nil || !again.Empty() {
		t.Errorf("%v; the copy wants\n%s", err, again)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 2<<20 {
		t.Errorf("%v, %v", info, err)
	}
	if kept, err := os.ReadFile(from); err != nil || !bytes.Equal(kept, image) {
		t.Error("the image is another")
	}
	if err := WriteFile(from, to, plan); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	if err := WriteFile(to, filepath.Join(dir, "stale"), plan); !errors.Is(err, ErrStale) {
		t.Errorf("a copy of the copy: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "stale")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a part of an image was left")
	}
	for _, err := range []error{second(PlanFile(filepath.Join(dir, "none"), headless(), nil)), WriteFile(filepath.Join(dir, "none"), filepath.Join(dir, "x"), plan)} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no image: %v", err)
		}
	}
}

func second(_ Plan, err error) error { return err }

// If the plan keeps a serial number that belongs to another model, it has a
// note about this.
func TestSerialOfAnotherModel(t *testing.T) {
	t.Parallel()
	image := imageWith(t, map[string]Value{"PlatformInfo/Generic/SystemSerialNumber": TextValue("C02XW0AAHX87")})
	plan, err := Configure(image, onDisplay(), nil)
	if err != nil || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], "stays") {
		t.Errorf("%q, %v", plan.Notes, err)
	}
	if plan, err = Configure(image, onDisplay(), &Options{Identity: identityOfATest}); err != nil || len(plan.Notes) != 0 {
		t.Errorf("with an identity: %q, %v", plan.Notes, err)
	}
}

// If the finding about a boot argument has only the severity Info, the plan
// does not remove the argument.
func TestArgumentsStay(t *testing.T) {
	t.Parallel()
	image := imageWith(t, map[string]Value{args: TextValue("-v amfi_get_out_of_my_way=1 -radvesa")})
	plan, err := Configure(image, onRX6600(), nil)
	if err != nil || !strings.Contains(plan.String(), "boot-args: -v amfi_get_out_of_my_way=1 -radvesa -> -v amfi_get_out_of_my_way=1 agdpmod=pikera") {
		t.Errorf("%v\n%s", err, plan)
	}
}

// The plan changes nothing for findings in Leave.
func TestLeave(t *testing.T) {
	t.Parallel()
	plan := planOf(t, testDisk(t), onDisplay(), &Options{Leave: []string{"opencore.model"}})
	if strings.Contains(plan.String(), "iMacPro1,1 -> ") || !strings.Contains(plan.String(), "warning: OpenCore for macOS Sequoia (opencore.model)") {
		t.Errorf("the model is changed:\n%s", plan)
	}
}

// The boot arguments may be data instead of a string. Judge then reads the
// bytes as characters, and the plan writes the arguments as a string.
func TestArgumentsAsData(t *testing.T) {
	t.Parallel()
	image := imageWith(t, map[string]Value{args: DataValue([]byte("keepsyms=1 -radvesa\x00"))})
	plan, err := Configure(image, onRX6600(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if root, _, err := parse(plan.after); err != nil || root.Get(bootArgs...).Text != "keepsyms=1 agdpmod=pikera" {
		t.Errorf("%v\n%s", err, plan)
	}
}

// Configure switches on all extensions from the caller whose entries are off,
// however many there are.
func TestGivenBundlesAreOn(t *testing.T) {
	t.Parallel()
	dir, image := t.TempDir(), imageWith(t, map[string]Value{"Kernel/Quirks/ProvideCurrentCpuInfo": BoolValue(false)})
	var bundles []Bundle
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		save(t, dir, opencoretest.Bundle(name+".kext", name, "id."+name, "1"))
		list, err := ReadBundles(filepath.Join(dir, name+".kext"))
		if err != nil {
			t.Fatal(err)
		}
		bundles = append(bundles, list...)
		entry := entryFor(list[0].Kext)
		for i, item := range entry.Items {
			if item.Key == "Enabled" {
				entry.Items[i].Value = BoolValue(false)
			}
		}
		number := strconv.Itoa(len(image.Config.Get("Kernel", "Add").Items))
		if image.ConfigText, err = edit(image.ConfigText, Change{Key: Key{"Kernel", "Add", number}, Want: entry}); err != nil {
			t.Fatal(err)
		}
		if image.Config, _, err = parse(image.ConfigText); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := Configure(image, withoutCard(), &Options{Bundles: bundles})
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := parse(plan.after)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range root.Get("Kernel", "Add").Items {
		if path := item.Value.Get("BundlePath").Text; len(path) == len("A.kext") && !item.Value.Get("Enabled").True() {
			t.Errorf("%s is off\n%s", path, plan)
		}
	}
}

// A bundle from the caller replaces the image's folder at the same path. No
// file of the old bundle stays, the entries of old plug-ins are switched off,
// and OpenCore loads the new program.
func TestGivenBundleReplacesTheFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir, opencoretest.Bundle("lilu.kext", "LiluTwo", lilu, "1.7.2"), opencoretest.Bundle("lilu.kext/Contents/PlugIns/Kept.kext", "Kept", "kept", "2"))
	bundles, err := ReadBundles(filepath.Join(dir, "lilu.kext"))
	if err != nil {
		t.Fatal(err)
	}
	tree := opencoretest.New(opencoretest.Config)
	tree["EFI/OC/Kexts/Lilu.kext/Contents/Resources/old.txt"] = []byte("old")
	tree.Kext("Lilu.kext/Contents/PlugIns/Kept.kext", "kept", "1")
	tree.Kext("Lilu.kext/Contents/PlugIns/Gone.kext", "gone", "1")
	for i, name := range []string{"Lilu.kext/Contents/PlugIns/Kept.kext", "Lilu.kext/Contents/PlugIns/Gone.kext"} {
		root, _, err := parse(tree[configFile])
		if err != nil {
			t.Fatal(err)
		}
		entry := entryFor(Kext{Path: name, Executable: "Contents/MacOS/" + []string{"Kept", "Gone"}[i]})
		if tree[configFile], err = edit(tree[configFile], Change{Key: Key{"Kernel", "Add", strconv.Itoa(len(root.Get("Kernel", "Add").Items))}, Want: entry}); err != nil {
			t.Fatal(err)
		}
	}
	disk := tree.GPT(16, 20<<20)
	plan := planOf(t, disk, onDisplay(), &Options{Bundles: bundles})
	var paths []string
	for _, k := range plan.Replaced {
		paths = append(paths, k.Path+" "+k.Version)
	}
	if want := []string{"Lilu.kext 1.7.1", "Lilu.kext/Contents/PlugIns/Gone.kext 1", "Lilu.kext/Contents/PlugIns/Kept.kext 1"}; !slices.Equal(paths, want) {
		t.Errorf("replaced are %q", paths)
	}
	for _, want := range []string{"- EFI/OC/Kexts/Lilu.kext  as.vit9696.Lilu 1.7.1  # The whole folder is removed", "+ EFI/OC/Kexts/lilu.kext  as.vit9696.Lilu 1.7.2",
		"ExecutablePath: Contents/MacOS/Lilu -> Contents/MacOS/LiluTwo"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	after := written(t, disk, plan)
	image, err := Read(after, int64(len(after)))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(tree, func(name string, _ []byte) bool { return strings.HasPrefix(name, "EFI/OC/Kexts/Lilu.kext/") })
	for name, data := range bundles[0].files {
		tree["EFI/OC/Kexts/"+name] = data
	}
	others(t, after, image, tree)
	on := map[string]bool{}
	for _, item := range image.Config.Get("Kernel", "Add").Items {
		on[strings.ToLower(item.Value.Get("BundlePath").Text)] = item.Value.Get("Enabled").True()
	}
	if !on["lilu.kext"] || !on["lilu.kext/contents/plugins/kept.kext"] || on["lilu.kext/contents/plugins/gone.kext"] {
		t.Errorf("%v\n%s", on, plan)
	}
	v, err := fat.Open(after, image.Layout.Start, image.Layout.Size)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := v.List("EFI/OC/Kexts/LILU.KEXT/Contents"); err != nil || len(list) != 5 { // with "." and ".."
		t.Errorf("%+v, %v", list, err)
	}
	again := planOf(t, after, onDisplay(), &Options{Bundles: bundles})
	if len(again.Changes) != 0 || again.Err() != nil {
		t.Errorf("the copy is not as it should be:\n%s", again)
	}
	if err := Write(io.Discard, after, int64(len(after)), plan); !errors.Is(err, ErrStale) {
		t.Errorf("the plan of another image: %v", err)
	}
	again.Replaced = again.Replaced[:1] // the image then has a plug-in that the plan does not know
	if err := Write(io.Discard, after, int64(len(after)), again); !errors.Is(err, ErrStale) {
		t.Errorf("the plan of other kernel extensions: %v", err)
	}
}

// If the caller gives two extensions with one identifier or one path, Configure
// returns an error with both names and no plan.
func TestSameBundles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir, opencoretest.Bundle("a/Lilu.kext", "Lilu", lilu, "1.7.1"), opencoretest.Bundle("b/LILU.kext", "Other", "other", "1"),
		opencoretest.Bundle("Host.kext", "Host", "host", "1"), opencoretest.Bundle("Host.kext/Contents/PlugIns/Inner.kext", "Inner", "inner", "1"), opencoretest.Bundle("Inner.kext", "Inner", "INNER", "2"))
	pack(t, filepath.Join(dir, "Lilu.zip"), opencoretest.Bundle("Release/Mine.kext", "Mine", "AS.vit9696.lilu", "1.7.2"))
	pack(t, filepath.Join(dir, "both.zip"), opencoretest.Bundle("Debug/X.kext", "X", "x", "1"), opencoretest.Bundle("Release/Y.kext", "Y", "x", "1"))
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, test := range []struct{ given, want []string }{
		{[]string{"a/Lilu.kext", "Lilu.zip"}, []string{in("a/Lilu.kext"), in("Lilu.zip/Release/Mine.kext"), "AS.vit9696.lilu"}},
		{[]string{"both.zip"}, []string{in("both.zip/Debug/X.kext"), in("both.zip/Release/Y.kext"), "x"}},
		{[]string{"a/Lilu.kext", "b/LILU.kext"}, []string{in("a/Lilu.kext"), in("b/LILU.kext"), "EFI/OC/Kexts/LILU.kext"}},
		{[]string{"Host.kext", "Inner.kext"}, []string{in("Host.kext/Contents/PlugIns/Inner.kext"), in("Inner.kext"), "INNER"}},
		{[]string{"a/Lilu.kext", "Inner.kext"}, nil},
	} {
		var bundles []Bundle
		for _, name := range test.given {
			list, err := ReadBundles(in(name))
			if err != nil {
				t.Fatal(err)
			}
			bundles = append(bundles, list...)
		}
		plan, err := Configure(imageWith(t, nil), onDisplay(), &Options{Bundles: bundles})
		same, ok := errors.AsType[*SameBundleError](err)
		if test.want == nil {
			if err != nil {
				t.Errorf("%q: %v", test.given, err)
			}
			continue
		}
		if !ok || !errors.Is(err, ErrSameBundle) || !slices.Equal([]string{same.First, same.Second, same.Same}, test.want) || !strings.Contains(err.Error(), "both "+test.want[2]) || !plan.Empty() {
			t.Errorf("%q: %v, want %q", test.given, err, test.want)
		}
	}
}

// An extension from the caller replaces the image's extension that has the same
// identifier at another path.
func TestGivenBundleReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	save(t, dir, opencoretest.Bundle("New.kext", "Lilu", lilu, "1.7.2"))
	bundles, err := ReadBundles(filepath.Join(dir, "New.kext"))
	if err != nil {
		t.Fatal(err)
	}
	image := withKexts(imageWith(t, nil), map[string]string{"Lilu.kext": "1.5.0"})
	plan, err := Configure(image, onDisplay(), &Options{Bundles: bundles})
	if err != nil || plan.Err() != nil {
		t.Errorf("%v, %v\n%s", err, plan.Err(), plan)
	}
	root, _, err := parse(plan.after)
	if err != nil {
		t.Fatal(err)
	}
	again := image
	again.ConfigText, again.Config, again.Kexts = plan.after, root, append(slices.Clone(image.Kexts), bundles[0].Kext)
	if twice, err := Configure(again, onDisplay(), nil); err != nil || len(twice.Changes) != 0 || twice.Err() != nil {
		t.Errorf("the copy is not as it is wanted: %v\n%s", err, twice)
	}
	on := map[string]bool{}
	for _, item := range root.Get("Kernel", "Add").Items {
		on[item.Value.Get("BundlePath").Text] = item.Value.Get("Enabled").True()
	}
	if !on["New.kext"] || on["Lilu.kext"] || !on["WhateverGreen.kext"] {
		t.Errorf("%v\n%s", on, plan)
	}
}
