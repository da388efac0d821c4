package proxstation_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Users can name every type that the packages show to them, and can read the
// type's documentation. No alias, signature, exported field or variable shows a
// name of an internal package.
func TestNothingInternalIsExported(t *testing.T) {
	t.Parallel()
	eachFile(t, func(path string, set *token.FileSet, file *ast.File, _ int) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") || file.Name.Name == "main" || strings.Contains("/"+dir+"/", "/internal/") {
			return
		}
		internal := map[string]bool{}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if strings.HasPrefix(imported, module+"/internal/") {
				internal[imported[strings.LastIndex(imported, "/")+1:]] = true
			}
		}
		for _, declaration := range file.Decls {
			for _, shown := range exportedTypes(declaration) {
				ast.Inspect(shown, func(n ast.Node) bool {
					if selector, ok := n.(*ast.SelectorExpr); ok {
						if pkg, ok := selector.X.(*ast.Ident); ok && internal[pkg.Name] {
							t.Errorf("%s: %s.%s is internal, and exported here", set.Position(n.Pos()), pkg.Name, selector.Sel.Name)
						}
					}
					return true
				})
			}
		}
	})
}

// exportedTypes returns the types that a declaration shows to users. For a
// variable that is set to a name of another package, it also returns that name.
func exportedTypes(declaration ast.Decl) (shown []ast.Node) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
			shown = append(shown, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					shown = append(shown, typeParts(s.Type)...)
				}
			case *ast.ValueSpec:
				for i, name := range s.Names {
					if name.IsExported() && s.Type != nil {
						shown = append(shown, s.Type)
					}
					if selector, ok := valueAt(s, i).(*ast.SelectorExpr); ok && name.IsExported() && d.Tok == token.VAR {
						shown = append(shown, selector)
					}
				}
			}
		}
	}
	return shown
}

func valueAt(s *ast.ValueSpec, i int) ast.Expr {
	if i < len(s.Values) {
		return s.Values[i]
	}
	return nil
}

// typeParts returns the exported parts of a struct or an interface. It returns
// any other type as a whole.
func typeParts(expr ast.Expr) (parts []ast.Node) {
	var fields *ast.FieldList
	switch e := expr.(type) {
	case *ast.StructType:
		fields = e.Fields
	case *ast.InterfaceType:
		fields = e.Methods
	default:
		return []ast.Node{expr}
	}
	for _, field := range fields.List {
		exported := len(field.Names) == 0
		for _, name := range field.Names {
			exported = exported || name.IsExported()
		}
		if exported {
			parts = append(parts, field.Type)
		}
	}
	return parts
}
