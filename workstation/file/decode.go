package file

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A decoder fills the types of the page from YAML's tree. It continues after a
// mistake, so that all mistakes are reported at once.
type decoder struct {
	errs Errors
	at   map[string]ast.Node // the YAML node of each value, by the place of the value on the page
}

func (d *decoder) fail(node ast.Node, key, format string, args ...any) {
	p := position(node)
	d.errs = append(d.errs, &Error{Line: p.Line, Column: p.Column, Key: key, Why: fmt.Sprintf(format, args...)})
}

// position returns where a node begins. A mapping begins at its first key.
func position(node ast.Node) token.Position {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0])
		}
	case *ast.MappingValueNode:
		return position(n.Key)
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		return *t.Position
	}
	return token.Position{Line: 1, Column: 1}
}

func join(key, name string) string { return strings.TrimPrefix(key+"."+name, ".") }

// The method "value" stores the value of a YAML node in v.
func (d *decoder) value(node ast.Node, v reflect.Value, key string) {
	d.at[key] = node
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.fail(node, key, "a page has no anchors, aliases and tags: write the value itself")
		return
	}
	text, isScalar := scalar(node)
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(node, v.Elem(), key)
	case v.Type() == reflect.TypeFor[Workstation]():
		d.workstation(node, v, key)
	case isScalar && node.Type() == ast.NullType && (v.Kind() == reflect.Map || v.Kind() == reflect.Slice):
	case isScalar && node.Type() == ast.NullType:
		d.fail(node, key, "it has no value: %s, or leave the key out", wanted(v.Type()))
	case isScalar && v.Kind() == reflect.Slice: // a single value is a list with one element
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(node, v.Index(0), key)
		d.at[key+"[0]"] = node
	case isScalar:
		if why := parse(text, v); why != "" {
			d.fail(node, key, "%s", why)
		}
	default:
		d.collection(node, v, key)
	}
}

// This fills a list, a map or a struct.
func (d *decoder) collection(node ast.Node, v reflect.Value, key string) {
	list, isList := node.(*ast.SequenceNode)
	pairs, isMapping := mapping(node)
	_, isWord := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isList && v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
		for i, item := range list.Values {
			d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
	case isMapping && v.Kind() == reflect.Map:
		d.dictionary(pairs, v, key)
	case isMapping && v.Kind() == reflect.Struct && (!isWord || len(fields(v.Type())) > 0):
		d.structure(pairs, v, key)
	default:
		d.fail(node, key, "%s", wanted(v.Type()))
	}
}

// The method "each" calls do() for each key of a mapping. It reports two
// mistakes: a key that is a list or a mapping or is empty, and a key that
// appears twice.
func (d *decoder) each(pairs []*ast.MappingValueNode, key string, do func(name string, pair *ast.MappingValueNode)) {
	seen := map[string]int{}
	for _, pair := range pairs {
		name, ok := "", false
		if pair.Key != nil && !pair.Key.IsMergeKey() {
			name, ok = scalar(pair.Key)
		}
		line, twice := seen[name]
		switch {
		case !ok || name == "":
			d.fail(pair.Key, key, "a key of a page is a word")
			continue
		case twice:
			d.fail(pair.Key, join(key, name), "the key stands here twice, first in line %d", line)
			continue
		}
		seen[name] = position(pair.Key).Line
		do(name, pair)
	}
}

// This fills a map from a mapping on the page. The user chose the keys.
func (d *decoder) dictionary(pairs []*ast.MappingValueNode, v reflect.Value, key string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.each(pairs, key, func(name string, pair *ast.MappingValueNode) {
		if known := words[v.Type().Key()]; known != nil && !slices.Contains(known, name) {
			d.fail(pair.Key, join(key, name), "no such key: %s", unknown(known, name))
			return
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(pair.Value, item, join(key, name))
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	})
}

// This fills a struct from a mapping on the page. The keys are the names of the
// struct's fields.
func (d *decoder) structure(pairs []*ast.MappingValueNode, v reflect.Value, key string, besides ...string) {
	known := fields(v.Type())
	d.each(pairs, key, func(name string, pair *ast.MappingValueNode) {
		if slices.Contains(besides, name) {
			return
		}
		i := slices.IndexFunc(known, func(f field) bool { return f.key == name })
		if i < 0 {
			keys := slices.Clone(besides)
			for _, f := range known {
				keys = append(keys, f.key)
			}
			d.fail(pair.Key, join(key, name), "no such key: %s", unknown(sorted(keys), name))
			return
		}
		d.value(pair.Value, v.FieldByIndex(known[i].index), join(key, name))
	})
}

// workstation fills v with a workstation of the profile that the mapping names.
func (d *decoder) workstation(node ast.Node, v reflect.Value, key string) {
	pairs, ok := mapping(node)
	if !ok {
		d.fail(node, key, "want the keys of a workstation: profile, id and others")
		return
	}
	var profiles []string
	for _, kind := range kinds {
		profiles = append(profiles, kind().Profile())
	}
	for _, pair := range pairs {
		if name, _ := scalar(pair.Key); name != "profile" {
			continue
		}
		profile, _ := scalar(pair.Value)
		d.at[join(key, "profile")] = pair.Value
		i := slices.Index(profiles, profile)
		if i < 0 {
			d.fail(pair.Value, join(key, "profile"), "%q is not a profile: %s", profile, unknown(profiles, profile))
			return
		}
		made := kinds[i]()
		d.structure(pairs, reflect.ValueOf(made).Elem(), key, "profile")
		v.Set(reflect.ValueOf(made))
		return
	}
	d.fail(node, key, "it has no profile: want profile: and %s", oneOf(profiles))
}

// parse fills v with a scalar. If the text is not valid, it returns the reason.
func parse(text string, v reflect.Value) (why string) {
	if known := words[v.Type()]; known != nil && !slices.Contains(known, text) {
		return fmt.Sprintf("%q is not valid: %s", text, unknown(known, text))
	}
	if n, special := notations[v.Type()]; special {
		value, err := n.parse(text)
		if err != nil {
			return err.Error()
		}
		v.Set(reflect.ValueOf(value))
		return ""
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return strings.TrimPrefix(err.Error(), "file: ")
		}
		return ""
	}
	return parseKind(text, v)
}

// parseKind fills v according to its kind in Go, such as reflect.Bool. It is
// for types that have no fixed set of words and no parser. If the text is not
// valid, it returns the reason.
func parseKind(text string, v reflect.Value) (why string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Sprintf("%q is not valid: want true or false", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil || n < 0 || strings.HasPrefix(text, "+") {
			return fmt.Sprintf("%q is not valid: want a whole number, 0 or more", text)
		}
		v.SetInt(n)
	case reflect.Uint16:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Sprintf("%q is not valid: want a whole number from 0 to 65535", text)
		}
		v.SetUint(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Sprintf("%q is not valid: want a number", text)
		}
		v.SetFloat(f)
	default:
		return wanted(v.Type())
	}
	return ""
}

// This describes a valid value of a type, for error messages.
func wanted(t reflect.Type) string {
	n, special := notations[t]
	switch {
	case words[t] != nil:
		return "want " + oneOf(words[t])
	case special:
		return "want a value such as " + n.sample
	case t.Kind() == reflect.Slice:
		return "want a list, such as [a, b]"
	case t.Kind() == reflect.Map:
		return "want names with their values below"
	case t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		var keys []string
		for _, f := range fields(t) {
			keys = append(keys, f.key)
		}
		return "want keys below: " + oneOf(keys)
	}
	return "want a single value"
}

// This returns the text of a value that is neither a list nor a mapping. Quotes
// are removed.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.StringNode:
		return n.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// This returns the pairs of a mapping.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}
