package hosttree

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing/fstest"
)

//go:embed hosts/*.txt
var hosts embed.FS

// A Tree is the file system of a described host. It has the directories sys,
// proc, etc, boot, and others that the description names. It is read-only and
// safe for concurrent use.
type Tree struct {
	files fstest.MapFS
}

var _ fs.ReadLinkFS = (*Tree)(nil)

// Names returns the names of the hosts in this package, in order.
func Names() []string {
	entries, err := hosts.ReadDir("hosts")
	if err != nil {
		panic(err) // cannot happen, because the files are embedded
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".txt"))
	}
	return names
}

// Text returns the description of a host in this package. Tests add lines to
// the description before they parse it.
func Text(name string) ([]byte, error) {
	text, err := hosts.ReadFile("hosts/" + name + ".txt")
	if err != nil {
		return nil, fmt.Errorf("hosttree: no host %q among %s", name, strings.Join(Names(), ", "))
	}
	return text, nil
}

// Load returns the tree of a host in this package. It first adds the given
// lines to the end of the host's description.
func Load(name string, lines ...string) (*Tree, error) {
	text, err := Text(name)
	if err != nil {
		return nil, err
	}
	return Parse([]byte(string(text) + "\n" + strings.Join(lines, "\n") + "\n"))
}

// Parse returns the tree for a description. Its errors name the faulty line.
func Parse(description []byte) (*Tree, error) {
	lines, err := parseLines(string(description))
	if err != nil {
		return nil, err
	}
	b := newBuilder()
	for _, l := range lines {
		if err := b.add(l); err != nil {
			return nil, fmt.Errorf("hosttree: line %d: %s: %w", l.number, l.verb, err)
		}
	}
	if err := b.finish(); err != nil {
		return nil, fmt.Errorf("hosttree: %w", err)
	}
	return &Tree{files: b.files}, nil
}

// Open implements [fs.FS]. It follows links. For a denied file the error
// matches [fs.ErrPermission].
func (t *Tree) Open(name string) (fs.File, error) {
	f, err := t.files.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() && info.Mode().Perm()&0o400 == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return f, err
}

// ReadLink implements [fs.ReadLinkFS].
func (t *Tree) ReadLink(name string) (string, error) { return t.files.ReadLink(name) }

// Lstat implements [fs.ReadLinkFS].
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return t.files.Lstat(name) }

// WriteDir writes the tree into a new directory, which the examples can read
// with their option -root. A denied file has mode 0.
func (t *Tree) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("hosttree: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("hosttree: %w", err)
	}
	defer root.Close()
	names := make([]string, 0, len(t.files))
	for name := range t.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := writeEntry(root, name, t.files[name]); err != nil {
			return fmt.Errorf("hosttree: %w", err)
		}
	}
	return nil
}

func writeEntry(root *os.Root, name string, f *fstest.MapFile) error {
	if f.Mode.IsDir() {
		return root.MkdirAll(name, 0o755)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if f.Mode.Type() == fs.ModeSymlink {
		return root.Symlink(string(f.Data), name)
	}
	return root.WriteFile(name, f.Data, f.Mode.Perm())
}
