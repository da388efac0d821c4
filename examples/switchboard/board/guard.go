package board

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// headers are sent with every answer. The page brings its own style and script
// as files, so that no inline code ever runs, and no other page may show it in a
// frame. Referrer-Policy is same-origin, because without any referrer a browser
// sends "Origin: null" with a form (Fetch Standard, "append a request Origin
// header"), and the form is refused as another site's.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Frame-Options":              "DENY", // for browsers without frame-ancestors
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
	return b.guard(http.NewCrossOriginProtection().Handler(b.login(mux)))
}

// guard sets the headers, and refuses requests under a host name that is not
// this page's. Another site could make its own name lead here, and for a browser
// it would then have the same origin. An address cannot be taken like that.
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
			http.Error(w, "This page does not know the name "+host+". If the name is right, start switchboard with -name "+host+".", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}
