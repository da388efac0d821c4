package pve

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/printable"
)

// hidden replaces a secret in a text.
const hidden = "[secret]"

// maxSecrets is the largest number of secrets that are remembered. They are the
// secrets of the login and the secrets that were sent for VMs. Beyond this
// number, the oldest secrets are forgotten.
const maxSecrets = 64

// longestText is the largest number of bytes of a node's message. Longer
// messages are cut.
const longestText = 4096

// Secrets holds texts that a client sent to its node. A node may return these
// texts in a message, in a log or in an answer. They are hidden in every error
// and log line, in each form in which a node may return them. Secrets is safe
// for concurrent use.
type secrets struct {
	mu    sync.Mutex
	known []string
}

func (s *secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if text != "" && !slices.Contains(s.known, text) {
			s.known = append(s.known, text)
		}
	}
	s.known = s.known[max(0, len(s.known)-maxSecrets):]
}

// clean returns a node's text for people: on one line, cut to the length of a
// message, and without secrets. It also removes the given secrets, which belong
// only to this request.
func (s *secrets) clean(text string, passing ...string) string {
	s.mu.Lock()
	all := slices.Concat(s.known, passing)
	s.mu.Unlock()
	var pairs []string
	for _, form := range forms(all) {
		pairs = append(pairs, form, hidden)
	}
	text = macos.HideOSK(strings.NewReplacer(pairs...).Replace(text))
	text = printable.Line(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		return r
	}, strings.TrimSpace(text)))
	if len(text) > longestText {
		text = strings.ToValidUTF8(text[:longestText], "") + " ..." // no character may be cut in half
	}
	return text
}

// forms returns all forms in which a node may return the texts: the texts
// themselves, their escaped forms, and the escaped forms of these forms. The
// longest form comes first.
func forms(texts []string) []string {
	all := map[string]bool{}
	for _, text := range texts {
		if text == "" {
			continue
		}
		all[text] = true
		for _, once := range escapes(text) {
			all[once] = true
			for _, twice := range escapes(once) {
				all[twice] = true
			}
		}
	}
	list := make([]string, 0, len(all))
	for form := range all {
		list = append(list, form)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return list
}

// escapes returns the forms that a text has in JSON, Go, URLs, HTML and base64.
func escapes(text string) []string {
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // this cannot fail, because a text can always be encoded
	safe, _ := json.Marshal(text)
	inner := func(quoted string) string {
		quoted = strings.TrimSpace(quoted)
		return quoted[1 : len(quoted)-1]
	}
	return []string{inner(plain.String()), inner(string(safe)), inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)),
		strings.ReplaceAll(inner(plain.String()), "/", `\/`), url.QueryEscape(text), url.PathEscape(text), html.EscapeString(text),
		base64.StdEncoding.EncodeToString([]byte(text))}
}

// learn remembers the secrets among a request's parameters. It returns the
// secrets that belong to this request only, such as data for a guest.
func (s *secrets) learn(params any) (passing []string) {
	values, _ := params.(map[string]any)
	for key, value := range values {
		text, _ := value.(string)
		switch key {
		case "cipassword", "password":
			s.add(text)
		case "args":
			s.add(macos.OSK(text))
		case "input-data", "content":
			passing = append(passing, pieces(text)...)
			passing = append(passing, pieces(octets(text))...)
			if data, err := base64.StdEncoding.DecodeString(text); err == nil {
				passing = append(passing, pieces(string(data))...)
			}
		case "command":
			argv, _ := value.([]string)
			for _, argument := range argv[min(1, len(argv)):] {
				if len(argument) > 5 && !strings.HasPrefix(argument, "-") {
					passing = append(passing, argument)
				}
			}
		}
	}
	return passing
}

// pieces returns a text and its longer lines, because a node may return only a
// part of the text.
func pieces(text string) []string {
	list := []string{text}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); len(line) > 7 && line != text {
			list = append(list, line)
		}
	}
	return list
}

// hush returns an error whose text has no secrets and that matches the same
// sentinel errors as err. If the text of err must be hidden, the returned error
// cannot be unwrapped.
func (s *secrets) hush(err error, passing ...string) error {
	if err == nil {
		return nil
	}
	if text := s.clean(err.Error(), passing...); text != err.Error() {
		return hushed{text, err}
	}
	return err
}

type hushed struct {
	text string
	err  error
}

// Error implements error.
func (e hushed) Error() string { return e.text }

// Is matches the targets that the hidden error matches.
func (e hushed) Is(target error) bool { return errors.Is(e.err, target) }

// The method As finds only those errors inside the hidden error whose types
// hold no text of the node.
func (e hushed) As(target any) bool {
	switch target.(type) {
	case **CertificateError, **net.OpError:
		return errors.As(e.err, target)
	}
	return false
}

// Format implements [fmt.Formatter], so that no verb prints the hidden error.
func (e hushed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }
