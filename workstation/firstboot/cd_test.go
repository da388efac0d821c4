package firstboot

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func image(t *testing.T, s Seed) string {
	t.Helper()
	data, err := s.Image()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cd.iso")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The function "reader" runs an independent program that reads CDs, and returns
// its output.
func reader(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" && os.Getenv("QUICK") == "" {
			t.Fatalf("%s must be installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return out
}

// The function "long" returns a Seed with unusual files: names that are not in
// 8.3 form, empty files, a file that ends at the end of a sector, and a
// directory of more than one sector.
func long() Seed {
	contents := map[string]string{"user-data": "#cloud-config\n{}\n", "Autounattend.xml": strings.Repeat("x", 3*sector), "one.longer-name_of.a.file.ps1": "1"}
	for i := range 60 {
		contents[fmt.Sprintf("a-rather-long-name-of-file-number-%02d.txt", i)] = strings.Repeat("y", i*97+1)
	}
	return newSeed("guest", "cidata", contents)
}

func TestCDIsReadByOthers(t *testing.T) {
	t.Parallel()
	for name, seed := range map[string]Seed{"plain": must(linuxGuest().Seed()), "full": must(fullLinux().Seed()), "long": long()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := image(t, seed)
			for tree, flag := range map[string]string{"Rock Ridge": "-R", "Joliet": "-J"} {
				listed := strings.Fields(strings.ReplaceAll(string(reader(t, "isoinfo", "-i", path, flag, "-f")), "/", ""))
				slices.Sort(listed)
				if !slices.Equal(listed, seed.Files()) {
					t.Errorf("%s has %q, want %q", tree, listed, seed.Files())
				}
				for i, file := range seed.Files() {
					if i%10 != 0 {
						continue // reading a file starts a process, so only some files are read
					}
					if got := reader(t, "isoinfo", "-i", path, flag, "-x", "/"+file); string(got) != content(t, seed, file) {
						t.Errorf("%s: %s has %d bytes, want what was written", tree, file, len(got))
					}
				}
			}
			if about := reader(t, "isoinfo", "-i", path, "-d"); !bytes.Contains(about, []byte("Volume id: cidata\n")) {
				t.Errorf("the label is another one:\n%s", about)
			}
			if info := reader(t, "7z", "t", path); !bytes.Contains(info, []byte("Everything is Ok")) {
				t.Errorf("7z: %s", info)
			}
		})
	}
}

func must(s Seed, err error) Seed {
	if err != nil {
		panic(err)
	}
	return s
}

func TestCDIsWholeSectors(t *testing.T) {
	t.Parallel()
	data, err := long().Image()
	if err != nil || len(data)%sector != 0 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	// The primary descriptor holds the volume's size in sectors (ECMA-119
	// section 8.4.8).
	descriptor := data[16*sector:]
	size := int(descriptor[80]) | int(descriptor[81])<<8 | int(descriptor[82])<<16 | int(descriptor[83])<<24
	if size*sector != len(data) {
		t.Errorf("the image has %d sectors, its descriptor says %d", len(data)/sector, size)
	}
}

func TestSeedNames(t *testing.T) {
	t.Parallel()
	one, again := must(linuxGuest().Seed()), must(linuxGuest().Seed())
	other := linuxGuest()
	other.TimeZone = "UTC"
	if one.Name() != again.Name() || one.Name() == must(other.Seed()).Name() {
		t.Errorf("names %s, %s, %s: want one name for one content", one, again, must(other.Seed()))
	}
	full := must(fullLinux().Seed())
	for _, shown := range []string{fmt.Sprint(full), fmt.Sprintf("%+v %#v", full, full), full.Name()} {
		if strings.Contains(shown, "$6$") || strings.Contains(shown, "#cloud-config") {
			t.Errorf("a seed prints its content: %s", shown)
		}
	}
	if _, err := full.ReadFile("none"); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
