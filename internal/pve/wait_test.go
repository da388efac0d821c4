package pve_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
)

const upid = pve.UPID("UPID:pve:000004CC:6AD09660:386D43BC:qmstart:140:root@pam:")

// worker returns a client of a node with one task. The task writes a line each
// second and ends after the given time.
func worker(length time.Duration, exit string) (c *pve.Client, requests map[string]int) {
	requests = map[string]int{}
	var began time.Time
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if began.IsZero() {
			began = time.Now()
		}
		kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		requests[kind]++
		body := `{"data":{"status":"running"}}`
		switch {
		case kind == "log":
			body = fmt.Sprintf(`{"data":[{"n":1,"t":"at %s"}]}`, time.Since(began))
		case time.Since(began) >= length:
			body = fmt.Sprintf(`{"data":{"status":"stopped","exitstatus":%q}}`, exit)
		}
		return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
	})
	return pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: transport}), proxmox.WithAPIToken(token, secret)), "pve"), requests
}

// With four requests a second, Wait sees the end of a task within 0.3 seconds,
// however long the task takes. It reads the log only if the caller wants it.
func TestWaitSeesTheEndSoon(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{10 * time.Millisecond, 950 * time.Millisecond, 10 * time.Second, 10 * time.Minute} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, requests := worker(length, "OK")
				began := time.Now()
				_, err := c.Wait(t.Context(), upid, nil)
				late := time.Since(began) - length
				if most := 5 + int(4*length.Seconds()); err != nil || late > 300*time.Millisecond || requests["status"] > most || requests["log"] != 0 {
					t.Errorf("%v, %s late, requests %v, want %d for the status", err, late, requests, most)
				}
			})
		})
	}
}

// Follow passes the log to the caller once a second.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, requests := worker(10*time.Second, "WARNINGS: 2")
		var lines []string
		result, err := c.Follow(t.Context(), upid, func(line string) { lines = append(lines, line) })
		if err != nil || result.Warnings != 2 || len(lines) != 10 || lines[0] != "at 0s" || requests["log"] != len(lines)+1 { // the log is read once more, for the warnings
			t.Errorf("%+v, %v, lines %q, requests %v", result, err, lines, requests)
		}
	})
}
