package opencore

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Key is the path of a value in config.plist. An element of the path is the
// key of a dictionary's member, or the number of an array's member.
type Key []string

// String returns the key as OpenCore's manual writes it, such as
// "Misc -> Security -> ScanPolicy".
func (k Key) String() string { return printable.Line(strings.Join(k, " -> ")) }

// A Change changes one key of config.plist.
type Change struct {
	Key Key
	// Have is the present value. Its kind is [Absent] if the key is new, or if
	// the change inserts a new member into an array. In the second case, the
	// last element of Key is the index of the new member.
	Have Value
	// Want is the value after the change. Its kind is [Absent] if the key is
	// deleted.
	Want Value
}

// unfit reports whether writing a name as XML and reading it again would change
// the name. XML has no control characters, and every line break is read as a
// line feed (XML 1.0 section 2.2 and 2.11).
func unfit(name string) bool {
	return !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r&0xfffe == 0xfffe })
}

func isNumber(name string) bool {
	n, err := strconv.ParseUint(name, 10, 31)
	return err == nil && strconv.FormatUint(n, 10) == name
}

// The function "edit" makes one change in a config.plist. All other bytes stay
// the same.
func edit(text []byte, c Change) ([]byte, error) {
	root, twice, err := parse(text)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(c.Key, unfit) {
		return nil, &ConfigError{Why: fmt.Sprintf("the key %q has characters that no XML has", []string(c.Key))}
	}
	for depth := range c.Key {
		if above := c.Key[:depth+1]; slices.Contains(twice, above.String()) {
			return nil, &ConfigError{Why: fmt.Sprintf("%s is there more than once; delete all but one", above)}
		}
	}
	if have := root.Get(c.Key...); c.Have.Kind != Absent && !have.Equal(c.Have) {
		return nil, &ConfigError{Why: fmt.Sprintf("%s is no longer as planned", c.Key)}
	}
	parent, depth := root, 0
	for ; depth < len(c.Key)-1; depth++ { // find the innermost dictionary or array that exists
		i := parent.index(c.Key[depth])
		if i < 0 {
			break
		}
		parent = parent.Items[i].Value
	}
	if parent.Kind != Dict && parent.Kind != Array {
		return nil, &ConfigError{Why: fmt.Sprintf("%s is a %s, want a dict", c.Key[:depth], parent.Kind)}
	}
	name, want := c.Key[depth], c.Want
	for i := len(c.Key) - 1; i > depth; i-- { // make the missing containers
		want = Value{Kind: configShape.at(c.Key[:i]), Items: []Item{{Key: c.Key[i], Value: want}}}
	}
	at := parent.index(name)
	switch {
	case c.Want.Kind == Absent && at < 0:
		return text, nil
	case c.Want.Kind == Absent:
		return remove(text, parent, at), nil
	case at >= 0 && c.Have.Kind != Absent:
		v := parent.Items[at].Value
		return splice(text, v.at.begin, v.at.end, want.element(indentOf(text, v.at.begin))), nil
	case at < 0 && parent.Kind == Array && !isNumber(name):
		return nil, &ConfigError{Why: fmt.Sprintf("%s: %q is not the number of a place in the array", c.Key, name)}
	case at >= 0 && parent.Kind == Dict:
		return nil, &ConfigError{Why: fmt.Sprintf("%s is there already", c.Key)}
	}
	return insert(text, parent, at, name, want), nil
}

func splice(text []byte, begin, end int64, with string) []byte {
	return slices.Concat(text[:begin], []byte(with), text[end:])
}

// indentOf returns the blanks before the element at an offset. If something
// else is before the element in its line, it returns "".
func indentOf(text []byte, at int64) string {
	line := text[bytes.LastIndexByte(text[:at], '\n')+1 : at]
	if len(bytes.TrimLeft(line, " \t")) > 0 {
		return ""
	}
	return string(line)
}

// Deletes a member, with the white space before it.
func remove(text []byte, parent Value, i int) []byte {
	item := parent.Items[i]
	begin := item.key
	for begin > parent.at.inner && bytes.IndexByte([]byte(" \t\r\n"), text[begin-1]) >= 0 {
		begin--
	}
	return splice(text, begin, item.Value.at.end, "")
}

// Adds a new member before an existing member. The parameter "at" is the index
// of the existing member, or -1 to add the new member at the end.
func insert(text []byte, parent Value, at int, name string, want Value) []byte {
	outer := indentOf(text, parent.at.begin)
	indent := outer + "\t"
	if len(parent.Items) > 0 {
		indent = indentOf(text, parent.Items[0].key)
	}
	member := want.element(indent)
	if parent.Kind == Dict {
		member = "<key>" + escaped(name) + "</key>\n" + indent + member
	}
	switch {
	case at >= 0:
		place := parent.Items[at].key
		return splice(text, place, place, member+"\n"+indent)
	case len(parent.Items) > 0:
		place := parent.Items[len(parent.Items)-1].Value.at.end
		return splice(text, place, place, "\n"+indent+member)
	}
	return splice(text, parent.at.begin, parent.at.end,
		fmt.Sprintf("<%s>\n%s%s\n%s</%[1]s>", parent.Kind, indent, member, outer))
}
