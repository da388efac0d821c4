package file

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A field is a field of a Go struct. Its key is the key on the page that sets
// the field.
type field struct {
	key   string
	index []int
	typ   reflect.Type
}

// fields returns the fields of a struct, in their order. The fields of an
// embedded struct are included, with two exceptions: fields that the tag "omit"
// of the embedded struct lists, and fields whose key the outer struct has too.
func fields(t reflect.Type) []field {
	var all []field
	own := map[string]bool{}
	for f := range t.Fields() {
		if !f.Anonymous && f.IsExported() {
			own[keyOf(f)] = true
		}
	}
	for f := range t.Fields() {
		switch {
		case f.Anonymous:
			omitted := strings.Split(f.Tag.Get("omit"), ",")
			for _, inner := range fields(f.Type) {
				if !own[inner.key] && !slices.Contains(omitted, f.Type.FieldByIndex(inner.index).Name) {
					all = append(all, field{inner.key, append([]int{f.Index[0]}, inner.index...), inner.typ})
				}
			}
		case f.IsExported():
			all = append(all, field{keyOf(f), f.Index, f.Type})
		}
	}
	return all
}

// keyOf returns the key of a field: the field's name in small letters with
// hyphens.
func keyOf(f reflect.StructField) string { return kebab(brands.Replace(f.Name)) }

// brands writes the names of products as one word, so that their keys have no
// hyphen: "OpenCore" has the key opencore.
var brands = strings.NewReplacer("OpenCore", "Opencore", "RustDesk", "Rustdesk", "DualBoot", "Dualboot")

// kebab returns a Go name or a displayed name in small letters with hyphens:
// "HugePages" and "Huge Pages" become "huge-pages", "SSHKeys" becomes
// "ssh-keys".
func kebab(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		last := i > 0 && letters[i-1] != ' '
		after := i+1 < len(letters) && unicode.IsLower(letters[i+1])
		switch {
		case r == ' ':
			b.WriteByte('-')
			continue
		case unicode.IsUpper(r) && last && (!unicode.IsUpper(letters[i-1]) || after):
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
