package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
)

// testBoard serves the page of an embedded node.
func testBoard(t *testing.T) *httptest.Server {
	t.Helper()
	duo := workstation.DualBoot{Members: []int{140, 141}, Owner: "test"}
	node, closeNode, err := open(t.Context(), &connect.Flags{}, duo)
	if err != nil {
		t.Fatal(err)
	}
	b := newBoard(t.Context(), node, duo, "cards.lan", io.Discard)
	server := httptest.NewServer(b.handler())
	t.Cleanup(func() { server.Close(); b.work.Wait(); closeNode() })
	return server
}

func ask(t *testing.T, method, url string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// until asks for the status again and again, and returns when it is as
// expected.
func until(t *testing.T, url string, want func(view) bool) view {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var v view
		_, body := ask(t, "GET", url+"/status", nil)
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if want(v) {
			return v
		}
		if time.Now().After(end) {
			t.Fatalf("after 30 s the status is %s", body)
		}
	}
}

func TestSwitchingFromThePage(t *testing.T) {
	t.Parallel()
	url := testBoard(t).URL
	if code, body := ask(t, "GET", url, nil); code != http.StatusOK || !strings.Contains(body, "Who has the card") {
		t.Errorf("the page: %d %s", code, body)
	}
	for _, to := range []int{0, 1} {
		code, body := ask(t, "POST", url+"/switch/"+[]string{"140", "141"}[to], nil)
		if code != http.StatusAccepted {
			t.Fatalf("the switch: %d %s", code, body)
		}
		if code, _ := ask(t, "POST", url+"/switch/140", nil); code != http.StatusConflict {
			t.Errorf("a second switch at the same time: %d", code)
		}
		v := until(t, url, func(v view) bool { return v.Busy == 0 && len(v.Members) == 2 && v.Members[to].Running })
		if v.Members[1-to].Running || v.Members[to].Since == "" || !strings.HasPrefix(v.Log[len(v.Log)-1], "done:") {
			t.Errorf("after the switch: %+v", v)
		}
	}
	if code, _ := ask(t, "POST", url+"/switch/999", nil); code != http.StatusAccepted {
		t.Errorf("a stranger: %d", code)
	}
	if v := until(t, url, func(v view) bool { return v.Busy == 0 }); !strings.Contains(strings.Join(v.Log, "\n"), "not one of them") {
		t.Errorf("a stranger: %+v", v)
	}
	if code, _ := ask(t, "POST", url+"/switch/x", nil); code != http.StatusBadRequest {
		t.Errorf("no VMID: %d", code)
	}
}

func TestOtherSitesAreTurnedAway(t *testing.T) {
	t.Parallel()
	url := testBoard(t).URL
	tests := map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"its own name":             {"GET", "/", func(r *http.Request) { r.Host = "cards.lan:8140" }, http.StatusOK},
		"localhost":                {"GET", "/", func(r *http.Request) { r.Host = "localhost" }, http.StatusOK},
		"a name that leads here":   {"GET", "/status", func(r *http.Request) { r.Host = "evil.example" }, http.StatusForbidden},
		"a form of another origin": {"POST", "/switch/140", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"an old browser's":         {"POST", "/switch/140", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
	}
	for name, test := range tests {
		if code, _ := ask(t, test.method, url+test.path, test.change); code != test.want {
			t.Errorf("%s: %d, want %d", name, code, test.want)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	out, in := io.Pipe()
	go func() {
		_, _ = io.CopyN(io.Discard, out, int64(len("http://")))
		cancel() // it serves, and is told to end
		_, _ = io.Copy(io.Discard, out)
	}()
	if err := run(ctx, []string{"-listen", "127.0.0.1:0"}, in); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"-members", "140"}, {"-members", "a,b"}, {"-listen", "nowhere:1:2"}, {"-nonsense"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}
