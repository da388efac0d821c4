package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

const library = "github.com/proxstation/proxstation"

// The variable "beside" holds imports for comparison: the library's own
// dependencies.
var beside = []string{"github.com/luthermonson/go-proxmox", "github.com/jaypipes/ghw", "net/http"}

// imports returns the imports to measure: the library's public packages, and
// the imports in beside. The first import is "", which stands for a program
// that imports nothing.
func imports(ctx context.Context, root string) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "./...")
	list.Dir = root
	text, err := output(list)
	if err != nil {
		return nil, err
	}
	all := []string{""}
	for _, path := range strings.Fields(text) {
		if !strings.Contains(path, "/internal/") && !strings.HasPrefix(path, library+"/examples/") {
			all = append(all, path)
		}
	}
	return append(all, beside...), nil
}

// weight prints how much each import adds to a program: third-party modules,
// compiled packages, and size. The program imports a single package and does
// not use it.
func weight(ctx context.Context, root string, out io.Writer) error {
	paths, err := imports(ctx, root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "| import\t| modules of others\t| packages compiled\t| of them not Go's own\t| program, MB\t|\n|---\t|---:\t|---:\t|---:\t|---:\t|\n")
	for _, path := range paths {
		l, err := weigh(ctx, root, dir, path)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, library+"/")
		switch path {
		case "":
			name = "(nothing)"
		case library:
			name = "proxstation"
		}
		fmt.Fprintf(w, "| %s\t| %d\t| %d\t| %d\t| %.1f\t|\n", name, l.modules, l.packages, l.foreign, float64(l.bytes)/1e6)
	}
	return w.Flush()
}

// A load says how much one import adds to a program.
type load struct {
	modules, packages, foreign int
	bytes                      int64
}

func weigh(ctx context.Context, root, dir, path string) (load, error) {
	source := "package main\n\nfunc main() {}\n"
	if path != "" {
		source = fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", path)
	}
	file, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		return load{}, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, file)
	build.Dir = root
	if _, err := output(build); err != nil {
		return load{}, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return load{}, err
	}
	l := load{bytes: info.Size()}
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Standard,Module", file)
	list.Dir = root
	text, err := output(list)
	if err != nil {
		return load{}, err
	}
	modules := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader([]byte(text))); decoder.More(); {
		var p struct {
			ImportPath string
			Standard   bool
			Module     *struct{ Path string }
		}
		if err := decoder.Decode(&p); err != nil {
			return load{}, err
		}
		l.packages++
		if !p.Standard && p.ImportPath != "command-line-arguments" {
			l.foreign++
		}
		if p.Module != nil && p.Module.Path != library {
			modules[p.Module.Path] = true
		}
	}
	l.modules = len(modules)
	return l, nil
}
