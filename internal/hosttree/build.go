package hosttree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing/fstest"
)

// A builder makes the files that a description describes.
type builder struct {
	files  fstest.MapFS
	dirs   map[string]bool   // all directories, including the implied directories above a file
	places map[string]string // the directory of each PCI function, disk or interface
	moduli []string          // module names, in the order of the text
}

func newBuilder() *builder {
	b := &builder{files: fstest.MapFS{}, dirs: map[string]bool{}, places: map[string]string{}}
	for _, dir := range []string{"sys", "proc", "etc", "boot"} {
		b.set(dir, &fstest.MapFile{Mode: fs.ModeDir | 0o755})
	}
	return b
}

// verbs holds, for each verb, the function that makes the files of a line with
// this verb.
var verbs = map[string]func(*builder, line) error{
	"function": (*builder).function,
	"group":    (*builder).group,
	"iommu":    (*builder).iommu,
	"acpi":     (*builder).acpi,
	"cmdline":  (*builder).cmdline,
	"module":   (*builder).module,
	"driver":   (*builder).driver,
	"block":    (*builder).block,
	"part":     (*builder).part,
	"net":      (*builder).net,
	"file":     (*builder).file,
	"link":     (*builder).rawLink,
	"dir":      (*builder).rawDir,
	"remove":   (*builder).remove,
	"deny":     (*builder).deny,
}

func (b *builder) add(l line) error {
	add, ok := verbs[l.verb]
	if !ok {
		return errors.New("no such kind of line")
	}
	if len(l.args) == 0 && l.verb != "cmdline" {
		return errors.New("of what?")
	}
	if l.body != nil && l.verb != "file" {
		return errors.New("only a file has lines after '|'")
	}
	return add(b, l)
}

// put adds a file. It follows links in the path's directories.
func (b *builder) put(name string, f *fstest.MapFile) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("bad path %q", name)
	}
	real, err := b.resolve(path.Dir(name))
	if err != nil {
		return err
	}
	for dir := real; dir != "."; dir = path.Dir(dir) {
		if above := b.files[dir]; above != nil && !above.Mode.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
	}
	name = path.Join(real, path.Base(name))
	if !f.Mode.IsDir() && b.dirs[name] {
		return fmt.Errorf("%s is a directory", name)
	}
	b.set(name, f)
	return nil
}

func (b *builder) set(name string, f *fstest.MapFile) {
	b.files[name] = f
	if f.Mode.IsDir() {
		b.dirs[name] = true
	}
	for dir := path.Dir(name); dir != "." && !b.dirs[dir]; dir = path.Dir(dir) {
		b.dirs[dir] = true
	}
}

// text adds a file of one line, like most files of sysfs.
func (b *builder) text(name, value string) error {
	return b.put(name, &fstest.MapFile{Data: []byte(value + "\n"), Mode: 0o644})
}

// texts adds files with a single line below dir, one file for each pair of name
// and value. It leaves out pairs with an empty value.
func (b *builder) texts(dir string, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if err := b.text(dir+"/"+pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) dir(name string) error {
	if b.dirs[name] && b.files[name] != nil {
		return nil
	}
	return b.put(name, &fstest.MapFile{Mode: fs.ModeDir | 0o755})
}

// link makes a relative link. name is the path of the link, and target is the
// path to which it leads. Both paths start at the root.
func (b *builder) link(name, target string) error {
	up := strings.Repeat("../", strings.Count(name, "/"))
	common := 0
	from, to := strings.Split(name, "/"), strings.Split(target, "/")
	for common < len(from)-1 && common < len(to)-1 && from[common] == to[common] {
		common++
	}
	up = up[:3*(len(from)-1-common)]
	return b.put(name, &fstest.MapFile{Data: []byte(up + strings.Join(to[common:], "/")), Mode: fs.ModeSymlink | 0o777})
}

// resolve follows the links in a path. Like the kernel, it follows at most 40
// links.
func (b *builder) resolve(name string) (string, error) {
	todo, done := strings.Split(name, "/"), "."
	for links := 0; len(todo) > 0; {
		next := path.Join(done, todo[0])
		todo = todo[1:]
		f := b.files[next]
		if f == nil || f.Mode.Type() != fs.ModeSymlink {
			done = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("too many links in %s", name)
		}
		target := string(f.Data)
		if path.IsAbs(target) {
			return "", fmt.Errorf("%s links out of the tree", next)
		}
		todo, done = append(strings.Split(path.Join(path.Dir(next), target), "/"), todo...), "."
	}
	if !fs.ValidPath(done) {
		return "", fmt.Errorf("%s leaves the tree", name)
	}
	return done, nil
}

// finish adds /proc/modules, which lists the modules of all lines. It returns
// an error if links form a circle.
func (b *builder) finish() error {
	if err := b.listModules(); err != nil {
		return err
	}
	for name, f := range b.files {
		if f.Mode.Type() != fs.ModeSymlink || path.IsAbs(string(f.Data)) {
			continue
		}
		if _, err := b.resolve(name); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) file(l line) error {
	f := &fstest.MapFile{Mode: 0o644}
	switch {
	case len(l.args) == 2 && l.body == nil:
		f.Data = []byte(l.args[1])
	case len(l.args) == 1 && l.body != nil:
		f.Data = []byte(*l.body)
	case len(l.args) == 1:
	default:
		return errors.New(`want: file PATH "content", or lines after '|'`)
	}
	return b.put(l.args[0], f)
}

func (b *builder) rawLink(l line) error {
	if len(l.args) != 2 || l.args[1] == "" {
		return errors.New("want: link PATH TARGET")
	}
	return b.put(l.args[0], &fstest.MapFile{Data: []byte(l.args[1]), Mode: fs.ModeSymlink | 0o777})
}

func (b *builder) rawDir(l line) error { return b.dir(l.args[0]) }

func (b *builder) remove(l line) error {
	for _, name := range l.args {
		parent, err := b.resolve(path.Dir(name))
		if err != nil {
			return err
		}
		name = path.Join(parent, path.Base(name))
		if b.files[name] == nil && !b.dirs[name] {
			return fmt.Errorf("%s is not there", name)
		}
		for other := range b.files {
			if other == name || strings.HasPrefix(other, name+"/") {
				delete(b.files, other)
			}
		}
		for other := range b.dirs {
			if other == name || strings.HasPrefix(other, name+"/") {
				delete(b.dirs, other)
			}
		}
	}
	return nil
}

func (b *builder) deny(l line) error {
	for _, name := range l.args {
		real, err := b.resolve(name)
		if err != nil {
			return err
		}
		f := b.files[real]
		if f == nil || !f.Mode.IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		b.files[real] = &fstest.MapFile{Data: f.Data}
	}
	return nil
}
