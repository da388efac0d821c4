package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ask makes a request with a JSON body.
func ask(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
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

// On an embedded node the page shows two systems and switches between them.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-listen", "127.0.0.1:0"}, in)
		_ = in.Close()
		ended <- err
	}()
	said := make([]byte, 64)
	n, err := out.Read(said)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(said[:n]))
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if code, body := ask(t, "GET", url, ""); code != http.StatusOK || !strings.Contains(body, "Switch to Linux AI") {
		t.Errorf("the page: %d %s", code, body)
	}
	if code, body := ask(t, "POST", url+"/api/switch", `{"vmid":141,"wait":true}`); code != http.StatusOK || !strings.Contains(body, "Linux AI has the card.") {
		t.Errorf("the switch: %d %s", code, body)
	}
	if err := run(ctx, []string{"-members", "140"}, in); err == nil || !strings.Contains(err.Error(), "two VMs") {
		t.Errorf("one member: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, short, empty := file("good", "correct horse battery\n"), file("short", "1234"), file("empty", "\n")
	tests := []struct {
		args []string
		says string // a part of the error; "" if no error is expected
	}{
		{[]string{"-members", "140=Windows, 141=Linux AI"}, ""},
		{[]string{"-listen", "[::1]:0"}, ""},
		{[]string{"-listen", "localhost:0"}, ""},
		{[]string{"-listen", "0.0.0.0:8140", "-secret-file", good}, ""},
		{[]string{"-name", "cards.lan", "-secret-file", good}, ""},
		{[]string{"-members", "a,b"}, `"a" is not a VMID`},
		{[]string{"-listen", ":8140"}, "needs a secret"},
		{[]string{"-listen", "192.0.2.1:8140"}, "needs a secret"},
		{[]string{"-name", "cards.lan"}, "needs a secret"},
		{[]string{"-secret-file", short}, "at least 12 characters"},
		{[]string{"-secret-file", empty}, "is empty"},
		{[]string{"-secret-file", filepath.Join(dir, "none")}, "no such file"},
		{[]string{"-cert", good}, "-cert and -key"},
		{[]string{"-nonsense"}, "nonsense"},
		{[]string{"now"}, "not a flag"},
	}
	for _, test := range tests {
		_, err := parse(test.args, &bytes.Buffer{})
		if test.says == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.says) || test.says == "" {
			t.Errorf("%q: %v, want %q", test.args, err, test.says)
		}
	}
	s, err := parse([]string{"-members", "140=Windows, 141 = Linux AI", "-secret-file", good, "-name", "Cards.LAN,b.lan"}, &bytes.Buffer{})
	if err != nil || s.opts.Labels[140] != "Windows" || s.opts.Labels[141] != "Linux AI" || s.opts.Secret.Reveal() != "correct horse battery" || s.opts.Names[0] != "cards.lan" {
		t.Errorf("%+v, %v", s, err)
	}
}
