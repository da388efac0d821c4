package board

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
)

const secret = "correct horse battery"

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func with(cookie *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(cookie) }
}

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

func TestTheSecretIsAskedFor(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{Secret: proxstation.NewSecret(secret)}, func(t *testing.T, b *bench) {
		for _, path := range []string{"/", "/switch/141", "/shutdown/140", "/takeover"} {
			if w := b.want(http.StatusSeeOther, "", "GET", path, ""); w.Header().Get("Location") != "/login" {
				t.Errorf("GET %s leads to %q", path, w.Header().Get("Location"))
			}
		}
		b.want(http.StatusSeeOther, "", "POST", "/switch/141", "from=140")
		b.want(http.StatusSeeOther, "", "POST", "/dismiss", "id=x")
		for _, path := range []string{"/events", "/api/events", "/api/status", "/api/nothing"} {
			if w := b.want(http.StatusUnauthorized, `"code":"unauthorized"`, "GET", path, ""); w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s does not say how", path)
			}
		}
		b.want(http.StatusUnauthorized, "unauthorized", "POST", "/api/switch", `{"vmid":141}`)
		b.want(http.StatusOK, `type="password"`, "GET", "/login", "")
		b.want(http.StatusOK, "color-scheme", "GET", "/static/board.css", "")

		b.want(http.StatusUnauthorized, "That is not the secret", "POST", "/login", "secret=wrong")
		w := b.want(http.StatusSeeOther, "", "POST", "/login", "secret=correct+horse+battery")
		cookie := w.Result().Cookies()[0]
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure || strings.Contains(cookie.Value, secret) {
			t.Errorf("the cookie: %s", cookie)
		}
		w = b.want(http.StatusSeeOther, "", "POST", "/login", "secret=correct+horse+battery", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
		if !w.Result().Cookies()[0].Secure {
			t.Error("behind HTTPS the cookie is not Secure")
		}
		b.want(http.StatusOK, "Log out", "GET", "/", "", with(cookie))
		b.want(http.StatusOK, `"running":140`, "GET", "/api/status", "", with(cookie))
		b.want(http.StatusOK, `"running":140`, "GET", "/api/status", "", bearer(secret))
		b.want(http.StatusUnauthorized, "", "GET", "/api/status", "", bearer("wrong"))
		for _, bad := range []string{"", "x", cookie.Value[1:], "Z" + cookie.Value[1:], cookie.Value + "AAAA"} {
			b.want(http.StatusUnauthorized, "", "GET", "/api/status", "", with(&http.Cookie{Name: cookieName, Value: bad}))
		}
		if w := b.want(http.StatusSeeOther, "", "POST", "/logout", "", with(cookie)); w.Result().Cookies()[0].MaxAge >= 0 {
			t.Error("the cookie stays after the log out")
		}
		time.Sleep(sessionTime)
		b.want(http.StatusUnauthorized, "", "GET", "/api/status", "", with(cookie))
		if got := strings.Join(b.said, "\n"); got != "a wrong secret from 192.0.2.7\na wrong secret from 192.0.2.7" {
			t.Errorf("reported %q", got)
		}
		if body := b.ask("GET", "/", "", bearer(secret)).Body.String(); strings.Contains(body, secret) || strings.Contains(body, "root@pam!") {
			t.Error("the page holds a secret")
		}
	})
}

// After a change of the secret, the sessions from the old secret are no longer
// valid.
func TestAnotherSecretEndsSessions(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a, b := newDoor(proxstation.NewSecret(secret)), newDoor(proxstation.NewSecret("another one entirely"))
	if value := a.session(now); !a.valid(value, now) || b.valid(value, now) || a.valid(value, now.Add(sessionTime)) || value == a.session(now) {
		t.Error("a session is valid where it must not be, or not where it must")
	}
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{Secret: proxstation.NewSecret(secret)}, func(t *testing.T, b *bench) {
		for range freeMisses {
			b.want(http.StatusUnauthorized, "not the secret", "POST", "/login", "secret=wrong")
		}
		w := b.want(http.StatusTooManyRequests, "Try again in 11 s", "POST", "/login", "secret=correct+horse+battery")
		if w.Header().Get("Retry-After") != "11" {
			t.Errorf("Retry-After: %s", w.Header().Get("Retry-After"))
		}
		b.want(http.StatusTooManyRequests, `"code":"throttled"`, "GET", "/api/status", "", bearer(secret))
		b.want(http.StatusOK, "", "GET", "/api/status", "", bearer(secret), from("198.51.100.1:99"))
		time.Sleep(11 * time.Second)
		b.want(http.StatusUnauthorized, "", "GET", "/api/status", "", bearer("wrong"))
		b.want(http.StatusTooManyRequests, "21 s", "GET", "/api/status", "", bearer("wrong"))
		time.Sleep(longestWait + time.Second)
		b.want(http.StatusOK, "", "GET", "/api/status", "", bearer(secret))
		b.want(http.StatusUnauthorized, "", "GET", "/api/status", "", bearer("wrong")) // after the wait, guesses are compared again
	})
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	var many throttle
	now := time.Unix(1e9, 0)
	for range 40 {
		many.miss("a", now)
	}
	if got := many.wait("a", now); got != longestWait {
		t.Errorf("after 40 wrong secrets: %s", got)
	}
	if got := many.wait("b", now); got != 0 {
		t.Errorf("another place waits %s", got)
	}
	for i := range 2 * mostPlaces {
		many.miss(strings.Repeat("x", i+1), now)
	}
	if got := many.wait("b", now); got != longestWait || len(many.places) > mostPlaces {
		t.Errorf("after wrong secrets from everywhere: %s, %d places", got, len(many.places))
	}
	many.miss("b", now.Add(longestWait+time.Second))
	if len(many.places) != 1 || many.wait("c", now.Add(longestWait+time.Second)) != 0 {
		t.Errorf("%d places are remembered for ever", len(many.places))
	}
}

func TestCaller(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"192.0.2.7:80": "192.0.2.7", "[::ffff:192.0.2.7]:80": "192.0.2.7", "[2001:db8::1]:80": "2001:db8::/64",
		"[2001:db8:0:0:ffff::1]:80": "2001:db8::/64", "[fe80::1%eth0]:80": "fe80::/64", "pipe": "pipe", "name:80": "name"} {
		if got := caller(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
