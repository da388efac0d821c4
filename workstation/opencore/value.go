package opencore

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Kind is the type of a [Value].
type Kind uint8

// The kinds of values. [Absent] is the kind of a key that is not there.
const (
	Absent Kind = iota
	Bool
	Integer
	Real
	Text
	Data
	Date
	Dict
	Array
)

// kinds holds the elements by which a property list names the kinds.
var kinds = []string{"absent", "bool", "integer", "real", "string", "data", "date", "dict", "array"}

// String returns the element's name in a property list, "bool" for both
// booleans.
func (k Kind) String() string { return enum.Name(kinds, k) }

// A Value is one value of a property list.
type Value struct {
	Kind Kind
	// Text is a scalar's value: "true", "-1", a string as it is, data as
	// hexadecimal digits ("07009B3E").
	Text string
	// Items holds what a dictionary or an array has, in the file's order.
	Items []Item

	at span
}

// An Item is a member of a dictionary or an array.
type Item struct {
	Key   string // "" in an array
	Value Value

	key int64 // where the element key begins
}

// A span is where a value stands in the file.
type span struct{ begin, inner, end int64 }

// TextValue returns a string.
func TextValue(text string) Value { return Value{Kind: Text, Text: text} }

// BoolValue returns a boolean.
func BoolValue(b bool) Value { return Value{Kind: Bool, Text: strconv.FormatBool(b)} }

// IntegerValue returns an integer.
func IntegerValue(n int64) Value { return Value{Kind: Integer, Text: strconv.FormatInt(n, 10)} }

// DataValue returns bytes.
func DataValue(data []byte) Value {
	return Value{Kind: Data, Text: strings.ToUpper(hex.EncodeToString(data))}
}

// Bytes returns the bytes of data, and nil for other kinds.
func (v Value) Bytes() []byte {
	if v.Kind != Data {
		return nil
	}
	data, err := hex.DecodeString(v.Text)
	if err != nil {
		return nil
	}
	return data
}

// Int returns an integer; known is false for other kinds.
func (v Value) Int() (n int64, known bool) {
	if v.Kind != Integer {
		return 0, false
	}
	n, err := strconv.ParseInt(v.Text, 0, 64)
	if err != nil { // ScanPolicy and others have 32 bits without a sign
		u, err := strconv.ParseUint(v.Text, 0, 64)
		return int64(u), err == nil
	}
	return n, true
}

// True reports whether it is the boolean true.
func (v Value) True() bool { return v.Kind == Bool && v.Text == "true" }

// Get returns the value at a key below, and an absent value if there is no such
// key.
func (v Value) Get(key ...string) Value {
	for _, part := range key {
		found := v.index(part)
		if found < 0 {
			return Value{}
		}
		v = v.Items[found].Value
	}
	return v
}

// index returns the place of a key in a dictionary or of a number in an array,
// -1 if it is not there.
func (v Value) index(key string) int {
	switch v.Kind {
	case Dict:
		for i, item := range v.Items {
			if item.Key == key {
				return i
			}
		}
	case Array:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(v.Items) {
			return i
		}
	}
	return -1
}

// Equal reports whether both are the same value. The order of a dictionary's
// keys counts, because the order of the file does.
func (v Value) Equal(other Value) bool {
	if v.Kind != other.Kind || len(v.Items) != len(other.Items) {
		return false
	}
	for i, item := range v.Items {
		if item.Key != other.Items[i].Key || !item.Value.Equal(other.Items[i].Value) {
			return false
		}
	}
	if n, known := v.Int(); known {
		m, same := other.Int()
		return same && n == m
	}
	return v.Text == other.Text
}

// String returns the value for people: data in angle brackets, an empty string
// as "", a dictionary by the number of its keys.
func (v Value) String() string {
	switch v.Kind {
	case Absent:
		return "(absent)"
	case Text:
		if v.Text == "" {
			return `""`
		}
	case Data:
		return "<" + printable.Line(v.Text) + ">"
	case Dict:
		var parts []string
		for _, item := range v.Items {
			parts = append(parts, printable.Line(item.Key)+": "+item.Value.String())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case Array:
		return fmt.Sprintf("[%d items]", len(v.Items))
	}
	return printable.Line(v.Text)
}

// element returns the value as it stands in a property list whose lines are
// indented by indent.
func (v Value) element(indent string) string {
	switch v.Kind {
	case Bool:
		return "<" + v.Text + "/>"
	case Data:
		return "<data>" + base64.StdEncoding.EncodeToString(v.Bytes()) + "</data>"
	case Dict, Array:
		if len(v.Items) == 0 {
			return "<" + v.Kind.String() + "/>"
		}
		var b strings.Builder
		fmt.Fprintf(&b, "<%s>\n", v.Kind)
		for _, item := range v.Items {
			if v.Kind == Dict {
				fmt.Fprintf(&b, "%s\t<key>%s</key>\n", indent, escaped(item.Key))
			}
			fmt.Fprintf(&b, "%s\t%s\n", indent, item.Value.element(indent+"\t"))
		}
		fmt.Fprintf(&b, "%s</%s>", indent, v.Kind)
		return b.String()
	}
	return "<" + v.Kind.String() + ">" + escaped(v.Text) + "</" + v.Kind.String() + ">"
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}
