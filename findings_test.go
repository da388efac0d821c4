package proxstation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/printable"
)

// The texts Why and Fix of every finding are sentences. The test reads them in
// the source code. If a text is put together from parts, its first part must
// begin like a sentence, and its last part must end like a sentence.
func TestFindingsAreSentences(t *testing.T) {
	t.Parallel()
	texts := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, text := range findingTexts(n) {
				texts++
				first, last := ends(text)
				if first != "" && printable.Sentence(first)[0] != first[0] || last != "" && !strings.HasSuffix(last, ".") && !strings.HasSuffix(last, ": ") {
					t.Errorf("%s: %q ... %q is not a sentence", files.Position(text.Pos()), first, last)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || texts < 150 {
		t.Errorf("%d texts, %v", texts, err)
	}
}

// findingTexts returns the values of Why and Fix in a Finding that the source
// code contains as a literal.
func findingTexts(n ast.Node) (texts []ast.Expr) {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	name, _ := literal.Type.(*ast.Ident)
	if qualified, ok := literal.Type.(*ast.SelectorExpr); ok {
		name = qualified.Sel
	}
	if name == nil || name.Name != "Finding" {
		return nil
	}
	for _, element := range literal.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := field.Key.(*ast.Ident); ok && (key.Name == "Why" || key.Name == "Fix") {
			texts = append(texts, field.Value)
		}
	}
	return texts
}

// The function "ends" returns the first and the last part of an expression, if
// they are string literals.
func ends(e ast.Expr) (first, last string) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text, text
	case *ast.BinaryExpr:
		first, _ = ends(e.X)
		_, last = ends(e.Y)
	case *ast.CallExpr:
		if called, ok := e.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "Sprintf" {
			return ends(e.Args[0])
		}
	}
	return first, last
}
