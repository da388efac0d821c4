package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// Schema is the address of the JSON Schema of pages. If the first line of a
// page contains it, editors complete keys and mark mistakes.
const Schema = "https://raw.githubusercontent.com/proxstation/proxstation/main/docs/homelab.schema.json"

// Format writes a page. The parameter "comments" holds a comment for a key, such
// as "cards.rtx". A comment is put after its key. The comment for "" goes in
// front of the page, and may have several lines. Format leaves out unset
// fields. [Parse] reads the same page back.
func Format(p Page, comments map[string]string) []byte {
	w := &writer{comments: comments}
	w.line(0, "# yaml-language-server: $schema="+Schema)
	for line := range strings.Lines(comments[""]) {
		w.line(0, strings.TrimRight("# "+strings.TrimRight(line, "\n"), " "))
	}
	for _, pair := range pairs(reflect.ValueOf(p)) {
		if slices.Contains([]reflect.Kind{reflect.Map, reflect.Struct, reflect.Pointer}, pair.value.Kind()) {
			w.WriteByte('\n')
		}
		w.pair(0, "", pair)
	}
	return w.Bytes()
}

type writer struct {
	bytes.Buffer
	comments map[string]string
}

func (w *writer) line(indent int, text string) {
	fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), text)
}

// A pair is a key of the page with its value.
type pair struct {
	key   string
	value reflect.Value
}

// pairs returns the pairs of a struct, a map or a workstation. It leaves out
// fields that are not set.
func pairs(v reflect.Value) []pair {
	v = indirect(v)
	var all []pair
	if v.Kind() == reflect.Map {
		for _, key := range v.MapKeys() {
			all = append(all, pair{fmt.Sprint(key.Interface()), v.MapIndex(key)})
		}
		slices.SortFunc(all, func(a, b pair) int { return order(a) - order(b) + 2*strings.Compare(a.key, b.key) })
		return all
	}
	if station, ok := v.Addr().Interface().(Workstation); ok {
		all = append(all, pair{"profile", reflect.ValueOf(station.Profile())})
	}
	for _, f := range fields(v.Type()) {
		if value := v.FieldByIndex(f.index); !value.IsZero() && (value.Kind() != reflect.Map && value.Kind() != reflect.Slice || value.Len() > 0) {
			all = append(all, pair{f.key, value})
		}
	}
	return all
}

// order returns a number by which workstations are sorted: four times the VMID,
// so that their names only matter if two VMIDs are equal. It returns 0 for
// other values.
func order(p pair) int {
	if station, ok := p.value.Interface().(Workstation); ok {
		return station.VMID() * 4
	}
	return 0
}

// indirect follows pointers and interfaces to their value. If the value is a
// struct, the result is an addressable struct.
func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct && !v.CanAddr() {
		addressable := reflect.New(v.Type()).Elem()
		addressable.Set(v)
		return addressable
	}
	return v
}

// width is the length up to which a mapping is written in one line, in braces.
// A longer mapping is written in block style.
const width = 100

// This writes a key with its value and its comment.
func (w *writer) pair(indent int, key string, p pair) {
	key = join(key, p.key)
	comment := w.comments[key]
	if comment != "" {
		comment = "   # " + comment
	}
	name := quoted(p.key)
	text, short := w.flow(p.value, key)
	if short && (indent > 0 || !isCollection(p.value)) && indent+len(name)+2+len(text) <= width || isScalar(p.value) {
		w.line(indent, name+": "+text+comment)
		return
	}
	w.line(indent, name+":"+comment)
	w.block(indent+2, key, p.value)
}

// This writes a collection in block style, on lines of its own.
func (w *writer) block(indent int, key string, v reflect.Value) {
	v = indirect(v)
	if v.Kind() != reflect.Slice {
		for _, p := range pairs(v) {
			w.pair(indent, key, p)
		}
		return
	}
	for i := range v.Len() {
		if text, short := w.flow(v.Index(i), key); short && indent+2+len(text) <= width || isScalar(v.Index(i)) {
			w.line(indent, "- "+text)
			continue
		}
		item := &writer{comments: w.comments}
		item.block(indent+2, fmt.Sprintf("%s[%d]", key, i), v.Index(i))
		text := item.Bytes()
		text[indent] = '-' // the first key is on the line of the hyphen
		w.Write(text)
	}
}

// flow returns a value in one line. short is false for workstations, for
// mappings inside mappings, and for values with comments inside.
func (w *writer) flow(v reflect.Value, key string) (text string, short bool) {
	if text, ok := scalarOf(v); ok {
		return text, true
	}
	if _, is := v.Interface().(Workstation); is {
		return "", false
	}
	v = indirect(v)
	var parts []string
	short = true
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			part, ok := w.flow(v.Index(i), key)
			short = short && ok && isScalar(v.Index(i))
			parts = append(parts, part)
		}
		return "[" + strings.Join(parts, ", ") + "]", short
	}
	for _, p := range pairs(v) {
		part, ok := w.flow(p.value, join(key, p.key))
		short = short && ok && w.comments[join(key, p.key)] == "" && (isScalar(p.value) || p.value.Kind() == reflect.Slice)
		parts = append(parts, quoted(p.key)+": "+part)
	}
	return "{" + strings.Join(parts, ", ") + "}", short
}

func isScalar(v reflect.Value) bool { _, ok := scalarOf(v); return ok }

func isCollection(v reflect.Value) bool { return !isScalar(v) && indirect(v).Kind() != reflect.Slice }

// scalarOf returns the text of a value that is not a collection, in quotes if
// it needs them.
func scalarOf(v reflect.Value) (string, bool) {
	if v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		return "", false
	}
	text, ok := scalarText(v)
	switch {
	case !ok:
		return "", false
	case v.Kind() == reflect.Bool, v.Kind() == reflect.Int, v.Kind() == reflect.Uint16, v.Kind() == reflect.Float64, v.Type() == reflect.TypeFor[storage.Tier]():
		return text, true
	}
	return quoted(text), true
}

var (
	plain  = regexp.MustCompile(`^[A-Za-z0-9_./-][A-Za-z0-9_./~@%+=:;() -]*$`)
	number = regexp.MustCompile(`^[-+.0-9][-+.0-9a-fA-FxXoO_:eE]*$`)
	word   = regexp.MustCompile(`^(?i:null|true|false|yes|no|on|off|y|n|\.inf|\.nan)$`)
)

// This returns a text in a form that is valid everywhere on the page. It adds
// quotes unless the text is plain and YAML reads it as a string.
func quoted(text string) string {
	switch {
	case !plain.MatchString(text), number.MatchString(text) && !isInteger(text), word.MatchString(text),
		strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "--") && strings.HasPrefix(text[1:], " "),
		strings.HasPrefix(text, "---"), strings.HasPrefix(text, "..."), strings.Contains(text, ": "), strings.HasSuffix(text, ":"), strings.HasSuffix(text, " "):
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(text) // encoding a string cannot fail
		return strings.TrimSuffix(b.String(), "\n")
	}
	return text
}

func isInteger(text string) bool {
	return strings.Trim(text, "0123456789") == "" && !strings.HasPrefix(text, "0")
}
