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

// The kinds of values. [Absent] is the kind of a key that does not exist.
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

// The names of the kinds in the XML of a property list.
var kinds = []string{"absent", "bool", "integer", "real", "string", "data", "date", "dict", "array"}

// String returns the kind's name in the XML of a property list. It is "bool"
// for both booleans.
func (k Kind) String() string { return enum.Name(kinds, k) }

// A Value is a value of a property list. A dictionary or an array holds further
// values.
type Value struct {
	Kind Kind
	// Text is the value of a scalar: "true", "-1", the string itself, or data
	// as hexadecimal digits ("07009B3E").
	Text string
	// Items holds the members of a dictionary or an array, in the file's order.
	Items []Item

	at span
}

// An Item is a member of a dictionary or an array.
type Item struct {
	Key   string // "" for a member of an array
	Value Value

	key int64 // the offset of the member's <key> element in the file
}

// A span holds the offsets of a value in the file.
type span struct{ begin, inner, end int64 }

// TextValue returns a string value.
func TextValue(text string) Value { return Value{Kind: Text, Text: text} }

// BoolValue returns a boolean value.
func BoolValue(b bool) Value { return Value{Kind: Bool, Text: strconv.FormatBool(b)} }

// IntegerValue returns an integer value.
func IntegerValue(n int64) Value { return Value{Kind: Integer, Text: strconv.FormatInt(n, 10)} }

// DataValue returns a data value.
func DataValue(data []byte) Value {
	return Value{Kind: Data, Text: strings.ToUpper(hex.EncodeToString(data))}
}

// Bytes returns the bytes of a data value, and nil for other kinds.
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

// Int returns the number of an integer value. known is false for other kinds.
func (v Value) Int() (n int64, known bool) {
	if v.Kind != Integer {
		return 0, false
	}
	digits, base := v.Text, 10
	if hexadecimal, is := strings.CutPrefix(strings.ToLower(v.Text), "0x"); is {
		digits, base = hexadecimal, 16
	}
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil { // ScanPolicy and some other values are unsigned
		u, err := strconv.ParseUint(digits, base, 64)
		return int64(u), err == nil
	}
	return n, true
}

// shownBytes limits the bytes of a value in texts for people. Kernel patches
// and long boot arguments have some hundred bytes.
const shownBytes = 1 << 10

// True reports whether the value is the boolean true.
func (v Value) True() bool { return v.Kind == Bool && v.Text == "true" }

// Get returns the value at a key below this value. If the key does not exist,
// the value is of the kind [Absent].
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

// Returns the index of a member. In a dictionary, key is the member's key. In
// an array, key is the member's number. The index is -1 if there is no such
// member.
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

// Equal reports whether two values are the same. Dictionaries with the same
// keys in another order are not equal.
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

// String returns the value as a text for people. Data is in angle brackets, and
// an empty string is "". An array is shown as the number of its members.
func (v Value) String() string {
	text := v.string()
	if len(text) > shownBytes {
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:shownBytes], ""), len(text))
	}
	return text
}

func (v Value) string() string {
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

// The method "element" returns the value in the XML of a property list. Lines
// after the first begin with indent.
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
	_ = xml.EscapeText(&b, []byte(text)) // writing to a Builder never fails
	return b.String()
}
