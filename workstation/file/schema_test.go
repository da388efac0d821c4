package file

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

var update = flag.Bool("update", false, "write docs/homelab.schema.json anew")

const schemaFile = "../../docs/homelab.schema.json"

// The schema in docs equals the schema made from the types and their comments.
func TestSchema(t *testing.T) {
	t.Parallel()
	s := &schema{comments: comments(t), definitions: map[string]any{}}
	page := s.structure(reflect.TypeFor[Page]())
	page["$schema"], page["$id"], page["title"] = "http://json-schema.org/draft-07/schema#", Schema, "The workstations of a Proxmox VE node"
	page["definitions"] = s.definitions
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(page); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(have, want.Bytes()) {
		t.Errorf("docs/homelab.schema.json is not what the types say: go test ./workstation/file -run TestSchema -update (%v)", err)
	}
}

// A schema is a JSON Schema that is made from Go types.
type schema struct {
	comments    map[string]string // comments of fields, with keys such as "profile.MacOS.Cores"
	definitions map[string]any
}

func (s *schema) structure(t reflect.Type, besides ...string) map[string]any {
	properties := map[string]any{}
	for _, f := range fields(t) {
		p := s.of(f.typ)
		if comment := s.comment(t, f.index); comment != "" {
			p["description"] = comment
		}
		properties[f.key] = p
	}
	for _, key := range besides {
		properties[key] = true
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// comment returns the comment of a field, which may be a field of an embedded
// struct.
func (s *schema) comment(t reflect.Type, index []int) string {
	for _, i := range index[:len(index)-1] {
		t = t.Field(i).Type
	}
	return s.comments[t.String()+"."+t.Field(index[len(index)-1]).Name]
}

func pattern(p string) map[string]any { return map[string]any{"type": "string", "pattern": p} }

func (s *schema) of(t reflect.Type) map[string]any {
	isText := reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
	switch {
	case t == reflect.TypeFor[storage.Tier]():
		return map[string]any{"enum": []int{1, 2, 3}}
	case words[t] != nil:
		return map[string]any{"enum": words[t]}
	case t == reflect.TypeFor[storage.Size]():
		return pattern(`^[0-9.]+ ?([KMGT]iB|[KMGT])$`)
	case t == reflect.TypeFor[time.Duration]():
		return pattern(`^([0-9.]+(h|m|s|ms))+$`)
	case t == reflect.TypeFor[iommu.Address]():
		return pattern(`^([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}(\.[0-7])?$`)
	case t == reflect.TypeFor[Reference]():
		return pattern(`^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$`)
	case t == reflect.TypeFor[Workstation]():
		return s.workstation()
	case t == reflect.TypeFor[Server]():
		return map[string]any{"anyOf": []any{map[string]any{"const": "public"}, s.structure(t)}}
	case t == reflect.TypeFor[Identity]():
		return map[string]any{"anyOf": []any{map[string]any{"const": "made-up"}, s.structure(t)}}
	case t == reflect.TypeFor[OpenCore]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, s.structure(t)}}
	case isText:
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return map[string]any{"anyOf": []any{s.of(t.Elem()), map[string]any{"type": "array", "items": s.of(t.Elem())}}}
	case reflect.Map:
		m := map[string]any{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
		if t.Elem().Kind() == reflect.String {
			m["additionalProperties"] = map[string]any{"type": []string{"string", "number"}}
		}
		if known := words[t.Key()]; known != nil {
			m["propertyNames"] = map[string]any{"enum": known}
		}
		return m
	case reflect.Struct:
		if _, made := s.definitions[t.String()]; !made {
			s.definitions[t.String()] = s.structure(t)
		}
		return map[string]any{"allOf": []any{map[string]any{"$ref": "#/definitions/" + t.String()}}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Uint16:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	}
	return map[string]any{"type": "string"}
}

// workstation returns the schema of a workstation. Its key profile decides
// which other keys it may have.
func (s *schema) workstation() map[string]any {
	var profiles []string
	var rules []any
	for _, kind := range kinds {
		w := kind()
		name := "workstation " + w.Profile()
		s.definitions[name] = s.structure(reflect.TypeOf(w).Elem(), "profile")
		profiles = append(profiles, w.Profile())
		rules = append(rules, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"profile": map[string]any{"const": w.Profile()}}},
			"then": map[string]any{"$ref": "#/definitions/" + name},
		})
	}
	return map[string]any{"type": "object", "required": []string{"profile"}, "allOf": rules, "properties": map[string]any{
		"profile": map[string]any{"enum": profiles, "description": "What the VM is for; it decides which other keys there are."}}}
}

// This reads the comments of all fields from the source files.
func comments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{".", "../profile", "../firstboot", "../install", "..", "../../storage", "../rustdesk", "../access"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok {
					if body, ok := spec.Type.(*ast.StructType); ok {
						for _, field := range body.Fields.List {
							for _, id := range field.Names {
								all[file.Name.Name+"."+spec.Name.Name+"."+id.Name] = comment(field)
							}
						}
					}
				}
				return true
			})
		}
	}
	return all
}

func comment(field *ast.Field) string {
	words := strings.Fields(field.Doc.Text())
	if len(words) == 0 {
		words = strings.Fields(field.Comment.Text())
	}
	return strings.Join(words, " ")
}

// Every key has a description for editors.
func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	s := &schema{comments: comments(t), definitions: map[string]any{}}
	for _, of := range append([]reflect.Type{reflect.TypeFor[Page](), reflect.TypeFor[Card](), reflect.TypeFor[Remote]()}, kindTypes()...) {
		for _, f := range fields(of) {
			if s.comment(of, f.index) == "" {
				t.Errorf("%v: %s has no description", of, f.key)
			}
		}
	}
}

func kindTypes() []reflect.Type {
	var types []reflect.Type
	for _, kind := range kinds {
		types = append(types, reflect.TypeOf(kind()).Elem())
	}
	return slices.Clip(types)
}
