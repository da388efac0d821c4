package file

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A Source is the text of a page, together with the [Page] that it describes.
type Source struct {
	// Name is the name of the file in error messages.
	Name string
	// Page is the page that the text describes.
	Page Page

	text []byte
	at   map[string]ast.Node
}

// These limits keep parsing fast. maxBytes limits the size of a page. maxDepth
// limits how deeply brackets are nested, because the parser's time grows with
// the square of this depth.
const (
	maxBytes = 256 << 10
	maxDepth = 32
)

// Parse reads a page. The name is only used in errors. The error is an [Errors]
// with all mistakes, which matches [ErrInvalid].
func Parse(name string, text []byte) (*Source, error) {
	s := &Source{Name: name, text: bytes.Clone(text)}
	node, errs := tree(text)
	if len(errs) == 0 {
		d := &decoder{at: map[string]ast.Node{}}
		if node != nil {
			d.value(node, reflect.ValueOf(&s.Page).Elem(), "")
		}
		s.at, errs = d.at, d.errs
		errs = append(errs, s.locate(s.Page.check())...)
	}
	for _, e := range errs {
		e.File = name
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// tree parses YAML. It returns a nil node for an empty file.
func tree(text []byte) (ast.Node, Errors) {
	if len(text) > maxBytes {
		return nil, Errors{{Line: 1, Column: 1, Why: "the file is larger than a page can be (256 KiB)"}}
	}
	if i := invalid(text); i >= 0 {
		line := bytes.Count(text[:i], []byte("\n")) + 1
		column := utf8.RuneCount(text[bytes.LastIndexByte(text[:i], '\n')+1:i]) + 1
		return nil, Errors{{Line: line, Column: column, Why: "not UTF-8"}}
	}
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	if errs := refuse(tokens); len(errs) > 0 {
		return nil, errs
	}
	parsed, err := parser.Parse(tokens, parser.ParseComments, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Errors{syntax(err)}
	}
	var bodies []ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, nil
	case 1:
		return bodies[0], nil
	}
	p := position(bodies[1])
	return nil, Errors{{Line: p.Line, Column: p.Column, Why: "a page is one document: what comes after --- belongs in a file of its own"}}
}

// invalid returns the offset of the first byte that is not UTF-8. It returns -1
// if the text is valid.
func invalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// refuse reports parts that a page must not have: anchors, aliases, tags, and
// brackets that are nested too deeply. It runs before the tree is made.
func refuse(tokens token.Tokens) (errs Errors) {
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			errs = append(errs, &Error{Line: t.Position.Line, Column: t.Position.Column,
				Why: "a page has no anchors (&), aliases (*), merge keys (<<) and tags (!): write the value itself, in quotes if it begins with such a sign"})
		}
		if depth > maxDepth || t.Position.Column > 4*maxDepth && t.Type == token.SequenceEntryType {
			return Errors{{Line: t.Position.Line, Column: t.Position.Column, Why: "lists and mappings are nested deeper than a page needs"}}
		}
	}
	return errs
}

// syntax turns an error of the YAML parser into an [Error].
func syntax(err error) *Error {
	e := &Error{Line: 1, Column: 1, Why: "not YAML: " + err.Error()}
	var problem yaml.Error
	if errors.As(err, &problem) {
		e.Why = "not YAML: " + problem.GetMessage()
		if t := problem.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	return e
}

// Bytes returns the text as it stands in the file.
func (s *Source) Bytes() []byte { return bytes.Clone(s.text) }

// locate adds line and column to mistakes of this page.
func (s *Source) locate(errs Errors) Errors {
	for _, e := range errs {
		for key := e.Key; ; {
			if node, there := s.at[key]; there && e.Line == 0 {
				p := position(node)
				e.File, e.Line, e.Column = s.Name, p.Line, p.Column
			}
			i := strings.LastIndexAny(key, ".[")
			if i < 0 || e.Line > 0 {
				break
			}
			key = key[:i]
		}
	}
	return errs
}

// Where returns the position of a key of the page, such as
// "workstations.windows.memory", as "FILE:LINE:COLUMN". If the page does not
// have the key, Where returns the position of the mapping around it.
func (s *Source) Where(key string) string {
	found := s.locate(Errors{{Key: key}})
	return strings.TrimSuffix(strings.TrimSuffix(found[0].text(), key), ": ")
}

// Keys returns the places on the page that have a value, such as
// "workstations.windows.memory". They are sorted.
func (s *Source) Keys() []string {
	var keys []string
	for key := range s.at {
		if key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
