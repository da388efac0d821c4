package board

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestOtherSitesAreTurnedAway(t *testing.T) {
	t.Parallel()
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	tests := map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"its own name":             {"GET", "/login", host("cards.lan:8140"), http.StatusSeeOther},
		"its name in capitals":     {"GET", "/login", host("CARDS.lan"), http.StatusSeeOther},
		"localhost":                {"GET", "/login", host("localhost"), http.StatusSeeOther},
		"an address":               {"GET", "/login", host("192.0.2.1:8140"), http.StatusSeeOther},
		"an IPv6 address":          {"GET", "/login", host("[2001:db8::1]:8140"), http.StatusSeeOther},
		"a bare IPv6 address":      {"GET", "/login", host("[::1]"), http.StatusSeeOther},
		"a name that leads here":   {"GET", "/api/status", host("evil.example"), http.StatusMisdirectedRequest},
		"no name":                  {"GET", "/api/status", host(""), http.StatusMisdirectedRequest},
		"a form of another site":   {"POST", "/switch/141", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"a form of a sibling":      {"POST", "/api/switch", header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"an old browser's":         {"POST", "/switch/141", header("Origin", "https://evil.example"), http.StatusForbidden},
		"a page without an origin": {"POST", "/login", header("Origin", "null"), http.StatusForbidden},
	}
	play(t, pair(), Options{Names: []string{"cards.lan"}}, func(t *testing.T, b *bench) {
		for name, test := range tests {
			if w := b.ask(test.method, test.path, "", test.change); w.Code != test.want {
				t.Errorf("%s: %d, want %d: %s", name, w.Code, test.want, w.Body)
			} else if code := map[int]string{http.StatusMisdirectedRequest: "host", http.StatusForbidden: "cross-origin"}[w.Code]; code != "" {
				var said Refusal
				if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || said.Code != code || said.Text == "" || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s: %v: %s, want code %s", name, err, w.Body, code)
				}
			}
		}
		b.want(http.StatusSeeOther, "", "GET", "/login", "") // without a secret there is no login
		w := b.ask("GET", "/", "")
		for key, part := range map[string]string{"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if !strings.Contains(w.Header().Get(key), part) {
				t.Errorf("%s: %q", key, w.Header().Get(key))
			}
		}
		for _, inline := range []string{"<style", "style=", "onclick", "javascript:", "http://", "https://"} {
			if strings.Contains(w.Body.String(), inline) {
				t.Errorf("the page holds %q", inline)
			}
		}
	})
}
