package proxstation

import (
	"fmt"
	"io"
)

// A Secret is text that must not be seen, such as a password or a server's key.
// It prints as "[secret]" with every verb of package fmt and in JSON, also if
// it is an unexported field of another value. Only [Secret.Reveal] returns the
// text. The zero Secret holds no text. Compare secrets with [Secret.Equal],
// because two secrets with the same text are not ==.
type Secret struct {
	text *string // a pointer, because fmt prints the text of unexported string fields
}

// NewSecret returns a secret with the text, and the zero Secret for "".
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret holds no text.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both secrets have the same text.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "[secret]", or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[secret]"
}

// GoString implements [fmt.GoStringer]. It hides the text as String does.
func (s Secret) GoString() string { return fmt.Sprintf("proxstation.Secret(%q)", s.String()) }

// Format implements [fmt.Formatter]. Every verb prints the result of String,
// except %#v, which prints the result of GoString.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// MarshalText implements [encoding.TextMarshaler], which JSON uses too. It
// hides the text as String does. A printed Secret cannot be read back.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
