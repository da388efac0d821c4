package workstation_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A twisted transport replaces one value in the answers of the transport below
// it: the nth value in the answer to a path.
type twisted struct {
	base  http.RoundTripper
	path  string // the path of the request
	nth   int
	value any
	seen  func(path string, values int)
}

func (w *twisted) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.base.RoundTrip(r)
	path := strings.TrimPrefix(r.URL.Path, "/api2/json")
	if err != nil || response.StatusCode != 200 || path == "/version" || path == "/nodes" {
		return response, err
	}
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	count, nth := 0, -1
	if path == w.path {
		nth = w.nth
	}
	twist(answer["data"], &count, nth, w.value)
	if w.seen != nil {
		w.seen(path, count)
	}
	body, err := json.Marshal(answer)
	response.Body = io.NopCloser(strings.NewReader(string(body)))
	return response, err
}

// twist replaces the nth value inside a decoded JSON value. If the replacement
// is a function, twist calls it with the old value.
func twist(in any, count *int, nth int, value any) {
	replace := func(set func(any), old any) {
		if *count++; *count-1 == nth {
			if change, ok := value.(func(any) any); ok {
				value = change(old)
			}
			set(value)
			return
		}
		twist(old, count, nth, value)
	}
	switch v := in.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			replace(func(x any) { v[key] = x }, v[key])
		}
	case []any:
		for i := range v {
			replace(func(x any) { v[i] = x }, v[i])
		}
	}
}

// If one value in an answer has a wrong type, Observe loses only that value.
// The text of the finding about it contains no terms of Go.
func TestObserveWithOneOddValue(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pair(), nil)
	connect := func(w *twisted) *workstation.Node {
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve.test:8006", Token: tokenID + "=" + tokenSecret, Transport: w}, "pve", nil)
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	var mu sync.Mutex
	values := map[string]int{}
	count := connect(&twisted{base: sim.Transport(), nth: -1, seen: func(path string, n int) {
		mu.Lock()
		defer mu.Unlock()
		values[path] = n
	}})
	whole, err := count.Observe(t.Context())
	if err != nil || len(values) < 15 {
		t.Fatalf("%d paths, %v", len(values), err)
	}
	kinds := []any{map[string]any{"x": 1}, []any{"\x1b[2J", 1}, "\x1b[2Jodd", true}
	tried, told, step := 0, 0, 1
	if testing.Short() {
		step = 3
	}
	for path, n := range values {
		if path == "/access/permissions" || path == "/cluster/resources" {
			n = min(n, 20) // later values are like the first 20
		}
		for i := tried % step; i < n; i += step {
			value := kinds[tried%len(kinds)]
			facts, err := connect(&twisted{base: sim.Transport(), path: path, nth: i, value: value}).Observe(t.Context())
			if err != nil {
				t.Fatalf("value %d of %s is %v: %v", i, path, value, err)
			}
			text := fmt.Sprint(facts.Unknown)
			for _, words := range []string{"json:", "Go struct", "Go value", "unmarshal", "\x1b"} {
				if strings.Contains(text, words) {
					t.Fatalf("value %d of %s is %v: %q", i, path, value, text)
				}
			}
			tried++
			if len(facts.Unknown) > len(whole.Unknown) {
				told++
			}
		}
	}
	if told < tried/4 { // Observe does not use most values of an answer
		t.Errorf("%d of %d odd values were told of", told, tried)
	}
}
