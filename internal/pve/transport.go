package pve

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Transport keeps the words of PVE that go-proxmox would lose, and sends the
// caller's credentials only to the node. It turns every refusal except a 401
// into a 500 whose status line holds the status and the message of the node. A
// redirect counts as a refusal and is never followed, because PVE sends no
// redirects. Reading a body that is too long ends with [ErrTooLarge].
func Transport(base http.RoundTripper) http.RoundTripper { return faithful{base} }

type faithful struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (f faithful) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := f.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 || response.StatusCode == http.StatusUnauthorized {
		response.Body = &bounded{response.Body, answerBound(r.URL.Path)}
		return response, nil
	}
	defer response.Body.Close()
	message := strings.TrimSpace(strings.TrimPrefix(response.Status, fmt.Sprint(response.StatusCode)))
	if response.StatusCode < 400 {
		message = elsewhere(response.Header.Get("Location"))
	} else {
		data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // if the body cannot be read, the status line is enough
		message = words(message, data)
	}
	response.Status = fmt.Sprintf("500 %d %s", response.StatusCode, message)
	response.StatusCode = http.StatusInternalServerError
	response.Body = http.NoBody
	response.Header.Del("Location")
	return response, nil
}

// The function "elsewhere" returns the target of a redirect without parts that
// may be secret.
func elsewhere(location string) string {
	where := "an address that is not valid"
	if u, err := url.Parse(location); err == nil {
		where = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	return "the node redirects the request to " + where + ", to which nothing was sent"
}

// words returns a node's words in a refusal: the message in the body, or else
// the reason in the status line. After that come the faults of the parameters.
func words(reason string, body []byte) string {
	var said struct {
		Message any            `json:"message"`
		Errors  map[string]any `json:"errors"`
	}
	_ = json.Unmarshal(body, &said) // a body that is not JSON adds nothing
	if message, ok := said.Message.(string); ok && strings.TrimSpace(message) != "" {
		reason = strings.TrimSpace(message)
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(said.Errors)) {
		wrong = append(wrong, strings.TrimSpace(fmt.Sprintf("%s: %v", name, said.Errors[name])))
	}
	if len(wrong) > 0 {
		reason = strings.TrimSuffix(reason, ".") + ": " + strings.Join(wrong, "; ")
	}
	return reason
}

// A bounded body returns an error when it becomes too long. It counts
// decompressed bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read implements [io.Reader].
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
