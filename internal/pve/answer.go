package pve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// The limits of an answer. PVE's largest answer lists the resources of a
// cluster: with 5,000 guests it has 5 MB and 200,000 values. PVE's deepest
// answer is the tree of a ZFS pool, with six levels. The content of a guest's
// file may have 16 MiB, and can be six times as long in JSON. The output of a
// guest's command consists of two texts of this size.
const (
	maxAnswer      = 16 << 20
	maxAgentAnswer = 200 << 20
	maxDepth       = 64
	maxValues      = 1 << 20
)

func answerBound(path string) int64 {
	if strings.Contains(path, "/agent/") {
		return maxAgentAnswer
	}
	return maxAnswer
}

// An Odd is a value of an answer that has the wrong type. The value counts as
// absent.
type Odd struct {
	Method, Path string // the method and path of the request
	Value        string // the place in the answer, and the kind of the value: "[3].maxmem: a list"
}

type oddKey struct{}

// WithOdd returns a context whose requests pass their odd values to the
// function report, which must be safe for concurrent use.
func WithOdd(ctx context.Context, report func(Odd)) context.Context {
	return context.WithValue(ctx, oddKey{}, report)
}

// decode stores the fitting values of an answer in v, and returns the places of
// the values that do not fit. It stops when its context ends. If the whole
// answer has the wrong type, such as a number in place of a list, decode
// returns an error.
func decode(ctx context.Context, path string, data []byte, v any) (odd []string, err error) {
	if err := measure(ctx, data, answerBound(path)); err != nil {
		return nil, err
	}
	d := decoder{ctx: ctx}
	err = d.all(data, reflect.ValueOf(v).Elem())
	return d.odd, err
}

// measure returns an error for an answer beyond the limits, before memory is
// allocated for its values.
func measure(ctx context.Context, data []byte, bound int64) error {
	if int64(len(data)) > bound {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, bound)
	}
	depth, values, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth--
		case b == ',':
			values++
		}
		switch {
		case depth > maxDepth:
			return fmt.Errorf("%w: nested more than %d deep", ErrTooLarge, maxDepth)
		case values > maxValues:
			return fmt.Errorf("%w: more than %d values", ErrTooLarge, maxValues)
		case i%(1<<20) == 0 && ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
	return nil
}

// maxOdd is the largest number of odd values that are reported for one answer.
const maxOdd = 20

// A decoder stores JSON in Go values. It continues after a value of a wrong
// type. It records the place of this value in words for people, without the
// names of Go's types. The package encoding/json does neither for types that
// decode themselves.
type decoder struct {
	ctx context.Context
	odd []string
}

// The method "all" decodes an answer. It decodes a long list value by value, so
// that it can stop when the context ends.
func (d *decoder) all(data []byte, to reflect.Value) error {
	from := json.NewDecoder(bytes.NewReader(data))
	from.UseNumber()
	if to.Kind() != reflect.Slice || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		var value any
		if err := from.Decode(&value); err != nil {
			return errNotJSON
		}
		if !d.put("", value, to) {
			return fmt.Errorf("%w: %s in place of %s", ErrAnswer, kind(value), wanted(to))
		}
		return nil
	}
	_, _ = from.Token() // skips the opening bracket
	for i := 0; from.More(); i++ {
		var value any
		if err := from.Decode(&value); err != nil {
			return errNotJSON
		}
		if err := d.ctx.Err(); err != nil {
			return context.Cause(d.ctx)
		}
		d.add(fmt.Sprintf("[%d]", i), value, to)
	}
	return nil
}

// A taker takes the fitting part of a JSON value, and reports whether the value
// has the right kind.
type taker interface{ take(value any) bool }

// put stores a JSON value in a Go value, and reports whether the JSON value has
// the right kind. Null counts as absent. Where a list is expected, an empty
// object counts as an empty list, and the other way round, because PVE mixes
// them up.
func (d *decoder) put(at string, value any, to reflect.Value) bool {
	if value == nil {
		return true
	}
	if t, ok := to.Addr().Interface().(taker); ok {
		return t.take(value)
	}
	switch to.Kind() {
	case reflect.Pointer:
		held := reflect.New(to.Type().Elem())
		if !d.put(at, value, held.Elem()) {
			return false
		}
		to.Set(held)
		return true
	case reflect.Interface:
		to.Set(reflect.ValueOf(value))
		return true
	case reflect.String:
		var t text
		fits := t.take(value)
		to.SetString(printable.Line(string(t)))
		return fits
	case reflect.Slice:
		list, fits := value.([]any)
		for i, element := range list {
			d.add(fmt.Sprintf("%s[%d]", at, i), element, to)
		}
		return fits || empty(value)
	case reflect.Map, reflect.Struct:
		object, fits := value.(map[string]any)
		if fits && to.Kind() == reflect.Map {
			d.fill(at, object, to)
		} else if fits {
			d.fields(at, object, to)
		}
		return fits || empty(value)
	}
	return false
}

// add appends a value to a list, if it fits.
func (d *decoder) add(at string, value any, to reflect.Value) {
	element := reflect.New(to.Type().Elem()).Elem()
	if !d.put(at, value, element) {
		d.note(at, value)
		return
	}
	to.Set(reflect.Append(to, element))
}

func (d *decoder) fill(at string, object map[string]any, to reflect.Value) {
	if to.IsNil() {
		to.Set(reflect.MakeMap(to.Type()))
	}
	for key, value := range object {
		element := reflect.New(to.Type().Elem()).Elem()
		if !d.put(at+"."+key, value, element) {
			d.note(at+"."+key, value)
			continue
		}
		to.SetMapIndex(reflect.ValueOf(key), element)
	}
}

// fields fills a struct. The JSON name of a field is its tag, or its Go name in
// small letters, as PVE writes names.
func (d *decoder) fields(at string, object map[string]any, to reflect.Value) {
	for i := range to.NumField() {
		field := to.Type().Field(i)
		name := field.Tag.Get("json")
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		if value := object[name]; !d.put(at+"."+name, value, to.Field(i)) {
			d.note(at+"."+name, value)
		}
	}
}

func (d *decoder) note(at string, value any) {
	if len(d.odd) < maxOdd {
		d.odd = append(d.odd, printable.Line(strings.TrimPrefix(at, "."))+": "+kind(value))
	}
}

func empty(value any) bool {
	switch v := value.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// The function "kind" returns the kind of a JSON value in words for people.
func kind(value any) string {
	switch v := value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case bool:
		return "true or false"
	case json.Number:
		return "the number " + v.String()
	case nil:
		return "nothing"
	}
	return "a text"
}

func wanted(to reflect.Value) string {
	switch to.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a text"
}
