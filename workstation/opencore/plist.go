package opencore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// OpenCore's own limits for a configuration (OpenCorePkg
// Include/Acidanthera/Library/OcXmlLib.h).
const (
	maxConfig = 32 << 20
	maxDepth  = 32
	maxNodes  = 32768
)

// ErrConfig reports a config.plist that OpenCore would not read, or that cannot
// be changed as wanted. The error is a [ConfigError].
var ErrConfig = errors.New("config.plist is not as OpenCore needs it")

// A ConfigError says what is wrong with a config.plist, and where.
type ConfigError struct {
	// Line is the line of the file. It is 0 if the fault is not in a single
	// line.
	Line int
	// Why says in words what is wrong.
	Why string
}

// Error implements error.
func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return "opencore: config.plist: " + printable.Line(e.Why)
	}
	return printable.Sprintf("opencore: config.plist, line %d: %s", e.Line, e.Why)
}

// Is makes the error match [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// A reader reads a property list and records the place of each value, so that a
// change can replace the bytes of one value. Libraries for property lists would
// write the whole file anew, sorted and without its comments.
type reader struct {
	text  []byte
	xml   *xml.Decoder
	nodes int
	twice []string // the keys that occur more than once in a dictionary
}

// Returns the dictionary in a config.plist. The result "twice" holds the keys
// that occur more than once in a dictionary.
func parse(text []byte) (root Value, twice []string, err error) {
	if len(text) > maxConfig {
		return Value{}, nil, &ConfigError{Why: fmt.Sprintf("it has %d bytes, and OpenCore reads %d", len(text), maxConfig)}
	}
	if bytes.HasPrefix(text, []byte("bplist")) {
		return Value{}, nil, &ConfigError{Why: "it is a binary property list, and OpenCore reads XML: convert it with plutil -convert xml1"}
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return Value{}, nil, &ConfigError{Line: 1, Why: "it begins with a byte order mark, and OpenCore wants an element: save it as UTF-8 without the mark"}
	}
	r := &reader{text: text, xml: xml.NewDecoder(bytes.NewReader(text))}
	start, err := r.start()
	if err == nil && start.Name.Local != "plist" {
		err = fmt.Errorf("the element %s, want plist", start.Name.Local)
	}
	if err == nil {
		root, err = r.next(nil)
	}
	if err == nil && root.Kind != Dict {
		err = fmt.Errorf("a %s, want a dict", root.Kind)
	}
	if err == nil {
		err = r.rest()
	}
	if err != nil {
		line := 1 + bytes.Count(text[:min(r.xml.InputOffset(), int64(len(text)))], []byte("\n"))
		return Value{}, nil, &ConfigError{Line: line, Why: err.Error()}
	}
	return root, r.twice, nil
}

// Returns the next start element. The error is [io.EOF] if the surrounding
// element ends first.
func (r *reader) start() (xml.StartElement, error) {
	for {
		token, err := r.xml.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return xml.StartElement{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if r.nodes++; r.nodes > maxNodes {
				return t, fmt.Errorf("more than %d elements", maxNodes)
			}
			return t, nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		case xml.CharData:
			if text := strings.TrimSpace(string(t)); text != "" {
				return xml.StartElement{}, fmt.Errorf("text outside of a value: %.20q", text)
			}
		}
	}
}

// Reads the document to its end, and returns an error if a further value
// follows.
func (r *reader) rest() error {
	switch _, err := r.start(); {
	case err == nil:
		return errors.New("more than one value")
	case !errors.Is(err, io.EOF):
		return err
	}
	for {
		token, err := r.xml.Token()
		switch _, begins := token.(xml.StartElement); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case begins:
			return errors.New("an element behind the end of plist")
		}
	}
}

// Reads the next value. The parameter "path" is the path of that value, for error
// messages.
func (r *reader) next(path []string) (Value, error) {
	element, err := r.start()
	if err != nil {
		return Value{}, err
	}
	return r.value(element, path)
}

func (r *reader) value(element xml.StartElement, path []string) (v Value, err error) {
	inner := r.xml.InputOffset()
	v.at = span{begin: int64(bytes.LastIndexByte(r.text[:inner], '<')), inner: inner}
	name := element.Name.Local
	switch name {
	case "dict", "array":
		v.Kind = map[string]Kind{"dict": Dict, "array": Array}[name]
		if len(path) >= maxDepth {
			return v, fmt.Errorf("values more than %d deep", maxDepth)
		}
		err = r.items(&v, path)
	default:
		err = r.scalar(&v, name)
	}
	v.at.end = r.xml.InputOffset()
	return v, err
}

// Reads the members of a dictionary or an array.
func (r *reader) items(v *Value, path []string) error {
	seen := map[string]bool{}
	for {
		element, err := r.start()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		item := Item{key: int64(bytes.LastIndexByte(r.text[:r.xml.InputOffset()], '<'))}
		name := strconv.Itoa(len(v.Items))
		if v.Kind == Dict {
			if element.Name.Local != "key" {
				return fmt.Errorf("the element %s, want a key", element.Name.Local)
			}
			if item.Key, err = r.characters(); err != nil {
				return err
			}
			name = item.Key
			if seen[name] {
				r.twice = append(r.twice, strings.Join(append(path, name), " -> "))
			}
			seen[name] = true
			if element, err = r.start(); err != nil {
				return fmt.Errorf("the key %q has no value", item.Key)
			}
		}
		if item.Value, err = r.value(element, append(path, name)); err != nil {
			return err
		}
		v.Items = append(v.Items, item)
	}
}

func (r *reader) scalar(v *Value, name string) error {
	text, err := r.characters()
	if err != nil {
		return err
	}
	v.Text = strings.TrimSpace(text)
	switch name {
	case "true", "false":
		v.Kind, v.Text = Bool, name
	case "integer":
		v.Kind = Integer
		if _, known := v.Int(); !known {
			return fmt.Errorf("%q is not an integer", v.Text)
		}
	case "string":
		v.Kind, v.Text = Text, text
	case "data":
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return fmt.Errorf("data: %w", err)
		}
		v.Kind, v.Text = Data, strings.ToUpper(hex.EncodeToString(data))
	case "real":
		v.Kind = Real
	case "date":
		v.Kind = Date
	default:
		return fmt.Errorf("the element %s is not a value of a property list", name)
	}
	return nil
}

// Returns the text of an element that has no elements inside, and reads to the
// end of the element.
func (r *reader) characters() (string, error) {
	var b strings.Builder
	for {
		token, err := r.xml.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			return "", fmt.Errorf("the element %s inside of text", t.Name.Local)
		case xml.EndElement:
			return b.String(), nil
		}
	}
}
