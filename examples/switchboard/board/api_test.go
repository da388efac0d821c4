package board

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestAPI(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		v := b.view()
		if v.Running != 140 || v.RunningName != "Windows" || len(v.Systems) != 2 || v.Systems[0].Since == nil || v.Systems[1].CanSwitch.String() != "yes" ||
			len(v.Pools) != 3 || v.Verdict != "ok" || v.Card != "GeForce RTX 5070 Ti" || v.Job != nil {
			t.Errorf("%+v", v)
		}
		var begun result
		decodeAs(t, b.want(http.StatusAccepted, "", "POST", "/api/switch", `{"vmid": 141}`), &begun)
		if begun.Job == nil || begun.Job.VMID != 141 || begun.Job.From != 140 || len(begun.Job.Steps) != 4 {
			t.Errorf("begun: %+v", begun)
		}
		b.want(http.StatusConflict, `"code":"busy"`, "POST", "/api/shutdown", `{"vmid": 140}`)
		time.Sleep(5 * time.Second)
		if v := b.view(); v.Job == nil || v.Job.LimitSeconds != 180 || v.Job.ElapsedSeconds < 3 || v.Job.Text != "Windows is shutting down" {
			t.Errorf("under way: %+v", v.Job)
		}
		time.Sleep(2 * time.Minute)
		if v := b.view(); v.Running != 141 || v.Outcome == nil || !v.Outcome.OK || v.Outcome.ID != begun.Job.ID {
			t.Errorf("done: %+v", v)
		}
		b.want(http.StatusOK, "Linux AI is off.", "POST", "/api/shutdown", "vmid=141&wait=true")
		b.want(http.StatusOK, "Linux AI is off already.", "POST", "/api/shutdown", "vmid=141&wait=1")
		b.want(http.StatusOK, "Windows has the card.", "POST", "/api/switch", `{"vmid": 140, "wait": true}`)
		b.want(http.StatusOK, "Windows has the card.", "POST", "/api/switch", `{"vmid": 140, "wait": true}`)
		if !slices.Equal(b.sim.Running(), []int{140}) {
			t.Errorf("running: %v", b.sim.Running())
		}
	})
}

func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[1].Config["lock"] = "backup"
	kind := func(kind string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
	}
	play(t, host, Options{}, func(t *testing.T, b *bench) {
		tests := []struct {
			name, method, path, body string
			status                   int
			says                     string
			change                   func(*http.Request)
		}{
			{"blocked", "POST", "/api/switch", `{"vmid":141}`, http.StatusConflict, `"id":"switch.locked"`, nil},
			{"a stranger", "POST", "/api/switch", `{"vmid":999}`, http.StatusNotFound, `"code":"unknown-system"`, nil},
			{"a path", "GET", "/api/nothing", "", http.StatusNotFound, `"code":"unknown-path"`, nil},
			{"a method", "GET", "/api/switch", "", http.StatusMethodNotAllowed, "takes POST", nil},
			{"another", "DELETE", "/api/status", "", http.StatusMethodNotAllowed, "takes GET", nil},
			{"no type", "POST", "/api/switch", `{"vmid":141}`, http.StatusUnsupportedMediaType, "application/json", kind("")},
			{"a type", "POST", "/api/switch", `{"vmid":141}`, http.StatusUnsupportedMediaType, "application/json", kind("text/plain")},
			{"half a body", "POST", "/api/switch", `{"vmid":`, http.StatusBadRequest, "the body ends in the middle", nil},
			{"no body", "POST", "/api/switch", "", http.StatusBadRequest, `"the body is empty: send`, kind("application/json")},
			{"two bodies", "POST", "/api/switch", `{"vmid":141}{}`, http.StatusBadRequest, "more than one value", nil},
			{"no VMID", "POST", "/api/switch", `{}`, http.StatusBadRequest, "vmid is missing", nil},
			{"a field", "POST", "/api/switch", `{"vmid":141,"force":true}`, http.StatusBadRequest, "force", nil},
			{"a text", "POST", "/api/switch", `{"vmid":"141"}`, http.StatusBadRequest, "vmid", nil},
			{"a form without", "POST", "/api/switch", "wait=1", http.StatusBadRequest, "vmid is missing", nil},
			{"a form's wait", "POST", "/api/switch", "vmid=141&wait=perhaps", http.StatusBadRequest, "wait: want true or false", nil},
			{"a long body", "POST", "/api/switch", `{"takeOver":"` + strings.Repeat("x", 5000) + `"}`, http.StatusRequestEntityTooLarge, "large", nil},
			{"a page", "GET", "/nothing", "", http.StatusNotFound, "", nil},
		}
		for _, test := range tests {
			t.Log(test.name)
			var change []func(*http.Request)
			if test.change != nil {
				change = append(change, test.change)
			}
			w := b.want(test.status, test.says, test.method, test.path, test.body, change...)
			if strings.HasPrefix(test.path, "/api/") {
				var r Refusal
				if decodeAs(t, w, &r); r.Code == "" || r.Text == "" {
					t.Errorf("%s: %s", test.name, w.Body)
				}
			}
			if test.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Errorf("%s: no Allow", test.name)
			}
		}
		for _, r := range b.sim.Trace() {
			if r.Method != "GET" && !strings.HasSuffix(r.Path, "/agent/ping") {
				t.Errorf("a refusal writes: %s", r)
			}
		}
	})
}

// A client that waits gets a 502 if the job fails.
func TestAPIWaitsForAFailure(t *testing.T) {
	t.Parallel()
	host := pair()
	host.Guests = map[int]pvetest.Guest{140: {IgnoreACPI: true, NoAgent: true}}
	play(t, host, Options{}, func(t *testing.T, b *bench) {
		b.want(http.StatusBadGateway, "Windows did not shut down in 3 min, and is still on.", "POST", "/api/shutdown", `{"vmid":140,"wait":true}`)
	})
}
