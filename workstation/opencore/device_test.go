//go:build unix

package opencore

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/proxstation/proxstation/internal/opencoretest"
)

// volumeOf returns a sparse file that begins with an image. Like a logical
// volume, the file has a size that is a multiple of 4 MiB.
func volumeOf(t *testing.T, image []byte, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "vm-130-disk-1")
	err := os.WriteFile(name, image, 0o600)
	if err == nil {
		err = os.Truncate(name, size)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// An image can be on a disk that is larger than the image. The configured copy
// has the size of the disk. If the image has a GPT, the backup of the GPT is
// then not at the end of the disk.
func TestImageOnALargerDisk(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	for name, image := range map[string][]byte{"GPT": tree.GPT(16, 21<<20), "FAT": tree.FAT(16, 17<<20), "MBR": tree.MBR(16, 21<<20)} {
		from := volumeOf(t, image, 64<<20)
		configured(t, name, from, 64<<20)
	}
}

// Configures a copy of an image for an iGPU, and reads the copy back.
func configured(t *testing.T, name, from string, size int64) {
	t.Helper()
	plan, err := PlanFile(from, onDisplay(), nil)
	if err != nil || plan.Empty() {
		t.Errorf("%s: %v\n%s", name, err, plan)
		return
	}
	to := filepath.Join(t.TempDir(), CopyName(from, plan))
	if err := WriteFile(from, to, plan); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if info, err := os.Stat(to); err != nil || info.Size() != size {
		t.Errorf("%s: the copy is %v, %v", name, info, err)
	}
	if again, err := PlanFile(to, onDisplay(), nil); err != nil || !again.Empty() {
		t.Errorf("%s: %v; the copy wants\n%s", name, err, again)
	}
}

// A block device is read like a file. The device is a loop device over a file.
func TestBlockDevice(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may make a loop device")
	}
	file := volumeOf(t, opencoretest.New(opencoretest.Config).GPT(16, 20<<20), 24<<20)
	out, err := exec.CommandContext(t.Context(), "losetup", "--read-only", "--find", "--show", file).Output()
	if err != nil {
		t.Skipf("no loop device here: %v", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	configured(t, device, device, 24<<20)
}

// A path that is neither a file nor a disk is refused. This also goes for a
// pipe, which is not opened, because opening it would wait for a writer.
func TestNeitherFileNorDisk(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := volumeOf(t, opencoretest.New(opencoretest.Config).GPT(16, 20<<20), maxDisk+512)
	for name, want := range map[string]string{pipe: "neither a file nor a disk", t.TempDir(): "neither a file nor a disk", os.DevNull: "neither a file nor a disk", huge: "8 GiB at most"} {
		if _, err := ReadBundles(name); !errors.Is(err, ErrBundle) {
			t.Errorf("%s as a kernel extension: %v", name, err)
		}
		if _, err := PlanFile(name, onDisplay(), nil); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// The mark of a copy depends on the whole image and on everything that is put
// into the copy, except for the numbers of a made-up identity.
func TestMark(t *testing.T) {
	t.Parallel()
	of := func(tree opencoretest.Tree, o *Options) string {
		t.Helper()
		disk := tree.FAT(12, 2<<20)
		return planOf(t, disk, onDisplay(), o).Mark()
	}
	random := func(b byte) *Options { return &Options{MakeUp: bytes.NewReader(bytes.Repeat([]byte{b, 7}, 64))} }
	plain := of(opencoretest.New(opencoretest.Config), nil)
	if len(plain) != 8 || plain != of(opencoretest.New(opencoretest.Config), nil) {
		t.Errorf("the same copy has the marks %s and %s", plain, of(opencoretest.New(opencoretest.Config), nil))
	}
	newer := opencoretest.New(opencoretest.Config)
	newer["EFI/OC/OpenCore.efi"] = opencoretest.Program("106", [528]byte{})
	given, err := MakeIdentity("iMac19,1", "", bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save(t, dir, opencoretest.Bundle("Lilu.kext", "Lilu", lilu, "1.7.2"))
	newLilu, err := ReadBundles(filepath.Join(dir, "Lilu.kext"))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"another OpenCore": of(newer, nil), "an extension": of(opencoretest.New(opencoretest.Config), &Options{Bundles: newLilu}),
		"an identity": of(opencoretest.New(opencoretest.Config), &Options{Identity: given}), "one made up": of(opencoretest.New(opencoretest.Config), random(1)),
	} {
		if other == plain {
			t.Errorf("%s: the mark is the same", name)
		}
	}
	if a, b := of(opencoretest.New(opencoretest.Config), random(1)), of(opencoretest.New(opencoretest.Config), random(2)); a != b {
		t.Errorf("two identities that are made up have the marks %s and %s", a, b)
	}
}
