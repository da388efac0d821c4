// Package enum prints and parses the values of small integer types. Such a type
// only needs a table of names, in the order of the values.
package enum

import (
	"fmt"
	"slices"
	"strings"
)

// Name returns the name of a value, or "Type(9)" for a value beyond the table.
func Name[E ~uint8](names []string, value E) string {
	if int(value) < len(names) {
		return names[value]
	}
	kind := fmt.Sprintf("%T", value)
	return fmt.Sprintf("%s(%d)", kind[strings.LastIndexByte(kind, '.')+1:], uint8(value))
}

// Unmarshal looks a name up in the table, and stores the number that belongs to
// the name in *value. UnmarshalText methods call it. If the table lacks the
// name, the error wraps unknown and lists the names.
func Unmarshal[E ~uint8](value *E, names []string, name string, unknown error) error {
	i := slices.Index(names, name)
	if i < 0 {
		return fmt.Errorf("%w %q: want %s", unknown, name, oneOf(names))
	}
	*value = E(i)
	return nil
}

func oneOf(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
