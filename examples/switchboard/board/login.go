package board

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

const (
	cookieName = "switchboard"
	// sessionTime is the time for which a browser stays logged in.
	sessionTime = 90 * 24 * time.Hour
	// rounds is the number of rounds of the hash. It makes each guess at the
	// secret costly for somebody who has stolen a cookie.
	rounds = 100_000
)

// A door checks the secret. A session is a signed cookie, so it stays valid
// after a restart of the program. A new secret ends the sessions of all
// browsers.
type door struct {
	digest   [sha256.Size]byte // hash of the secret
	key      []byte            // key that signs sessions; nil if there is no secret
	throttle throttle
}

func newDoor(secret proxstation.Secret) *door {
	if secret.IsZero() {
		return &door{}
	}
	key, err := pbkdf2.Key(sha256.New, secret.Reveal(), []byte("switchboard session"), rounds, sha256.Size)
	if err != nil {
		panic(err) // cannot happen with this key length
	}
	return &door{digest: sha256.Sum256([]byte(secret.Reveal())), key: key}
}

// open reports whether no secret is needed.
func (d *door) open() bool { return d.key == nil }

// knows compares a guess with the secret, in a time that does not depend on the
// guess.
func (d *door) knows(guess string) bool {
	digest := sha256.Sum256([]byte(guess))
	return subtle.ConstantTimeCompare(digest[:], d.digest[:]) == 1
}

// session returns the value of a new cookie: the time at which the session
// ends, a random part, and a signature of both.
func (d *door) session(now time.Time) string {
	var body [24]byte
	binary.BigEndian.PutUint64(body[:], uint64(now.Add(sessionTime).Unix())) //nolint:gosec // not before 1970
	_, _ = rand.Read(body[8:])                                               // rand.Read never fails
	return base64.RawURLEncoding.EncodeToString(append(body[:], d.sign(body[:])...))
}

func (d *door) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, d.key)
	mac.Write(body)
	return mac.Sum(nil)
}

// valid reports whether a cookie's value is a session that has not ended.
func (d *door) valid(value string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) != 24+sha256.Size || !hmac.Equal(d.sign(raw[:24]), raw[24:]) {
		return false
	}
	return now.Unix() < int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // we have signed it
}

// login passes a request on if it has the secret or a session. The login page
// and its files need neither.
func (b *Board) login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.door.open() || r.URL.Path == "/login" || strings.HasPrefix(r.URL.Path, "/static/") {
			next.ServeHTTP(w, r)
			return
		}
		if scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
			if wait, ok := b.admit(r, strings.TrimSpace(token)); !ok {
				unauthorized(w, wait)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		if cookie, err := r.Cookie(cookieName); err == nil && b.door.valid(cookie.Value, time.Now()) {
			next.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/events" {
			unauthorized(w, 0)
			return
		}
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
}

// admit compares a guess with the secret. If too many wrong guesses came from
// one place, it refuses all guesses from there for some time, even the right
// secret.
func (b *Board) admit(r *http.Request, guess string) (wait time.Duration, ok bool) {
	from := caller(r)
	if wait := b.door.throttle.wait(from, time.Now()); wait > 0 {
		return wait, false
	}
	if !b.door.knows(guess) {
		b.door.throttle.miss(from, time.Now())
		b.opts.Report("a wrong secret from " + from)
		return 0, false
	}
	b.door.throttle.hit(from)
	return 0, true
}

// unauthorized answers a request without the secret. Such a request comes from
// a program, or from an open page whose session has ended.
func unauthorized(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		writeJSON(w, http.StatusTooManyRequests, Refusal{Code: "throttled", Text: "Too many wrong secrets: try again in " + span(wait+time.Second) + "."})
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="switchboard"`)
	writeJSON(w, http.StatusUnauthorized, Refusal{Code: "unauthorized", Text: "Send the header Authorization: Bearer SECRET."})
}

// askSecret shows the form for the secret, if there is a secret.
func (b *Board) askSecret(w http.ResponseWriter, r *http.Request) {
	if b.door.open() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	b.render(w, http.StatusOK, "login", "")
}

// enter handles the form with the secret.
func (b *Board) enter(w http.ResponseWriter, r *http.Request) {
	if b.door.open() {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	switch wait, ok := b.admit(r, r.PostFormValue("secret")); {
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		b.render(w, http.StatusTooManyRequests, "login", "Too many wrong secrets. Try again in "+span(wait+time.Second)+".")
		return
	case !ok:
		b.render(w, http.StatusUnauthorized, "login", "That is not the secret.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: b.door.session(time.Now()), Path: "/", MaxAge: int(sessionTime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// leave ends the session of the browser that sent the request.
func (b *Board) leave(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
