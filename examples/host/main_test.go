package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// host runs the program and returns its output.
func host(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	return out.String(), err
}

// onDisk writes a described host to a directory and returns its path.
func onDisk(t *testing.T, description []byte) string {
	t.Helper()
	tree, err := hosttree.Parse(description)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	all, err := snapshot(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDemonstration(t *testing.T) {
	t.Parallel()
	out, err := host(t)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, part := range []string{
		"IOMMU:        off", "boot loader:  grub", "to be kept:   0000:01:00.0", "to be kept:   0000:01:00.1",
		"+++ b/etc/modprobe.d/00-proxstation.conf", "+options vfio-pci ids=", "$ update-grub", "Done.",
		"What the next start of the host changes:", "+ intel_iommu=on", "driver nouveau -> driver vfio-pci", "== Undo ==", "byte for byte",
	} {
		i := strings.Index(out[at:], part)
		if i < 0 {
			t.Fatalf("%q does not come where it should in\n%s", part, out)
		}
		at += i
	}
}

// cases returns the described hosts whose files match a pattern. The files are
// below the folder shared/cases beside the repository.
func cases(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "cases", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 && os.Getenv("CI") != "" {
		t.Fatalf("no %s beside the repository", pattern)
	}
	hosts := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		hosts[filepath.Base(filepath.Dir(file))+" "+filepath.Base(file)] = text
	}
	return hosts
}

// others describes files of other programs in all places that a plan changes.
const others = `
file etc/modprobe.d/vfio.conf "# by hand\noptions vfio-pci disable_vga=1"
file etc/modprobe.d/blacklist-gpu.conf "blacklist nouveau\r\nblacklist nvidia\r\n"
file etc/modules-load.d/theirs.conf "vfio\n"
`

// A plan that is refused, or that is shown without -apply, changes nothing on
// any host. Undo restores every byte.
func TestUndoReturnsEveryByte(t *testing.T) {
	t.Parallel()
	hosts := map[string][]byte{"the example": described}
	for _, name := range hosttree.Names() {
		text, err := hosttree.Text(name)
		if err != nil {
			t.Fatal(err)
		}
		hosts[name+" with files of others"] = append(bytes.Clone(text), others...)
	}
	maps.Copy(hosts, cases(t, "loaders/*.txt"))
	if !testing.Short() {
		maps.Copy(hosts, cases(t, "hosts/*/host.txt"))
	}
	for name, text := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, err := iommu.Read(mustParse(t, text))
			if err != nil {
				t.Fatal(err)
			}
			for i, card := range gpu.Cards(facts.Functions) {
				if i == 0 || !testing.Short() {
					keepAndUndo(t, onDisk(t, text), card.Display().Address.String())
				}
			}
		})
	}
}

func mustParse(t *testing.T, text []byte) fs.FS {
	t.Helper()
	tree, err := hosttree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func keepAndUndo(t *testing.T, dir, card string) {
	t.Helper()
	before := everything(t, dir)
	keep := []string{"-root", dir, "-keep", card, "-arg", "iommu=pt", "-allow", "console"}
	planned, plannedErr := host(t, keep...)
	if !maps.Equal(everything(t, dir), before) {
		t.Errorf("%s: planning changed the host", card)
	}
	said, err := host(t, append(keep, "-apply")...)
	if (err == nil) != (plannedErr == nil) {
		t.Errorf("%s: planned with %v\n%s\napplied with %v\n%s", card, plannedErr, planned, err, said)
	}
	if err != nil {
		if !maps.Equal(everything(t, dir), before) {
			t.Errorf("%s: refused with %v, and changed something", card, err)
		}
		return
	}
	if strings.Contains(said, "Nothing has to change.") {
		return
	}
	if maps.Equal(everything(t, dir), before) {
		t.Errorf("%s: nothing was changed\n%s", card, said)
	}
	if again, err := host(t, append(keep, "-apply")...); err != nil || !strings.Contains(again, "Nothing has to change.") {
		t.Errorf("%s: applied again: %v\n%s", card, err, again)
	}
	if out, err := host(t, "-root", dir, "-give-back", "-apply"); err != nil {
		t.Errorf("%s: given back: %v\n%s", card, err, out)
	}
	for {
		plan, err := host(t, "-root", dir, "-undo")
		if errors.Is(err, iommu.ErrNothingToUndo) {
			break
		}
		if err != nil || !strings.Contains(plan, "--- ") {
			t.Fatalf("%s: undo is planned with %v\n%s", card, err, plan)
		}
		if out, err := host(t, "-root", dir, "-undo", "-apply"); err != nil {
			t.Fatalf("%s: undo: %v\n%s", card, err, out)
		}
	}
	if after := everything(t, dir); !maps.Equal(after, before) {
		for _, name := range slices.Sorted(maps.Keys(after)) {
			if after[name] != before[name] {
				t.Errorf("%s: %s is %q, was %q", card, name, after[name], before[name])
			}
		}
		t.Errorf("%s: undo did not return every byte", card)
	}
}

// After -keep and then -give-back, a host has the same files as before.
func TestGiveBackRemovesAllThatIsOurs(t *testing.T) {
	t.Parallel()
	dir := onDisk(t, described)
	before := everything(t, dir)
	for _, args := range [][]string{{"-keep", "01:00.0", "00:02.0", "-allow", "console"}, {"-give-back", "0000:01:00"}, {"-give-back"}} {
		if out, err := host(t, append(args, "-apply", "-root", dir)...); err != nil || !strings.Contains(out, "Done.") {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	after := everything(t, dir)
	maps.DeleteFunc(after, func(name, _ string) bool {
		return strings.HasPrefix(name, "var") || name == "etc/modules-load.d" || name == "etc/default/grub.d"
	})
	if !maps.Equal(after, before) {
		t.Errorf("left over: %v", slices.DeleteFunc(slices.Sorted(maps.Keys(after)), func(name string) bool { return before[name] == after[name] }))
	}
}

func TestAddressesMeanCards(t *testing.T) {
	t.Parallel()
	facts, err := iommu.Read(mustParse(t, append(bytes.Clone(described), "\nfunction 0000:00:14.2 class=050000 id=8086:a36f\n"...)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"0000:01:00.0": "[0000:01:00.0 0000:01:00.1]", "01:00.1": "[0000:01:00.0 0000:01:00.1]", "0000:01:00": "[0000:01:00.0 0000:01:00.1]",
		"00:14.0": "[0000:00:14.0]", "00:14": "[0000:00:14.0 0000:00:14.2]", "00:02.0": "[0000:00:02.0]",
	} {
		if got, err := functions(facts, []string{name, name}); fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s means %v, %v; want %s", name, got, err, want)
		}
	}
	if _, err := functions(facts, []string{"0000:09:00.0"}); !errors.Is(err, iommu.ErrNoDevice) {
		t.Errorf("a card that is not there: %v", err)
	}
	if _, err := functions(facts, []string{"NVIDIA"}); !errors.Is(err, iommu.ErrAddress) {
		t.Errorf("a name: %v", err)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-keep"}, {"-bind"}, {"-keep", "-undo", "01:00.0"}, {"01:00.0"}, {"-undo", "01:00.0"}, {"-apply"}, {"-allow", "everything"},
		{"-root", t.TempDir()}, {"-root", "nowhere", "-undo"}, {"-root", "nowhere.txt"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || errors.Is(err, flag.ErrHelp) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// A described host has no kernel that binds functions, so binding fails there.
// The program remembers functions only if they were bound.
func TestBinding(t *testing.T) {
	t.Parallel()
	text, err := hosttree.Text("two-identical-cards")
	if err != nil {
		t.Fatal(err)
	}
	dir := onDisk(t, text)
	out, err := host(t, "-root", dir, "-bind", "0b:00.0")
	if err != nil || !strings.Contains(out, "~ 0000:0b:00.0 10de:2504  nouveau -> vfio-pci\n") || !strings.Contains(out, "Nothing was changed") {
		t.Errorf("planned: %v\n%s", err, out)
	}
	if out, err := host(t, "-root", dir, "-bind", "0b:00.0", "-apply"); err == nil {
		t.Errorf("a described kernel bound a function\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(dir, boundFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was not bound is remembered: %v", err)
	}
	if _, err := host(t, "-root", dir, "-release"); err == nil || !strings.Contains(err.Error(), "-give-back") {
		t.Errorf("released: %v", err)
	}
	m, err := openMachine(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	facts, err := m.facts()
	if err != nil {
		t.Fatal(err)
	}
	card, err := functions(facts, []string{"0b:00.0"})
	if err != nil {
		t.Fatal(err)
	}
	binding, err := facts.Bind(card, nil)
	if err == nil {
		err = m.remember(binding)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := host(t, "-root", dir, "-release"); err != nil || !strings.Contains(out, "~ 0000:0b:00.0 10de:2504  vfio-pci -> driver nouveau") {
		t.Errorf("planned: %v\n%s", err, out)
	}
}

// The program refuses flags that would have no effect.
func TestFlagsWithoutEffect(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-undo", "-arg", "iommu=pt"}, {"-release", "-allow", "console"}, {"-arg", "iommu=pt", "-bind", "0000:01:00.0"}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), "leave the flag out") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
