package pvetest

import (
	"net/http"
	"regexp"
)

// These patterns match a ticket and an API token in a header. A "=" or a blank
// separates the name from the value (pve-http-server
// PVE/APIServer/Formatter.pm, extract_auth_value).
var (
	ticketInHeader = regexp.MustCompile(`(?:^|\s)PVEAuthCookie[= ]([^;]*)`)
	tokenInHeader  = regexp.MustCompile(`(?:^|\s)PVEAPIToken[= ]([^;]*)`)
)

// credentials returns the ticket of a request. If there is no ticket, it
// returns the API token. PVE looks for a ticket first in the cookie and then in
// the header Authorization (PVE/APIServer/AnyEvent.pm,
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
