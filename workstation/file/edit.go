package file

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// ErrEdit reports a change that [Source.Set] cannot make by changing a single
// value of the file.
var ErrEdit = errors.New("file: cannot be changed in place")

// Set returns a copy of the page with a new value at a key, such as
// "workstations.macos.stage". If the key is missing, Set adds it to the mapping
// around it, which must exist. All other bytes of the file stay the same:
// comments, order and spaces. The value is a string, a number, a bool, a
// [storage.Size] or a value of the field's type.
//
// The error matches [ErrInvalid] if the changed page is not valid. It matches
// [ErrEdit] if the old value has several lines or the mapping does not exist.
// Such a change needs an editor.
func (s *Source) Set(key string, value any) (*Source, error) {
	w := &writer{}
	text, _ := w.flow(reflect.ValueOf(value), "")
	var edited []byte
	var err error
	if node, there := s.at[key]; there && key != "" {
		edited, err = s.replace(node, key, text)
	} else {
		edited, err = s.insert(key, text)
	}
	if err != nil {
		return nil, err
	}
	after, err := Parse(s.Name, edited)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(s.others(key), after.others(key)) {
		return nil, fmt.Errorf("%w: %s: other values would change too", ErrEdit, key)
	}
	return after, nil
}

func parentOf(key string) string { return key[:max(0, strings.LastIndex(key, "."))] }

// This returns the values of all keys except the given key and the keys below
// it.
func (s *Source) others(key string) map[string]string {
	values := map[string]string{}
	for at, node := range s.at {
		if text, ok := scalar(node); ok && at != key && !strings.HasPrefix(at, key+".") && !strings.HasPrefix(at, key+"[") {
			values[at] = text
		}
	}
	return values
}

// replace replaces the text of a value.
func (s *Source) replace(node ast.Node, key, text string) ([]byte, error) {
	from, to, ok := s.span(node)
	if !ok {
		return nil, fmt.Errorf("%w: %s: its value has several lines", ErrEdit, key)
	}
	return slices.Concat(s.text[:from], []byte(text), s.text[to:]), nil
}

// span returns the offsets at which the text of a value begins and ends. ok is
// false if the value has several lines.
func (s *Source) span(node ast.Node) (from, to int, ok bool) {
	t := node.GetToken()
	from = s.offset(*t.Position)
	rest := s.text[from:]
	switch n := node.(type) {
	case *ast.MappingNode:
		if n.IsFlowStyle && n.End != nil {
			return from, s.offset(*n.End.Position) + 1, true
		}
		return 0, 0, false
	case *ast.SequenceNode:
		if n.IsFlowStyle && n.End != nil {
			return from, s.offset(*n.End.Position) + 1, true
		}
		return 0, 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	switch {
	case t.Type == token.DoubleQuoteType || t.Type == token.SingleQuoteType:
		if n := closing(line); n > 0 {
			return from, from + n, true
		}
	case t.Type != token.NullType && t.Value != "" && bytes.HasPrefix(line, []byte(t.Value)) && node.Type() != ast.LiteralType:
		return from, from + len(t.Value), true
	}
	return 0, 0, false
}

// This returns the length of the quoted text at the beginning of a line. It
// returns 0 if the closing quote is not on that line.
func closing(line []byte) int {
	for i := 1; i < len(line); i++ {
		switch {
		case line[0] == '"' && line[i] == '\\':
			i++
		case line[i] == line[0] && line[0] == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
		case line[i] == line[0]:
			return i + 1
		}
	}
	return 0
}

// offset returns the byte offset of a position in the text. Columns count
// characters.
func (s *Source) offset(p token.Position) int {
	at := 0
	for range p.Line - 1 {
		at += bytes.IndexByte(s.text[at:], '\n') + 1
	}
	for range p.Column - 1 {
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return min(at, len(s.text))
}

// insert adds a key to its parent mapping.
func (s *Source) insert(key, text string) ([]byte, error) {
	parent := parentOf(key)
	node, there := s.at[parent]
	pairs, isMapping := mapping(node)
	if !there || !isMapping || len(pairs) == 0 && parent == "" {
		return nil, fmt.Errorf("%w: %s: %s is not there", ErrEdit, key, parent)
	}
	entry := quoted(strings.TrimPrefix(key[len(parent):], ".")) + ": " + text
	if flow, ok := node.(*ast.MappingNode); ok && flow.IsFlowStyle {
		if len(pairs) > 0 {
			entry = ", " + entry
		}
		at := s.offset(*flow.End.Position)
		return slices.Concat(s.text[:at], []byte(entry), s.text[at:]), nil
	}
	at := s.offset(token.Position{Line: lastLine(node) + 1, Column: 1})
	lead := ""
	if at == 0 || at > 0 && s.text[at-1] != '\n' || bytes.Count(s.text, []byte("\n")) < lastLine(node) {
		at, lead = len(s.text), "\n"
	}
	indent := strings.Repeat(" ", position(pairs[0]).Column-1)
	return slices.Concat(s.text[:at], []byte(lead+indent+entry+"\n"), s.text[at:]), nil
}

// lastLine returns the number of the last line of a value.
func lastLine(node ast.Node) int {
	last := position(node).Line
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, pair := range n.Values {
			last = max(last, lastLine(pair))
		}
		if n.IsFlowStyle && n.End != nil {
			last = max(last, n.End.Position.Line)
		}
	case *ast.MappingValueNode:
		last = max(last, lastLine(n.Value))
	case *ast.SequenceNode:
		for _, item := range n.Values {
			last = max(last, lastLine(item))
		}
		if n.IsFlowStyle && n.End != nil {
			last = max(last, n.End.Position.Line)
		}
	case *ast.LiteralNode:
		last += strings.Count(strings.TrimRight(n.Value.Value, "\n"), "\n") + 1
	}
	return last
}
