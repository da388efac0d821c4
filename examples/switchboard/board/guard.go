package board

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// headers holds the HTTP headers of every answer. The page loads its style and
// its script as files, so no inline code is allowed to run. No other page may
// show this page in a frame. Referrer-Policy is same-origin, because without
// any referrer a browser sends "Origin: null" with a form (Fetch Standard,
// "append a request Origin header"). The board would refuse such a form,
// because it could come from another site.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Frame-Options":              "DENY", // for browsers that do not know frame-ancestors
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
	"Cache-Control":                "no-store",
}

// Handler returns the page and the HTTP interface.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	b.pages(mux)
	b.api(mux)
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusForbidden, Refusal{Code: "cross-origin", Text: "The request comes from a page of another site. Nothing was begun."})
	}))
	return b.guard(own.Handler(b.login(mux)))
}

// guard sets the headers, and refuses requests for a host name that is not in
// Names. Otherwise another site could let its own name point to this server,
// and a browser would treat the site and this server as the same origin. With
// an IP address this attack is not possible.
func (b *Board) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for key, value := range headers {
			w.Header().Set(key, value)
		}
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if host = strings.ToLower(host); host != "localhost" && net.ParseIP(host) == nil && !slices.Contains(b.opts.Names, host) {
			writeJSON(w, http.StatusMisdirectedRequest, Refusal{Code: "host", Text: "This page does not know the name " + host + ". If the name is right, start switchboard with -name " + host + "."})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}
