package proxstation_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/proxstation/proxstation"

// arrows holds, for each of our packages, the imports that the package may
// make: our other packages, and packages of third parties. Imports of tests are
// not restricted: a test may use the embedded node or the lab.
var arrows = map[string][]string{
	// This package holds the words that all packages share: Finding, Answer,
	// Secret. It imports only two of our packages: the names of enums, and the
	// rules for text on terminals.
	"": {"internal/enum", "internal/printable"},
	// These packages provide names and file access. They import no other
	// package of ours.
	"internal/enum":      {},
	"internal/slow":      {},
	"internal/printable": {},
	// sysfs uses a single system call, which keeps a path within a captured
	// tree (golang.org/x/sys).
	"internal/sysfs":    {"golang.org/x/sys"},
	"internal/hosttree": {"internal/sysfs"},
	// The lab boots kernels. Its init program loads modules, and reports in the
	// lab's format.
	"internal/lab":      {},
	"internal/lab/init": {"internal/lab", "golang.org/x/sys"},
	// The guest package turns a VM's configuration, with its drives and their
	// sizes, into QEMU's command line.
	"internal/lab/guest": {"storage", "iommu", "internal/qmconf"},
	// The benchmarks of other libraries are in a separate module,
	// internal/bench/peers.
	"internal/bench":         {},
	"internal/bench/machine": {"iommu"}, // calls iommu.Read, to see which files it reads

	// iommu replaces files of a host and keeps their owners, ACLs and locks
	// (golang.org/x/sys).
	"iommu": {"", "internal/enum", "internal/printable", "internal/sysfs", "golang.org/x/sys"},
	"gpu":   {"", "iommu", "internal/enum", "internal/printable"},
	// storage knows neither PCI nor PVE, so that programs can use it without
	// them.
	"storage": {"", "internal/enum", "internal/printable", "internal/sysfs"},

	// Only this package sends requests to a node and decodes the node's
	// answers.
	"internal/pve": {"", "internal/printable", "iommu", "gpu", "storage", "internal/macos",
		"github.com/luthermonson/go-proxmox", "golang.org/x/sync"},

	// This package finds the VMs of a cluster on their nodes.
	"internal/homes": {"internal/pve"},
	// This package brings PCI, storage and PVE together. It imports go-proxmox
	// only for the constructor that takes a client from the caller.
	"workstation": {"", "internal/printable", "iommu", "gpu", "storage", "internal/pve", "internal/boot", "internal/devices", "internal/handover", "internal/homes", "internal/macos", "internal/privilege", "internal/restore", "internal/rules", "internal/qmconf", "internal/pveschema",
		"github.com/luthermonson/go-proxmox", "golang.org/x/sync"},
	// These packages know the needs of macOS guests and PVE's notation of
	// configurations. They do no I/O. The profiles and the plan use them.
	"internal/macos": {"", "gpu", "internal/printable", "internal/qmconf"},
	// This package judges whether a VM starts after a change, from two
	// configurations. It is pure.
	"internal/boot": {"", "gpu", "iommu", "storage", "internal/printable", "internal/macos", "internal/qmconf"},
	// This package judges what a host loses to a VM's PCI devices: disks,
	// network, keyboard. It is pure.
	"internal/handover": {"", "gpu", "iommu", "storage", "internal/printable"},
	// This package knows PVE's privileges for each key and value. It is pure.
	"internal/privilege": {"internal/qmconf"},
	// This package matches wanted devices with the keys of an existing VM. It is
	// pure.
	"internal/devices": {"", "gpu", "iommu", "internal/qmconf", "internal/rules"},
	// This package compares two configurations of a VM. It is pure.
	"internal/restore": {"", "gpu", "storage", "internal/qmconf"},
	// This package judges one configuration, by the rules of PVE and of the
	// guest systems. It is pure.
	"internal/rules": {"", "gpu", "storage", "internal/privilege", "internal/qmconf"},
	// This package reads and writes FAT in disk images from unknown authors. It
	// limits what it reads, and is exact to the byte.
	"internal/fat":    {},
	"internal/qmconf": {"gpu", "storage"},
	// A profile turns a few typed fields into a VM. It does not speak to a
	// node.
	"workstation/profile": {"", "gpu", "storage", "workstation", "workstation/opencore", "internal/enum", "internal/macos", "internal/qmconf"},
	// This package reads the page that describes a homelab. It reads no
	// environment variable and no file, and does not speak to a node. No other
	// package reads YAML.
	"workstation/file": {"", "iommu", "gpu", "storage", "workstation", "workstation/profile", "workstation/loader", "workstation/install", "workstation/firstboot", "workstation/rustdesk", "workstation/access", "workstation/cluster", "internal/printable",
		"github.com/goccy/go-yaml"},
	// This package reports on a machine and is useful by itself. It does not
	// speak to a node. No other package imports ghw. It also reads the host's
	// VMs, whose files are in PVE's notation.
	"workstation/inventory": {"", "iommu", "gpu", "storage", "internal/qmconf", "internal/printable", "internal/sysfs", "github.com/jaypipes/ghw"},
	// This package reads a checkout of OSX-PROXMOX on the host. Every user of
	// the host may write in the directory of the checkout. The package
	// therefore guards its reads of the checkout's files.
	"workstation/osxproxmox": {"", "gpu", "storage", "internal/printable", "internal/sysfs"},
	// This package judges a VM's configuration: which ways lead into the VM.
	"workstation/reach": {"workstation", "gpu", "internal/qmconf"},
	// These packages give access to a guest: SSH, RDP and Sunshine in access,
	// and RustDesk in rustdesk. Package recovery fetches the system from which
	// a new macOS guest starts. They know nothing of PVE.
	"workstation/access":   {"", "internal/printable"},
	"workstation/rustdesk": {"", "gpu", "internal/printable", "github.com/pelletier/go-toml"}, // RustDesk's files are TOML
	"workstation/recovery": {"gpu", "internal/printable"},                                     // gpu.Guest names the releases of macOS

	// This package observes all nodes of a cluster and finds the node that has
	// room for a VM. It imports workstation, so that workstation needs to know
	// only a single node. It asks the cluster through internal/pve, and takes a
	// client from the caller as workstation does.
	"workstation/cluster": {"", "workstation", "gpu", "iommu", "storage", "internal/pve", "internal/enum", "internal/printable", "internal/qmconf", "github.com/luthermonson/go-proxmox"},
	// This package plans VMs that install themselves, and then works in the
	// guests until they are ready. It imports workstation, so that workstation
	// does not depend on guests.
	"workstation/install": {"", "storage", "workstation", "workstation/firstboot", "workstation/rustdesk", "internal/qmconf", "internal/printable"},
	// This package makes the files with which a new guest installs itself: CDs
	// (go-diskfs) and a hashed password (go-crypt). It knows nothing of PVE.
	"workstation/firstboot": {"", "internal/printable", "github.com/diskfs/go-diskfs", "github.com/go-crypt/crypt"},

	// This package compares OpenCore images with a VM's configuration. It does
	// not speak to a node. After a change it reads the property list again with
	// a second parser, howett.net/plist. The same parser reads the lists of
	// kernel extensions.
	"workstation/opencore": {"", "gpu", "internal/enum", "internal/fat", "internal/macos", "internal/printable", "internal/qmconf", "howett.net/plist"},
	// This package reads OpenCore images and kernel extensions from files. It
	// also copies the configured image to the VM of a profile. Neither of the
	// other packages can do this: package profile reads no file, and package
	// opencore does not speak to a node.
	"workstation/loader": {"", "storage", "workstation", "workstation/profile", "workstation/opencore", "internal/printable", "internal/qmconf"},
	// This package makes OpenCore images for tests.
	"internal/opencoretest": {"internal/fat"},

	// The embedded node must not share a parser with the code that it tests.
	"internal/pveschema":  {},
	"workstation/pvetest": {"internal/pveschema", "internal/printable"},
}

// The function "allowed" returns the imports that a package may make. Examples
// may import the same packages as users, and the package that the examples
// share.
func allowed(pkg string) []string {
	if strings.HasPrefix(pkg, "examples/") {
		return []string{"", "iommu", "gpu", "storage", "workstation", "workstation/pvetest",
			"workstation/access", "workstation/rustdesk", "workstation/recovery", "workstation/opencore", "workstation/loader", "workstation/cluster", "workstation/profile", "workstation/firstboot", "workstation/install", "workstation/inventory",
			"workstation/file", "examples/switchboard/board",
			"examples/internal/connect", "examples/internal/term", "golang.org/x/term",
			"internal/hosttree", "internal/opencoretest", "internal/printable", "github.com/luthermonson/go-proxmox"}
	}
	return arrows[pkg]
}

func TestImportsFlowOneWay(t *testing.T) {
	t.Parallel()
	used, seen := map[string]bool{}, map[string]bool{}
	for _, pkg := range listPackages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		seen[name] = true
		if _, known := arrows[name]; !known && !strings.HasPrefix(name, "examples/") {
			t.Errorf("%s: not in the map of packages; add it to arrows with its reason", name)
			continue
		}
		for _, path := range pkg.Imports {
			if path == module {
				path = ""
			} else if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				path = ours
			} else if !strings.Contains(strings.Split(path, "/")[0], ".") {
				continue // the package is in the standard library
			}
			arrow := slices.IndexFunc(allowed(name), func(a string) bool {
				return path == a || strings.Contains(a, ".") && strings.HasPrefix(path, a+"/")
			})
			if arrow < 0 {
				t.Errorf("%s imports %s, which the map of arrows does not allow", name, path)
				continue
			}
			used[name+" "+allowed(name)[arrow]] = true
		}
	}
	for name, targets := range arrows {
		if !seen[name] {
			t.Errorf("%s is in the map of arrows and not in the tree", name)
		}
		for _, target := range targets {
			if !used[name+" "+target] {
				t.Errorf("%s may import %q and does not: delete the arrow", name, target)
			}
		}
	}
}

// A program that imports one of the core packages gets only these third-party
// modules with it. Modules for device names, file systems, YAML and the like
// belong to packages that a program need not import.
func TestTheCoreIsLight(t *testing.T) {
	t.Parallel()
	system := []string{"golang.org/x/sys"}
	// These are go-proxmox and its dependencies.
	node := append([]string{"golang.org/x/sync", "github.com/luthermonson/go-proxmox", "github.com/buger/goterm", "github.com/diskfs/go-diskfs",
		"github.com/djherbis/times", "github.com/gorilla/websocket", "github.com/jinzhu/copier"}, system...)
	for pkg, may := range map[string][]string{".": nil, "./iommu": system, "./gpu": system, "./storage": system, "./workstation": node,
		"./workstation/profile": append([]string{"howett.net/plist"}, node...), // profile.MacOS plans the configuration of OpenCore's image
		"./workstation/access":  nil, "./workstation/pvetest": nil} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if name != module && !slices.Contains(may, name) {
				t.Errorf("whoever imports %s pays for %s", pkg, name)
			}
		}
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// These are the budgets of our style. A file or function beyond its budget
// should be split.
const (
	maxFileLines     = 300
	maxFunctionLines = 50
)

func TestFilesKeepTheBudgets(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, set *token.FileSet, file *ast.File, lines int) {
		if lines > maxFileLines && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s: %d lines, more than %d", path, lines, maxFileLines)
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || strings.HasSuffix(path, "_test.go") {
				continue
			}
			n := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", path, function.Name.Name, n, maxFunctionLines)
			}
		}
	})
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, set *token.FileSet, file *ast.File, _ int) {
		if strings.HasSuffix(path, "_test.go") || file.Name.Name == "main" {
			return
		}
		for _, declaration := range file.Decls {
			for _, name := range undocumented(declaration) {
				t.Errorf("%s: %s is exported and has no comment", set.Position(declaration.Pos()), name)
			}
		}
	})
}

func undocumented(declaration ast.Decl) []string {
	var names []string
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d.Recv)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Doc == nil && s.Comment == nil && d.Doc == nil && s.Names[0].IsExported() {
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	return names
}

func exportedReceiver(fields *ast.FieldList) bool {
	expr := fields.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if index, ok := expr.(*ast.IndexExpr); ok {
		expr = index.X
	}
	ident, ok := expr.(*ast.Ident)
	return ok && ident.IsExported()
}

func eachFile(t *testing.T, visit func(path string, set *token.FileSet, file *ast.File, lines int)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(path, set, file, bytes.Count(source, []byte("\n")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A module's zip must not contain symbolic links or names with a colon. Nobody
// could import a module with such a file.
func TestTreeCanBeAModule(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "--stage").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	for scanner := bufio.NewScanner(bytes.NewReader(out)); scanner.Scan(); {
		mode, rest, _ := strings.Cut(scanner.Text(), " ")
		_, name, _ := strings.Cut(rest, "\t")
		if mode == "120000" || strings.ContainsAny(name, `:*?"<>|\`) {
			t.Errorf("%s (mode %s) cannot be in a module's zip", name, mode)
		}
	}
}
