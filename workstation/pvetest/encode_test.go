package pvetest

import (
	"encoding/json"
	"reflect"
	"testing"
)

// encode writes the same text as encoding/json.
func TestEncode(t *testing.T) {
	t.Parallel()
	for _, data := range []any{
		nil, "", "a", "ä\n\"\\<>&\u2028", "\xff", 7, int64(-7), 1.5, true, []string{"a"}, []any{}, []any(nil),
		map[string]any{}, map[string]any(nil), []map[string]any{}, []map[string]any(nil), map[string]int{"a": 1},
		[]map[string]any{{"b": 1, "a": "x", "c": map[string]any{"d": nil, "é": []int{1}}}, {}},
	} {
		ours, err := encode(data)
		theirs, _ := json.Marshal(data)
		var a, b any
		if err != nil || json.Unmarshal(ours, &a) != nil || json.Unmarshal(theirs, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%v is %s, %v; encoding/json has %s", data, ours, err, theirs)
		}
	}
	if _, err := encode(map[string]any{"a": func() {}}); err == nil {
		t.Error("a function is taken")
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("key", "value")
	f.Add("\x00\x7f", "\xf0\x9f\x98\x80")
	f.Fuzz(func(t *testing.T, key, value string) {
		ours, err := encode([]map[string]any{{key: value}})
		theirs, _ := json.Marshal([]map[string]any{{key: value}})
		var a, b any
		if err != nil || json.Unmarshal(ours, &a) != nil || json.Unmarshal(theirs, &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s, %v; encoding/json has %s", ours, err, theirs)
		}
	})
}
