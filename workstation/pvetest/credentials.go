package pvetest

import (
	"net/http"
	"regexp"
)

// Credentials stand in the header Cookie or Authorization, the name of their kind
// in front of them with "=" or a blank between (pve-http-server
// PVE/APIServer/Formatter.pm, extract_auth_value).
var (
	ticketInHeader = regexp.MustCompile(`(?:^|\s)PVEAuthCookie[= ]([^;]*)`)
	tokenInHeader  = regexp.MustCompile(`(?:^|\s)PVEAPIToken[= ]([^;]*)`)
)

// credentials returns the ticket or the API token of a request, not both: a
// ticket counts more, and one in a cookie most (PVE/APIServer/AnyEvent.pm,
// authenticate_and_handle_request).
func credentials(r *http.Request) (ticket, token string) {
	authorization := r.Header.Get("Authorization")
	for _, header := range []string{r.Header.Get("Cookie"), authorization} {
		if match := ticketInHeader.FindStringSubmatch(header); match != nil && match[1] != "" {
			return unescape(match[1]), ""
		}
	}
	if match := tokenInHeader.FindStringSubmatch(authorization); match != nil {
		return "", unescape(match[1])
	}
	return "", ""
}
