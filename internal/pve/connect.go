package pve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/luthermonson/go-proxmox"
)

// An Endpoint is where a node's API is and how to log in. Either Token, or
// Username and Password.
type Endpoint struct {
	// URL is the address of the node: "https://pve.example:8006".
	URL string
	// Token is an API token: "user@realm!id=secret".
	Token string
	// Username is an account with its realm: "root@pam".
	Username string
	Password string
	// RootCAs verify the node's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Fingerprint is the SHA-256 fingerprint of the node's certificate, as
	// PVE's web interface shows it. With it, exactly this certificate is good.
	Fingerprint string
	// Transport replaces the network, for tests; nil is the network.
	Transport http.RoundTripper
}

// String returns the URL and nothing that is secret.
func (e Endpoint) String() string {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" { // what is in it may be a password
		return "an address that is none"
	}
	return u.Redacted()
}

// GoString returns what String does, so that %#v shows no secret either.
func (e Endpoint) GoString() string { return e.String() }

// MarshalText returns what String does, so that JSON and logs show no secret
// either.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// A CertificateError says that the node's certificate cannot be trusted.
type CertificateError struct {
	Host        string
	Fingerprint string // SHA-256 of the certificate that was shown
	cause       error
}

// Error implements error.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("pve: the certificate of %s cannot be verified (%v): give the CA of the node (/etc/pve/pve-root-ca.pem), or, "+
		"after comparing it with the one in PVE's web interface (node, Certificates), the fingerprint %s", e.Host, e.cause, e.Fingerprint)
}

// Unwrap returns the verifier's reason.
func (e *CertificateError) Unwrap() error { return e.cause }

// Dial returns a client of the endpoint. It makes no request.
func Dial(e Endpoint) (*proxmox.Client, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(e.URL, "/"), "/api2/json"))
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("pve: endpoint %q: want https://HOST:8006", e)
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("pve: endpoint %q: want https, because the login must not be readable on the way", e)
	}
	if u.User != nil {
		return nil, fmt.Errorf("pve: endpoint %q: a user and a password belong into Username and Password", e)
	}
	transport := e.Transport
	if transport == nil {
		if transport, err = verifying(u.Hostname(), e); err != nil {
			return nil, err
		}
	}
	address := u.String() + "/api2/json"
	var options []proxmox.Option
	id, secret, isToken := strings.Cut(e.Token, "=")
	switch {
	case isToken && strings.Contains(id, "!"):
		options = append(options, proxmox.WithAPIToken(id, secret))
	case e.Token != "":
		return nil, errors.New("pve: the API token is not of the form USER@REALM!ID=SECRET")
	case e.Username != "" && e.Password != "":
		transport = &login{base: transport, address: address, username: e.Username, password: e.Password, turn: make(chan struct{}, 1)}
	default:
		return nil, errors.New("pve: no login: give an API token, or a user name and a password")
	}
	options = append(options, proxmox.WithHTTPClient(&http.Client{Transport: Transport(transport)}))
	return proxmox.NewClient(address, options...), nil
}

// verifying returns a transport that verifies the node by CA or fingerprint.
func verifying(host string, e Endpoint) (http.RoundTripper, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(e.Fingerprint, ":", ""))
	if err != nil || len(want) != 0 && len(want) != sha256.Size {
		return nil, fmt.Errorf("pve: fingerprint %q: want the 32 bytes of a SHA-256 in hexadecimal", e.Fingerprint)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16 // what is read at once is asked again on the same connections
	// Verification is ours, below, so that its error can show the fingerprint.
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error { return verify(host, want, e.RootCAs, state) }}
	return transport, nil
}

func verify(host string, want []byte, roots *x509.CertPool, state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	seen := sha256.Sum256(leaf.Raw)
	problem := &CertificateError{Host: host, Fingerprint: strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", seen[:])), " ", ":")}
	if len(want) > 0 {
		if bytes.Equal(want, seen[:]) {
			return nil
		}
		problem.cause = errors.New("its fingerprint is another")
		return problem
	}
	options := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, problem.cause = leaf.Verify(options); problem.cause != nil {
		return problem
	}
	return nil
}

// Transport keeps PVE's words where go-proxmox would lose them: it makes every
// refusal but 400 and 401 a 500 whose status line holds the status and the
// message that the node sent.
func Transport(base http.RoundTripper) http.RoundTripper { return faithful{base} }

type faithful struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (f faithful) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f.base.RoundTrip(r)
	if err != nil || response.StatusCode < 400 || response.StatusCode == 400 || response.StatusCode == 401 {
		return response, err
	}
	defer response.Body.Close()
	message := strings.TrimSpace(strings.TrimPrefix(response.Status, fmt.Sprint(response.StatusCode)))
	var body struct {
		Message string `json:"message"`
	}
	data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // the status line says enough
	if json.Unmarshal(data, &body) == nil && strings.TrimSpace(body.Message) != "" {
		message = strings.TrimSpace(body.Message)
	}
	response.Status = fmt.Sprintf("500 %d %s", response.StatusCode, message)
	response.StatusCode = http.StatusInternalServerError
	response.Body = http.NoBody
	return response, nil
}

// Probe asks for the version, which everybody who is logged in may know, and
// explains what is in the way: the certificate, the login, or that the
// endpoint is something else.
func Probe(ctx context.Context, api *proxmox.Client) (release string, err error) {
	var version struct {
		Version, Release string
	}
	c := New(api, "")
	err = c.get(ctx, "/version", nil, &version)
	var certificate *CertificateError
	switch {
	case errors.As(err, &certificate):
		return "", certificate
	case errors.Is(err, proxmox.ErrNotAuthorized), errors.Is(err, ErrPermission), errors.Is(err, ErrLogin):
		return "", fmt.Errorf("pve: the node refuses the login: %w", ErrLogin)
	case err == nil && version.Release == "":
		return "", fmt.Errorf("pve: %w", ErrNotPVE)
	}
	var syntax *json.SyntaxError
	var status *Error
	if errors.As(err, &syntax) || errors.As(err, &status) && (status.Status == 404 || status.Status == 405) {
		return "", fmt.Errorf("pve: %w: %w", ErrNotPVE, err)
	}
	return version.Version, err
}
