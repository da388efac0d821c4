package opencore

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/opencoretest"
)

// layouts returns images with the layouts that the projects publish, at smaller
// sizes.
func layouts(tree opencoretest.Tree) map[string]opencoretest.Memory {
	gpt, cd := tree.GPT(16, 20<<20), tree.ISO(16<<20)
	return map[string]opencoretest.Memory{
		"FAT12 without a partition table":                              tree.FAT(12, 2<<20), // as OpenCore-ISO's BOOT.img
		"FAT16 without a partition table":                              tree.FAT(16, 16<<20),
		"FAT32 without a partition table":                              tree.FAT(32, 40<<20),
		"FAT16 in partition 1 of GPT":                                  gpt,                  // as OSX-PROXMOX and OSX-KVM
		"FAT32 in partition 1 of GPT":                                  tree.GPT(32, 48<<20), // as KVM-Opencore and osx-proxmox-next
		"FAT16 in partition 1 of GPT with sectors of 4096 bytes":       tree.GPTOf(4096, 16, 20<<20),
		"FAT16 in partition 1 of MBR":                                  tree.MBR(16, 20<<20),
		"FAT16 inside of a CD image (El Torito)":                       cd, // as OpenCore-ISO
		"FAT16 in partition 1 of GPT, compressed with gzip":            gpt.Gzip(),
		"FAT16 inside of a CD image (El Torito), compressed with gzip": cd.Gzip(),
	}
}

func TestReadsEveryLayout(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	tree.Kext("VoodooPS2Controller.kext", "as.acidanthera.voodoo.driver.PS2Controller", "2.3.7")
	tree.Kext("VoodooPS2Controller.kext/Contents/PlugIns/VoodooPS2Keyboard.kext", "as.acidanthera.voodoo.driver.PS2Keyboard", "2.3.7")
	for name, file := range layouts(tree) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, err := Read(file, int64(len(file)))
			if err != nil {
				t.Fatal(err)
			}
			if image.Layout.String() != name || image.Version != (Version{1, 0, 5}) || image.Vault != proxstation.No {
				t.Errorf("%s, OpenCore %s, vault %s", image.Layout, image.Version, image.Vault)
			}
			if string(image.ConfigText) != opencoretest.Config || image.Config.Get("PlatformInfo", "Generic", "SystemProductName").Text != "iMacPro1,1" {
				t.Error("another config.plist")
			}
			var kexts []string
			for _, k := range image.Kexts {
				kexts = append(kexts, k.Path+" "+k.ID+" "+k.Version+k.Problem)
			}
			if want := []string{"Lilu.kext as.vit9696.Lilu 1.7.1", "VirtualSMC.kext as.vit9696.VirtualSMC 1.3.7",
				"VoodooPS2Controller.kext as.acidanthera.voodoo.driver.PS2Controller 2.3.7",
				"VoodooPS2Controller.kext/Contents/PlugIns/VoodooPS2Keyboard.kext as.acidanthera.voodoo.driver.PS2Keyboard 2.3.7",
				"WhateverGreen.kext as.vit9696.WhateverGreen 1.7.0"}; !slices.Equal(kexts, want) {
				t.Errorf("kexts %q", kexts)
			}
			if len(image.Drivers) != 2 || image.Drivers[0].Name != "OpenHfsPlus.efi" || !image.Drivers[0].Enabled || len(image.Drivers[0].SHA256) != 64 || !slices.Equal(image.ACPI, []string{"SSDT-EC.aml"}) {
				t.Errorf("drivers %+v, ACPI %q", image.Drivers, image.ACPI)
			}
			if image.Layout.Container == "raw" {
				byMtools(t, file, image)
			}
		})
	}
}

// byMtools checks that Read found config.plist at the right place: mtools must
// find the same file there.
func byMtools(t *testing.T, file opencoretest.Memory, image Image) {
	t.Helper()
	mtype, err := exec.LookPath("mtype")
	if err != nil {
		if os.Getenv("PROXSTATION_LAB") == "required" {
			t.Fatal(err)
		}
		t.Log(err)
		return
	}
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), mtype, "-i", name+"@@"+strconv.FormatInt(image.Layout.Start, 10), "::EFI/OC/config.plist").Output()
	if err != nil || !bytes.Equal(out, image.ConfigText) {
		t.Errorf("mtools reads %d bytes of %d (%v)", len(out), len(image.ConfigText), err)
	}
	sgdisk, err := exec.LookPath("/usr/sbin/sgdisk")
	if image.Layout.Sector != 512 || err != nil { // sgdisk assumes that a file has sectors of 512 bytes
		return
	}
	if said, err := exec.CommandContext(t.Context(), sgdisk, "-v", name).CombinedOutput(); err != nil || !strings.Contains(string(said), "No problems found") {
		t.Errorf("sgdisk: %v\n%s", err, said)
	}
}

// If a file is not an OpenCore image, the error of Read says what the file is.
func TestReadSaysWhatItFound(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	without := func(names ...string) opencoretest.Memory {
		other := opencoretest.New(opencoretest.Config)
		for _, name := range names {
			delete(other, name)
		}
		return other.FAT(12, 2<<20)
	}
	zeros := make(opencoretest.Memory, 1<<20)
	udif := append(bytes.Clone(zeros), append([]byte("koly"), make([]byte, 508)...)...)
	cut := tree.FAT(12, 2<<20).Gzip()
	cd := make(opencoretest.Memory, 1<<16)
	copy(cd[16*2048+1:], "CD001")
	for name, test := range map[string]struct {
		file   opencoretest.Memory
		wanted []string
	}{
		"nothing":       {nil, []string{"a file of 0 bytes", "too short"}},
		"zeros":         {zeros, []string{"the image is a file without a partition table (", "no folder EFI/OC"}},
		"qcow2":         {append([]byte("QFI\xfb"), zeros...), []string{"qcow2", "qemu-img convert -O raw"}},
		"zip":           {append([]byte("PK\x03\x04"), zeros...), []string{"zip", "unpack"}},
		"UDIF":          {udif, []string{"Apple disk image", "hdiutil"}},
		"cut off":       {cut[:len(cut)/2], []string{"gzip", "damaged or cut off"}},
		"Clover":        {opencoretest.Tree{"EFI/CLOVER/config.plist": nil}.FAT(12, 2<<20), []string{"Clover", "OpenCore only"}},
		"another disk":  {opencoretest.Tree{"EFI/Microsoft/Boot/bootmgfw.efi": nil}.GPT(16, 20<<20), []string{"FAT16", "EFI/Microsoft", "no folder EFI/OC"}},
		"no program":    {without("EFI/OC/OpenCore.efi"), []string{"FAT12", "OpenCore.efi in EFI/OC cannot be read"}},
		"no config":     {without("EFI/OC/config.plist"), []string{"config.plist in EFI/OC cannot be read"}},
		"a CD of music": {cd, []string{"a CD image that no firmware starts"}},
	} {
		_, err := Read(test.file, int64(len(test.file)))
		var typed *ImageError
		if !errors.Is(err, ErrImage) || !errors.As(err, &typed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range test.wanted {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q in it", name, err, want)
			}
		}
	}
}

func TestReadFromTheBackupOfGPT(t *testing.T) {
	t.Parallel()
	for _, sector := range []int64{512, 4096} {
		disk := opencoretest.New(opencoretest.Config).GPTOf(sector, 16, 20<<20)
		clear(disk[:34*512])
		image, err := Read(disk, int64(len(disk)))
		if err != nil || image.Layout.Table != "gpt" || image.Layout.Damage == "" || image.Layout.Sector != sector {
			t.Errorf("%+v, %v", image.Layout, err)
		}
	}
}

// A partition table may count in sectors that are larger than 512 bytes. The
// sectors of PVE's drives have 512 bytes, so the firmware of a VM does not see
// such a table. The firmware sees a file system that is not in a partition.
func TestLargeSectors(t *testing.T) {
	t.Parallel()
	disk := opencoretest.New(opencoretest.Config).GPTOf(4096, 16, 20<<20)
	image, err := Read(disk, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	blocked := func(image Image, args string) string {
		m := onDisplay()
		m.VM["args"] += args
		for _, f := range Judge(image, m) {
			if f.ID == "opencore.sectors" && f.Severity == proxstation.Blocker {
				return f.Fix
			}
		}
		return ""
	}
	if fix := blocked(image, ""); !strings.Contains(fix, "skip=1048576 count="+strconv.FormatInt(image.Layout.Size, 10)) {
		t.Errorf("the way out is %q", fix)
	}
	if fix := blocked(image, " -global scsi-hd.logical_block_size=4096"); fix != "" {
		t.Errorf("a drive with such sectors: %s", fix)
	}
	alone := disk[image.Layout.Start:][:image.Layout.Size]
	if image, err = Read(alone, int64(len(alone))); err != nil || blocked(image, "") != "" {
		t.Errorf("the file system alone: %v", err)
	}
}

func TestVersionAndVault(t *testing.T) {
	t.Parallel()
	var key [528]byte
	key[7] = 1
	for _, test := range []struct {
		program []byte
		version string
		vault   bool
	}{
		{opencoretest.Program("105", [528]byte{}), "1.0.5", false},
		{opencoretest.Program("093", key), "0.9.3", true},
		{opencoretest.Program("", [528]byte{}), "unknown", false},
		{opencoretest.Program("x05", [528]byte{}), "unknown", false},
		{[]byte("REL-XXX-YYYY-MM-DD"), "unknown", false},
		{nil, "unknown", false},
	} {
		if have := versionOf(test.program); have.String() != test.version || vaulted(test.program) != test.vault {
			t.Errorf("%s, vault %v; want %s, %v", have, vaulted(test.program), test.version, test.vault)
		}
	}
	signed := opencoretest.New(opencoretest.Config)
	signed["EFI/OC/vault.plist"] = []byte("<plist/>")
	disk := signed.FAT(12, 2<<20)
	if image, err := Read(disk, int64(len(disk))); err != nil || image.Vault != proxstation.Yes {
		t.Errorf("vault %s (%v)", image.Vault, err)
	}
}

// Read reports what is wrong with a faulty bundle, and still lists the other
// bundles.
func TestKextsWithProblems(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	tree["EFI/OC/Kexts/Empty.kext/Contents/x"] = nil
	tree["EFI/OC/Kexts/Broken.kext/Contents/Info.plist"] = []byte("<plist><dict>")
	tree["EFI/OC/Kexts/Nameless.kext/Contents/Info.plist"] = []byte("<plist><dict/></plist>")
	tree["EFI/OC/Kexts/Away.kext/Contents/Info.plist"] = []byte("<plist><dict><key>CFBundleIdentifier</key><string>a.b</string><key>CFBundleExecutable</key><string>../x</string></dict></plist>")
	tree.Kext("Hollow.kext", "hollow", "1")
	delete(tree, "EFI/OC/Kexts/Hollow.kext/Contents/MacOS/Hollow")
	disk := tree.FAT(12, 2<<20)
	image, err := Read(disk, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]string{}
	for _, k := range image.Kexts {
		problems[k.Path] = k.Problem
	}
	for name, want := range map[string]string{"Empty.kext": "Info.plist is missing", "Broken.kext": "not a property list", "Nameless.kext": "no CFBundleIdentifier",
		"Away.kext": "is a path", "Hollow.kext": "not exist", "Lilu.kext": ""} {
		if have := problems[name]; !strings.Contains(have, want) || (want == "") != (have == "") {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
}
