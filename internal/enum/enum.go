// Package enum names the values of small integer types: a table of names, in
// the order of the values, is all that such a type needs to print and to be
// parsed.
package enum

import (
	"fmt"
	"slices"
	"strings"
)

// Name returns the name of a value, and "Type(9)" for a value beyond the table.
func Name[E ~uint8](names []string, value E) string {
	if int(value) < len(names) {
		return names[value]
	}
	kind := fmt.Sprintf("%T", value)
	return fmt.Sprintf("%s(%d)", kind[strings.LastIndexByte(kind, '.')+1:], uint8(value))
}

// Parse returns the value that has the name. It reports false if no value has
// it.
func Parse[E ~uint8](names []string, name string) (E, bool) {
	i := slices.Index(names, name)
	return E(max(i, 0)), i >= 0
}

// Unmarshal sets the value that has the name, for UnmarshalText methods. The
// error matches unknown and lists the names.
func Unmarshal[E ~uint8](value *E, names []string, name string, unknown error) error {
	parsed, ok := Parse[E](names, name)
	if !ok {
		return fmt.Errorf("%w %q: want %s", unknown, name, oneOf(names))
	}
	*value = parsed
	return nil
}

func oneOf(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
