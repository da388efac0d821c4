package pvetest

import (
	"encoding/json"
	"slices"
	"strconv"
)

// encode writes an answer's data as JSON, with the keys of objects in order.
// Long lists take most of a node's time, so encode writes the common types
// without reflection. It uses encoding/json for all other types.
func encode(data any) ([]byte, error) {
	var e encoder
	err := e.value(data)
	return e.out, err
}

// An encoder holds the JSON text written so far. The field "keys" holds the
// keys of the objects that are being written.
type encoder struct {
	out  []byte
	keys []string
}

func (e *encoder) value(data any) error {
	switch v := data.(type) {
	case nil:
		e.out = append(e.out, "null"...)
	case string:
		e.text(v)
	case int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case int64:
		e.out = strconv.AppendInt(e.out, v, 10)
	case map[string]any:
		return e.object(v)
	case []map[string]any:
		return e.list(v)
	default:
		text, err := json.Marshal(data)
		e.out = append(e.out, text...)
		return err
	}
	return nil
}

func (e *encoder) list(list []map[string]any) error {
	if list == nil {
		return e.value(nil)
	}
	e.out = append(e.out, '[')
	for i, object := range list {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.object(object); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

func (e *encoder) object(object map[string]any) error {
	if object == nil {
		return e.value(nil)
	}
	first := len(e.keys)
	for key := range object {
		e.keys = append(e.keys, key)
	}
	end := len(e.keys)
	slices.Sort(e.keys[first:end])
	e.out = append(e.out, '{')
	for i := first; i < end; i++ {
		if i > first {
			e.out = append(e.out, ',')
		}
		key := e.keys[i]
		e.text(key)
		e.out = append(e.out, ':')
		if err := e.value(object[key]); err != nil {
			return err
		}
	}
	e.keys = e.keys[:first]
	e.out = append(e.out, '}')
	return nil
}

func (e *encoder) text(text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // Marshal replaces bytes that are not UTF-8
			e.out = append(e.out, quoted...)
			return
		}
	}
	e.out = append(e.out, '"')
	e.out = append(e.out, text...)
	e.out = append(e.out, '"')
}
