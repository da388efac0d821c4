package pve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/printable"
)

// An Endpoint says where a node's API is and how to log in. The login is a
// token, or a user name and a password. The fields are the same as in
// workstation.Endpoint.
type Endpoint struct {
	URL         string
	Token       string // "user@realm!id=secret"
	Username    string // "root@pam"
	Password    string
	RootCAs     *x509.CertPool    // if nil, the system's CAs count
	Fingerprint string            // SHA-256 of the node's certificate
	Transport   http.RoundTripper // used instead of the network
}

// plain matches a host and a port, as in "pve.lan:8006", and a host with its
// domain. Such a text is no URL, but it holds no secret either.
var plain = regexp.MustCompile(`^(([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]{1,63}|\[[0-9a-fA-F:]+\]):[0-9]{1,5}/?$|^([a-zA-Z0-9-]{1,63}\.)+[a-zA-Z0-9-]{1,63}/?$`)

// String returns the URL without secrets.
func (e Endpoint) String() string {
	u, err := url.Parse(e.URL)
	switch {
	case plain.MatchString(e.URL):
		return e.URL
	case err != nil || u.Host == "": // the text may hold a password
		return "not a valid address"
	}
	return u.Redacted()
}

// An inputError reports an endpoint that cannot be used.
type inputError string

// Error implements error.
func (e inputError) Error() string { return "pve: " + string(e) }

// Is makes the error match [ErrInvalid].
func (e inputError) Is(target error) bool { return target == ErrInvalid }

// A CertificateError reports a node whose certificate cannot be trusted.
type CertificateError struct {
	Host        string
	Fingerprint string // SHA-256 of the certificate that the node presented
	Why         string // the reason for which the verification failed
	cause       error
}

// Error implements error.
func (e *CertificateError) Error() string {
	return printable.Sprintf("pve: the certificate of %s cannot be verified (%s): give the CA of the node (/etc/pve/pve-root-ca.pem), "+
		"or compare the fingerprint with PVE's web interface (node, Certificates) and then give it: %s", e.Host, e.Why, e.Fingerprint)
}

// Unwrap returns the verifier's error.
func (e *CertificateError) Unwrap() error { return e.cause }

// parse returns the URL of an endpoint. The errors match [ErrInvalid].
func (e Endpoint) parse() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(strings.TrimSuffix(e.URL, "/"), "/api2/json"))
	switch {
	case err != nil || u.Host == "":
		return nil, inputError(fmt.Sprintf("endpoint %q: want https://HOST:8006", e))
	case u.Scheme != "https":
		return nil, inputError(fmt.Sprintf("endpoint %q: want https, because the login must not be readable on the way", e))
	case u.User != nil:
		return nil, inputError(fmt.Sprintf("endpoint %q: put the user and the password into Username and Password", e))
	}
	return u, nil
}

// Dial returns a client of the endpoint, for no particular node yet. It makes
// no request. The errors match [ErrInvalid].
func Dial(e Endpoint) (*Client, error) {
	u, err := e.parse()
	if err != nil {
		return nil, err
	}
	transport := e.Transport
	if transport == nil {
		network, err := verifying(u.Hostname(), e)
		if err != nil {
			return nil, err
		}
		transport = network
	}
	address := u.String() + "/api2/json"
	var options []proxmox.Option
	known := new(secrets)
	id, secret, isToken := strings.Cut(e.Token, "=")
	switch {
	case isToken && strings.Contains(id, "!"):
		known.add(secret)
		options = append(options, proxmox.WithAPIToken(id, secret))
	case e.Token != "":
		return nil, inputError("the API token is not of the form USER@REALM!ID=SECRET")
	case e.Username != "" && e.Password != "":
		l := newLogin(transport, address, e)
		transport, known = l, l.secrets
	default:
		return nil, inputError("no login: give an API token, or a user name and a password")
	}
	options = append(options, proxmox.WithHTTPClient(&http.Client{Transport: Transport(transport)}))
	c := New(proxmox.NewClient(address, options...), "")
	c.secrets, c.foreign = known, false
	c.ready.Store(true) // a token needs no login, and our own login allows concurrent requests
	return c, nil
}

// verifying returns a transport that verifies the node by CA or fingerprint.
func verifying(host string, e Endpoint) (*http.Transport, error) {
	want, err := hex.DecodeString(strings.ReplaceAll(e.Fingerprint, ":", ""))
	if err != nil || len(want) != 0 && len(want) != sha256.Size {
		return nil, inputError(fmt.Sprintf("fingerprint %q: want the 32 bytes of a SHA-256 in hexadecimal", e.Fingerprint))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = InFlight // keeps the connections open for the next round
	// The verification below is our own, because its error must show the
	// fingerprint.
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
		problem.Why = "it has another fingerprint"
		return problem
	}
	options := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, problem.cause = leaf.Verify(options); problem.cause != nil {
		problem.Why = problem.cause.Error()
		return problem
	}
	return nil
}

// Probe requests the version, which every login may read. Its error says
// whether the certificate or the login is at fault, or whether the endpoint is
// not PVE.
func (c *Client) Probe(ctx context.Context) (release string, err error) {
	var version struct {
		Version, Release string
	}
	err = c.get(ctx, "/version", nil, &version)
	var certificate *CertificateError
	switch {
	case errors.As(err, &certificate):
		return "", c.explain(certificate)
	case errors.Is(err, proxmox.ErrNotAuthorized), errors.Is(err, ErrPermission), errors.Is(err, ErrLogin):
		return "", c.explain(fmt.Errorf("pve: the node refuses the login: %w", ErrLogin))
	case err == nil && version.Release == "":
		return "", c.explain(fmt.Errorf("pve: %w", ErrNotPVE))
	}
	var status *Error
	if errors.As(err, &status) && (status.Status == 404 || status.Status == 405) {
		return "", c.explain(fmt.Errorf("pve: %w: %w", ErrNotPVE, err))
	}
	return version.Version, err
}
