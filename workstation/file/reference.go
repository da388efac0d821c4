package file

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation"
)

// A Reference names the place of a secret: "env:NAME" is a variable of the
// environment, "file:PATH" is a file. The secret itself is never on a page.
type Reference string

// ErrReference reports a text that is not a reference. No message shows the
// text, because it may be a secret.
var ErrReference = errors.New("file: not a reference")

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseReference parses a reference. The error matches [ErrReference] and does
// not show the text.
func ParseReference(text string) (Reference, error) {
	r := Reference(text)
	kind, name := r.Cut()
	switch {
	case kind == "env" && variable.MatchString(name), kind == "file" && name != "" && !strings.ContainsAny(name, "\x00\r\n"):
		return r, nil
	case kind == "env":
		return "", fmt.Errorf("%w: env: wants the name of a variable after it, with letters, digits and _", ErrReference)
	case kind == "file":
		return "", fmt.Errorf("%w: file: wants a path after it", ErrReference)
	}
	return "", fmt.Errorf("%w: want env:NAME or file:PATH, never the secret itself (it is not shown here)", ErrReference)
}

// Cut returns the kind of the reference, "env" or "file", and its name or path.
func (r Reference) Cut() (kind, name string) {
	kind, name, _ = strings.Cut(string(r), ":")
	return kind, name
}

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrReference].
func (r *Reference) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReference(string(text))
	return err
}

// A Key is a public SSH key in the form of a line of authorized_keys, or a
// [Reference] to a file of such lines.
type Key string

// ErrKey reports a text that is not a public key.
var ErrKey = errors.New("file: not a public key")

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrKey]. It does not show the text, which could be a private key.
func (k *Key) UnmarshalText(text []byte) error {
	if _, err := ParseReference(string(text)); err != nil && !isPublicKey(string(text)) {
		return fmt.Errorf("%w: want a line as in id_ed25519.pub, or env:NAME or file:PATH", ErrKey)
	}
	*k = Key(text)
	return nil
}

// lines returns the key, or the keys to which the reference refers.
func (k Key) lines(resolve func(Reference) proxstation.Secret) []string {
	r, err := ParseReference(string(k))
	if err != nil {
		return []string{string(k)}
	}
	var keys []string
	for line := range strings.Lines(resolve(r).Reveal()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, line)
		}
	}
	return keys
}

func isPublicKey(line string) bool {
	kind, _, _ := strings.Cut(line, " ")
	return !strings.ContainsAny(line, "\r\n") && (strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "ecdsa-") || strings.HasPrefix(kind, "sk-")) && strings.Contains(line, " AAAA")
}
