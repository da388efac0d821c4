package pve_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
)

// FuzzRefusal sends a refusal with any status, reason and body to our client
// and to a caller's plain client. The error must be one printable line of
// bounded length, without the secrets that were sent.
func FuzzRefusal(f *testing.F) {
	f.Add(500, "Internal Server Error", `{"data":null,"message":"VM 140 not running\n"}`)
	f.Add(400, "Parameter verification failed.", `{"data":null,"errors":{"memory":"type check ('integer') failed","args":{"a":[1]}}}`)
	f.Add(400, "x - {", `{"errors":[]}`)
	f.Add(400, "", `"cipassword: marked-secret\u0022"`)
	f.Add(401, "permission denied - invalid PVE ticket", "")
	f.Add(403, "Permission check failed (/vms/140, VM.Audit)", "<html>")
	f.Add(595, "Connection refused", "\x1b[2J")
	f.Add(307, "", "200 OK")
	f.Add(200, "OK", `{"data":"bWFya2VkLXNlY3JldA=="}`)
	f.Add(451, strings.Repeat("\xc1", 3000), "A")
	f.Add(200, "500 501 502", `{"data":[{"vmid":140}]}`)
	const marked = "marked-secret"
	f.Fuzz(func(t *testing.T, code int, reason, body string) {
		code = 200 + (code%500+500)%500
		reason = strings.Map(func(r rune) rune { // net/http ends a status line at these characters
			if r == '\n' || r == '\r' {
				return -1
			}
			return r
		}, reason)
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Status: strings.TrimSpace(fmt.Sprint(code, " ", reason)), Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
		})
		ours, err := pve.Dial(pve.Endpoint{URL: "https://pve", Token: token + "=" + secret, Transport: base})
		if err != nil {
			t.Fatal(err)
		}
		plain := pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: base}), proxmox.WithAPIToken(token, secret)), "pve")
		for name, c := range map[string]*pve.Client{"ours": ours.On("pve"), "plain": plain} {
			task, err := c.Create(t.Context(), 140, map[string]string{"cipassword": marked})
			if err == nil && code >= 300 && name == "ours" {
				t.Fatalf("%d is taken for success", code)
			}
			if err == nil && task != "" && task.Type() == "" {
				_, err = c.Wait(t.Context(), task, func(time.Duration) {})
			}
			if err == nil {
				continue
			}
			text := err.Error()
			bad := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
			if bad >= 0 || !utf8.ValidString(text) || len(text) > 6000 || strings.Contains(text, marked) || name == "ours" && strings.Contains(text, secret) || !strings.HasPrefix(text, "pve: ") {
				t.Fatalf("%s: %q", name, text)
			}
		}
	})
}

// FuzzAnswer sends any data to a client. The client stores the values that fit,
// and names the others in printable words.
func FuzzAnswer(f *testing.F) {
	f.Add(`[{"vmid":140,"status":"running","maxmem":"4096","ha":{"managed":1}},{"vmid":"x"},[],null,1e400]`)
	f.Add(`{"children":[{"name":"pve","children":[{"name":"/dev/sda3"}],"free":"N/A"}]}`)
	f.Add(`{"/":{"VM.Audit":1},"/vms":[],"/x":{"y":{"z":2}}}`)
	f.Add(`[{"key":"digest","value":"a"},{"key":"memory","pending":{},"delete":2}]`)
	f.Add(`{"running":1,"local_disks":[{"volid":"local:1/x.raw","size":"8"}],"not_allowed_nodes":{"b":{"unavailable_storages":["x"],"blocking-ha-resources":[{"sid":"vm:141"}]}}}`)
	f.Add(strings.Repeat(`[`, 70) + strings.Repeat(`]`, 70))
	f.Fuzz(func(t *testing.T, data string) {
		c := saying("200 OK", `{"data":`+data+`}`)
		ctx := pve.WithOdd(t.Context(), func(o pve.Odd) {
			if strings.ContainsFunc(o.Value, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q", o.Value)
			}
		})
		_, vmsErr := c.VMs(ctx)
		_, configErr := c.Config(ctx, 140)
		_, wholeErr := c.WholeConfig(ctx, 140)
		_, storageErr := c.Storage(ctx)
		_, permissionsErr := c.Permissions(ctx)
		_, pciErr := c.PCI(ctx)
		_, mappingsErr := c.Mappings(ctx)
		_, resourcesErr := c.Resources(ctx)
		_, migrationErr := c.Migration(ctx, 140, "b")
		_, replicationsErr := c.Replications(ctx, 140)
		for _, err := range []error{migrationErr, replicationsErr, vmsErr, configErr, wholeErr, storageErr, permissionsErr, pciErr, mappingsErr, resourcesErr} {
			if err != nil && (goWords(err.Error()) != "" || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) })) {
				t.Errorf("%q", err)
			}
		}
	})
}
