package iommu_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// deniedFS is a tree with a file or directory that can be read neither by its
// own name nor through a link.
type deniedFS struct {
	*hosttree.Tree
	denied string
}

func (d deniedFS) deny(name string) error {
	if name == d.denied || strings.HasPrefix(name, d.denied+"/") {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

func (d deniedFS) Open(name string) (fs.File, error) {
	if err := d.deny(name); err != nil {
		return nil, err
	}
	return d.Tree.Open(name)
}

func (d deniedFS) ReadLink(name string) (string, error) {
	if err := d.deny(name); err != nil {
		return "", err
	}
	return d.Tree.ReadLink(name)
}

func (d deniedFS) Lstat(name string) (fs.FileInfo, error) {
	if err := d.deny(name); err != nil {
		return nil, err
	}
	return d.Tree.Lstat(name)
}

// everyName returns all paths that Read may open. These are the paths in the
// tree, and the paths that lead through a link in sys/bus or sys/class.
func everyName(t *testing.T, tree *hosttree.Tree) []string {
	t.Helper()
	var names []string
	for _, top := range []string{"sys/bus/pci/devices", "sys/kernel", "sys/class", "sys/firmware", "sys/module", "proc", "etc", "boot"} {
		err := fs.WalkDir(tree, top, func(name string, entry fs.DirEntry, err error) error {
			names = append(names, name)
			if err == nil && entry.Type() == fs.ModeSymlink && (strings.HasPrefix(name, "sys/bus") || strings.HasPrefix(name, "sys/class")) {
				entries, _ := fs.ReadDir(tree, name)
				for _, entry := range entries {
					names = append(names, name+"/"+entry.Name())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// If any single file cannot be read, all other files are still read, and no
// verdict gets better: a shared card never looks isolated, and the state of the
// IOMMU is never reported as its opposite.
func TestNoVerdictGetsBetterByNotKnowing(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]struct {
		card  string
		never iommu.State
	}{"shared-group": {"0000:04:00.0", iommu.Off}, "no-iommu": {"0000:01:00.0", iommu.On}} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			tree, err := hosttree.Load(host)
			if err != nil {
				t.Fatal(err)
			}
			names := everyName(t, tree)
			if len(names) < 150 {
				t.Fatalf("only %d names", len(names))
			}
			for _, name := range names {
				facts, err := iommu.Read(deniedFS{tree, name})
				if err != nil {
					t.Fatalf("without %s: %v", name, err)
				}
				if state, why := facts.State(); state == want.never {
					t.Errorf("without %s: %v, %s", name, state, why)
				}
				if err := facts.Isolated(address(t, want.card)); err == nil {
					t.Errorf("without %s the card looks isolated", name)
				}
				if answer, seen := facts.InterruptRemapping(); answer == proxstation.Yes && host == "no-iommu" {
					t.Errorf("without %s interrupts look remapped: %s", name, seen)
				}
			}
		})
	}
}

// If any single file cannot be read, the controller of the root disk still
// stays with the host.
func TestTheRootDiskStaysWhateverIsNotKnown(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("shared-group")
	if err != nil {
		t.Fatal(err)
	}
	controller := []iommu.Address{address(t, "0000:01:00.1")}
	for _, name := range everyName(t, tree) {
		facts, err := iommu.Read(deniedFS{tree, name})
		if err != nil {
			t.Fatalf("without %s: %v", name, err)
		}
		if b, err := facts.Bind(controller, nil); err == nil {
			t.Errorf("without %s: %v", name, b)
		}
	}
}
