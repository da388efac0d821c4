package proxstation_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api.txt anew")

// TestAPISurface compares the exported names of the packages with
// testdata/api.txt, so that a review shows each change. To accept a change:
//
//	go test -run TestAPISurface . -update
func TestAPISurface(t *testing.T) {
	t.Parallel()
	const file = "testdata/api.txt"
	now := surface(t)
	if *update {
		if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	was, is := lines(string(recorded)), lines(now)
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("+ %s", line)
		}
	}
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("- %s", line)
		}
	}
	if t.Failed() {
		t.Errorf("the API changed; if that is meant: go test -run TestAPISurface . -update")
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// The function "surface" returns a line for each exported name, such as "gpu
// func (Card) Name() string".
func surface(t *testing.T) string {
	t.Helper()
	var out []string
	for _, pkg := range listPackages(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		if strings.HasPrefix(dir, "internal") || strings.HasPrefix(dir, "examples") {
			continue
		}
		for _, line := range exported(t, filepath.FromSlash("./"+dir)) {
			out = append(out, strings.TrimSpace(dir+" "+line))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// The function "exported" returns the exported names of the package in a
// directory, one line each.
func exported(t *testing.T, dir string) []string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != ".":
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, filepath.Join(dir, name), nil, 0)
		files = append(files, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := doc.NewFromFiles(set, files, dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	add := func(node any) {
		var b bytes.Buffer
		if err := printer.Fprint(&b, set, node); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Join(strings.Fields(b.String()), " "))
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, name := range v.Names {
				if ast.IsExported(name) {
					out = append(out, v.Decl.Tok.String()+" "+name)
				}
			}
		}
	}
	functions := func(list []*doc.Func) {
		for _, f := range list {
			f.Decl.Body = nil
			add(f.Decl)
		}
	}
	values(slices.Concat(pkg.Consts, pkg.Vars))
	functions(pkg.Funcs)
	for _, typ := range pkg.Types {
		for _, spec := range typ.Decl.Specs {
			out = append(out, members(typ.Name, spec.(*ast.TypeSpec), add)...)
		}
		values(slices.Concat(typ.Consts, typ.Vars))
		functions(slices.Concat(typ.Funcs, typ.Methods))
	}
	return out
}

// members returns a line for a struct type, and a line for each of its exported
// fields. For a type that is not a struct it returns nothing: it passes the
// declaration to the function "add".
func members(name string, spec *ast.TypeSpec, add func(any)) []string {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		add(&ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{spec}})
		return nil
	}
	out := []string{"type " + name + " struct"}
	for _, field := range structure.Fields.List {
		var b bytes.Buffer
		if err := printer.Fprint(&b, token.NewFileSet(), field.Type); err != nil {
			continue
		}
		for _, id := range field.Names {
			if id.IsExported() {
				out = append(out, fmt.Sprintf("type %s struct, %s %s", name, id.Name, &b))
			}
		}
		if len(field.Names) == 0 {
			out = append(out, fmt.Sprintf("type %s struct, embedded %s", name, &b))
		}
	}
	return out
}
