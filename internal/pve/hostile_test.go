package pve_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
)

// saying returns a client of a node that answers every request with the same
// answer.
func saying(status string, body string) *pve.Client {
	code := 0
	_, _ = fmt.Sscan(status, &code)
	return answering(roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
	}))
}

func answering(base http.RoundTripper) *pve.Client {
	return pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: pve.Transport(base)}), proxmox.WithAPIToken(token, secret)), "pve")
}

// notGos holds words of Go's own decoder. Errors must not contain these words,
// because they mean nothing to users.
var notGos = []string{"json:", "Go struct", "Go value", "unmarshal", "invalid character", "unexpected end of JSON", "pve.text", "pve.UPID", "[]struct"}

func goWords(text string) string {
	for _, words := range notGos {
		if strings.Contains(text, words) {
			return words
		}
	}
	return ""
}

func TestAnswersThatAreNotPVEs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status, body string
		is           []error
	}{
		"a page":                 {"200 OK", "<html>a router's login page</html>", []error{pve.ErrNotPVE, pve.ErrNoAnswer}},
		"nothing":                {"200 OK", "", []error{pve.ErrNotPVE}},
		"half of it":             {"200 OK", `{"data":[{"vmid":140,`, []error{pve.ErrNotPVE}},
		"a list of none":         {"200 OK", `[1,2]`, []error{pve.ErrNotPVE}},
		"another kind of value":  {"200 OK", `{"data":{"vmid":140}}`, []error{pve.ErrAnswer, pve.ErrNoAnswer}},
		"a text":                 {"200 OK", `{"data":"no"}`, []error{pve.ErrAnswer}},
		"a redirect":             {"302 Found", "", []error{pve.ErrNotPVE}},
		"not modified":           {"304 Not Modified", "", []error{pve.ErrNotPVE}},
		"too deep":               {"200 OK", `{"data":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}", []error{pve.ErrTooLarge}},
		"deeper than Go decodes": {"200 OK", `{"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", []error{pve.ErrNoAnswer}},
		"too many values":        {"200 OK", `{"data":[0` + strings.Repeat(",0", 1<<20+1) + "]}", []error{pve.ErrTooLarge}},
		"too large":              {"200 OK", `{"data":"` + strings.Repeat("x", 16<<20) + `"}`, []error{pve.ErrTooLarge}},
		"a refusal in HTML":      {"400 Bad Request", "<html>", []error{pve.ErrInvalid}},
	} {
		_, err := saying(test.status, test.body).VMs(t.Context())
		for _, is := range test.is {
			if !errors.Is(err, is) {
				t.Errorf("%s: %v, want %v", name, err, is)
			}
		}
		if words := goWords(fmt.Sprint(err)); words != "" || len(err.Error()) > 300 {
			t.Errorf("%s: %v (%q)", name, err, words)
		}
	}
}

// Reading stops at the limit for two bodies: an endless body, and a body that
// is small until it is decompressed.
func TestBodiesHaveABound(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var to io.Writer = w
		if strings.Contains(r.URL.Path, "/qemu") {
			w.Header().Set("Content-Encoding", "gzip")
			zipped := gzip.NewWriter(w)
			defer zipped.Close()
			to = zipped
		}
		chunk := []byte(strings.Repeat("[", 1<<16))
		for range 4096 { // 256 MiB
			if _, err := to.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	c := pve.New(proxmox.NewClient(server.URL+"/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: pve.Transport(server.Client().Transport)}), proxmox.WithAPIToken(token, secret)), "pve")
	if _, err := c.VMs(t.Context()); !errors.Is(err, pve.ErrTooLarge) {
		t.Errorf("compressed: %v", err)
	}
	if _, err := c.Nodes(t.Context()); !errors.Is(err, pve.ErrTooLarge) {
		t.Errorf("endless: %v", err)
	}
}

// If one value in an answer has a wrong type, the other values are still read.
func TestOddValues(t *testing.T) {
	t.Parallel()
	c := saying("200 OK", `{"data":[
		{"vmid":140,"name":"windows","status":"running","maxmem":{"a":1},"uptime":"lots","tags":["x"],"lock":null},
		{"vmid":"141","name":17,"status":"stopped","maxmem":"4096","template":"1","uptime":1e300},
		"a text", 5, null, [],
		{"vmid":[142],"name":"x","status":"stopped"},
		{"vmid":143,"status":{}}]}`)
	var mu sync.Mutex
	var odd []string
	vms, err := c.VMs(pve.WithOdd(t.Context(), func(o pve.Odd) {
		mu.Lock()
		defer mu.Unlock()
		odd = append(odd, o.Method+" "+o.Path+" "+o.Value)
	}))
	if err != nil || len(vms) != 3 || vms[0].Name != "windows" || !vms[0].Running || vms[0].Memory != 0 || vms[1].Name != "17" || vms[1].Memory != 4096 || !vms[1].Template || vms[1].Uptime != 0 {
		t.Fatalf("%+v, %v", vms, err)
	}
	all := strings.Join(odd, "\n")
	for _, want := range []string{"GET /nodes/pve/qemu [0].maxmem: an object", "[0].uptime: a text", "[0].tags: a list", "[1].uptime: the number 1e300",
		"[2]: a text", "[3]: the number 5", "[6].vmid: a list", "VM 143: status", "no VMID"} {
		if !strings.Contains(all, want) {
			t.Errorf("no word of %s in\n%s", want, all)
		}
	}
}

// If the answer says nothing about a VM's state, Status returns an error, so
// that the VM does not count as off.
func TestAStatusThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{}`, `[]`, `{"status":{}}`, `{"status":"unknown"}`, `null`} {
		if s, err := saying("200 OK", `{"data":`+data+`}`).Status(t.Context(), 140); !errors.Is(err, pve.ErrNoAnswer) {
			t.Errorf("%s: %+v, %v", data, s, err)
		}
	}
}

// If the answer to a write names no task, the error says that the write may
// have had an effect.
func TestTasksThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"x":"y"}`, `[1]`, `"vm 140 is started"`, `17`, `"UPID:a:b"`} {
		c := saying("200 OK", `{"data":`+data+`}`)
		task, err := c.Start(t.Context(), 140)
		if err == nil {
			_, err = c.Wait(t.Context(), task, nil)
		}
		if !errors.Is(err, pve.ErrNoAnswer) || goWords(err.Error()) != "" || strings.Contains(err.Error(), "started") {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestWordsOfARefusal(t *testing.T) {
	t.Parallel()
	const body = `{"data":null,"message":"Parameter verification failed.\n","errors":{"memory":"type check ('integer') failed\n","cores":"too \u001b[2J many"}}`
	const want = `pve: GET /nodes/pve/qemu: 400 Parameter verification failed: cores: too \u001b[2J many; memory: type check ('integer') failed`
	plain := pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithAPIToken(token, secret), proxmox.WithHTTPClient(&http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 400, Status: "400 Parameter verification failed.", Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
		})})), "pve")
	for name, c := range map[string]*pve.Client{"ours": saying("400 Parameter verification failed.", body), "plain": plain} {
		if _, err := c.VMs(t.Context()); err == nil || err.Error() != want || !errors.Is(err, pve.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := saying("500 a\tlong reason", `{"message":"storage 'x' does not exist\nline 2\r\n"}`).VMs(t.Context())
	if err == nil || err.Error() != "pve: GET /nodes/pve/qemu: 500 storage 'x' does not exist line 2" || !errors.Is(err, pve.ErrNotFound) {
		t.Errorf("%q", err)
	}
	if _, err := saying("500 x", `{"message":"`+strings.Repeat("long ", 5000)+`"}`).VMs(t.Context()); len(err.Error()) > 5000 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

// When its context ends, the decoding of a large list stops, at any place in
// the list.
func TestDecodingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	body, err := json.Marshal(map[string]any{"data": make([]map[string]int, 200_000)})
	if err != nil {
		t.Fatal(err)
	}
	c := answering(roundTripper(func(r *http.Request) (*http.Response, error) {
		cancel() // the whole answer has arrived, but the caller has given up
		return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader(string(body))), Header: http.Header{}, Request: r}, nil
	}))
	if _, err := c.VMs(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// sink starts a server that stores every request that reaches it.
func sink(t *testing.T, secure bool) (address string, got func() string) {
	t.Helper()
	var mu sync.Mutex
	var all strings.Builder
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&all, "%s %s %v %s\n", r.Method, r.URL, r.Header, body)
		_, _ = io.WriteString(w, `{"data":[]}`)
	})
	server := httptest.NewUnstartedServer(handler)
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// If a node redirects a request, the target of the redirect gets neither login
// nor body.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, secure := range []bool{true, false} {
			to, got := sink(t, secure)
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, to+r.URL.Path+"?where=secret", code)
			}))
			t.Cleanup(server.Close)
			network := server.Client().Transport
			ours, err := pve.Dial(pve.Endpoint{URL: server.URL, Token: token + "=" + secret, Transport: network})
			if err != nil {
				t.Fatal(err)
			}
			withLogin, err := pve.Dial(pve.Endpoint{URL: server.URL, Username: "root@pam", Password: "marked", Transport: network})
			if err != nil {
				t.Fatal(err)
			}
			clients := map[string]*pve.Client{"ours": ours.On("pve"), "with a login": withLogin.On("pve"),
				"a caller's": pve.New(proxmox.NewClient(server.URL+"/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: network}), proxmox.WithAPIToken(token, secret)), "pve"),
				"a caller's session": pve.New(proxmox.NewClient(server.URL+"/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: network}),
					proxmox.WithSession("PVE:ticket", "csrf")), "pve")}
			for name, c := range clients {
				_, readErr := c.VMs(t.Context())
				_, writeErr := c.Create(t.Context(), 140, map[string]string{"name": "x", "cipassword": "marked"})
				for _, err := range []error{readErr, writeErr} {
					if !errors.Is(err, pve.ErrNotPVE) || strings.Contains(err.Error(), "secret") {
						t.Errorf("%s, %d: %v", name, code, err)
					}
				}
			}
			if got() != "" {
				t.Errorf("%d: elsewhere came\n%s", code, got())
			}
		}
	}
}

// Reading a body that arrives byte by byte stops when the time of the request
// is over.
func TestADrippingBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := answering(roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(drip{r.Context()}), Header: http.Header{}, Request: r}, nil
		}))
		began := time.Now()
		if _, err := c.VMs(t.Context()); !errors.Is(err, pve.ErrNoAnswer) || time.Since(began) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// drip is a body that yields a byte a second. Like a body of net/http, it ends
// when the request's context ends.
type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	if err := pve.Sleep(d.ctx, time.Second); err != nil {
		return 0, err
	}
	p[0] = ' '
	return 1, nil
}

// If a value is missing in a guest's answer, this does not count as success or
// as an empty value.
func TestAnswersOfAGuestThatLack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data string
		do   func(context.Context, *pve.Client) error
	}{
		"no process": {`{}`, func(ctx context.Context, c *pve.Client) error {
			_, err := c.AgentExec(ctx, 140, []string{"x"}, "")
			return err
		}},
		"an exit without a code": {`{"exited":1,"exitcode":[]}`, func(ctx context.Context, c *pve.Client) error {
			_, err := c.AgentExecStatus(ctx, 140, 1)
			return err
		}},
		"a file without content": {`{"content":{},"truncated":0}`, func(ctx context.Context, c *pve.Client) error {
			_, _, err := c.AgentFileRead(ctx, 140, "/x")
			return err
		}},
	} {
		if err := test.do(t.Context(), saying("200 OK", `{"data":`+test.data+`}`)); !errors.Is(err, pve.ErrAnswer) || !errors.Is(err, pve.ErrNoAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := saying("200 OK", `{"data":{"memory":{"total":"64","used":[]},"cpuinfo":{"cpus":8}}}`).NodeStatus(t.Context()); err != nil || s.MemoryTotal != 0 || s.MemoryAvailable != 0 || s.Cores != 8 {
		t.Errorf("%+v, %v", s, err)
	}
}
