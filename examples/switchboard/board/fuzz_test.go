package board

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
)

func FuzzBody(f *testing.F) {
	for _, body := range []string{`{"vmid":141,"wait":true,"takeOver":"x"}`, `{}`, `{"vmid":141}{`, "vmid=141&wait=1", "vmid=%zz", "", `{"vmid":1e99}`} {
		f.Add("application/json", body)
		f.Add("application/x-www-form-urlencoded", body)
	}
	f.Add("text/plain; charset=", "vmid=1")
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest(http.MethodPost, "/api/switch", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		got, status, err := decode(r)
		if err == nil && got.VMID == 0 || err != nil && status < 400 {
			t.Errorf("%+v, %d, %v", got, status, err)
		}
	})
}

func FuzzSession(f *testing.F) {
	d, now := newDoor(proxstation.NewSecret(secret)), time.Unix(1e9, 0)
	good := d.session(now)
	f.Add(good[:len(good)-2])
	f.Add("")
	f.Add("not base64!")
	f.Add(strings.Repeat("A", len(good)))
	f.Fuzz(func(t *testing.T, value string) {
		if d.valid(value, now) {
			t.Errorf("%q is a session that nobody was given", value)
		}
	})
}
