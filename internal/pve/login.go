package pve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// renewAfter is the age at which a ticket is replaced. PVE accepts a ticket for
// two hours (PVE/AccessControl.pm).
const renewAfter = time.Hour

// A login is a transport that logs in with a password. When the node refuses
// the ticket, it logs in again and repeats the request, because a request that
// was refused with 401 had no effect. The sessions of go-proxmox work
// differently: at a login they fail every request that is under way, and they
// log in at most once an hour.
type login struct {
	base               http.RoundTripper
	address            string // the address of the API
	username, password string
	secrets            *secrets // the login adds its tickets to these secrets

	turn         chan struct{} // whoever holds the turn may use the fields below
	ticket, csrf string
	since        time.Time
}

// newLogin returns a transport that logs in to the endpoint at an address.
// Clients of one cluster share the transport of [Join], and therefore share its
// login.
func newLogin(base http.RoundTripper, address string, e Endpoint) *login {
	if l, shared := base.(*login); shared {
		return l
	}
	l := &login{base: base, address: address, username: e.Username, password: e.Password, secrets: new(secrets), turn: make(chan struct{}, 1)}
	l.secrets.add(e.Password)
	return l
}

// RoundTrip implements [http.RoundTripper].
func (l *login) RoundTrip(r *http.Request) (*http.Response, error) {
	ticket, csrf, err := l.session(r, "")
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return refusal(r, err)
	}
	response, err := l.send(r, r.Body, ticket, csrf)
	again := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	if err != nil || response.StatusCode != http.StatusUnauthorized || !again {
		return response, err
	}
	_ = response.Body.Close()
	if ticket, csrf, err = l.session(r, ticket); err != nil {
		return refusal(r, err)
	}
	body := r.Body
	if r.GetBody != nil {
		if body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return l.send(r, body, ticket, csrf)
}

func (l *login) send(r *http.Request, body io.ReadCloser, ticket, csrf string) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Body = body
	r.Header.Set("Cookie", "PVEAuthCookie="+ticket)
	r.Header.Set("CSRFPreventionToken", csrf)
	return l.base.RoundTrip(r)
}

// session returns the ticket. If the ticket is old or was refused, session logs
// in to get a new ticket.
func (l *login) session(r *http.Request, refused string) (ticket, csrf string, err error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-r.Context().Done():
		return "", "", r.Context().Err()
	}
	if l.ticket != "" && l.ticket != refused && time.Since(l.since) < renewAfter {
		return l.ticket, l.csrf, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime) // an upload has no deadline, so the login needs a limit
	defer cancel()
	form := url.Values{"username": {l.username}, "password": {l.password}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.address+"/access/ticket", strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", r.Header.Get("User-Agent"))
	response, err := l.base.RoundTrip(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", "", &loginError{response.StatusCode, response.Status}
	}
	var answer struct{ Data granted }
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", "", err
	}
	_, err = decode(ctx, "/access/ticket", data, &answer) // a value that does not fit counts as absent
	switch d := answer.Data; {
	case err != nil:
		return "", "", fmt.Errorf("no answer to a login: %w", errNotJSON)
	case bool(d.NeedTFA) || strings.HasPrefix(string(d.Ticket), "PVE:!tfa!"):
		return "", "", fmt.Errorf("the account needs a second factor, so use an API token: %w", ErrLogin)
	case d.Ticket == "":
		return "", "", fmt.Errorf("no answer to a login: %w", ErrNotPVE)
	}
	l.ticket, l.csrf, l.since = string(answer.Data.Ticket), string(answer.Data.CSRF), time.Now()
	l.secrets.add(l.ticket, l.csrf)
	return l.ticket, l.csrf, nil
}

// A granted holds PVE's answer to a login.
type granted struct {
	Ticket  text
	CSRF    text `json:"CSRFPreventionToken"`
	NeedTFA flag `json:"NeedTFA"`
}

// A loginError is a node's refusal of a login.
type loginError struct {
	code   int
	status string
}

// Error implements error.
func (e *loginError) Error() string { return "login: " + e.status }

// refusal returns the node's answer to a failed login as the answer to a
// request.
func refusal(r *http.Request, err error) (*http.Response, error) {
	var refused *loginError
	if !errors.As(err, &refused) {
		return nil, err
	}
	return &http.Response{StatusCode: refused.code, Status: cmp.Or(refused.status, fmt.Sprint(refused.code)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}
