package pve

import (
	"encoding/json"
	"math"
	"strconv"
)

// The type "text" is a JSON value in the form that the value has in PVE's
// configuration files. Unlike the plain strings of an answer, it keeps
// unprintable characters.
type text string

func (t *text) take(value any) bool {
	switch v := value.(type) {
	case string:
		*t = text(v)
	case json.Number:
		*t = text(v)
	case bool:
		*t = "0"
		if v {
			*t = "1"
		}
	default:
		return false
	}
	return true
}

// The type "number" is a number that PVE sends as a number, as text, or as
// "N/A".
type number struct {
	value int64
	known bool
}

func (n *number) take(value any) bool {
	digits, ok := value.(string)
	if number, is := value.(json.Number); is {
		digits, ok = number.String(), true
	}
	f, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil || math.IsNaN(f):
		return ok && (digits == "" || digits == "N/A" || digits == "unknown" || digits == "-")
	case math.Abs(f) >= 1<<63:
		return false
	}
	n.value, n.known = int64(f), true
	return true
}

// The type "flag" is a boolean. PVE sends it as 0 or 1, as text, or not at all.
type flag bool

func (f *flag) take(value any) bool {
	var t text
	if !t.take(value) {
		return false
	}
	switch t {
	case "1", "true", "yes", "on":
		*f = true
	case "0", "", "false", "no", "off":
	default:
		return false
	}
	return true
}
