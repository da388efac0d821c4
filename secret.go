package proxstation

import (
	"fmt"
	"io"
)

// A Secret is text that must not be seen: a password, a server's key. It
// prints as "[secret]" with every verb of package fmt and in JSON, also as an
// unexported field of something else. Only [Secret.Reveal] gives it out. The
// zero Secret is none. Secrets are compared with [Secret.Equal]: two of the
// same text are not ==.
type Secret struct {
	text *string // behind a pointer, because fmt reads unexported fields
}

// NewSecret returns the secret that text is, and the zero Secret for "".
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

// IsZero reports whether there is none.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both are the same text.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "[secret]", or "" for none.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[secret]"
}

// GoString implements [fmt.GoStringer]; it hides the text as String does.
func (s Secret) GoString() string { return fmt.Sprintf("proxstation.Secret(%q)", s.String()) }

// Format implements [fmt.Formatter]; every verb prints what String returns,
// except %#v, which prints what GoString returns.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// MarshalText implements [encoding.TextMarshaler], and by it JSON; it hides
// the text as String does. There is no way back: a Secret is not read from a
// file that has been printed.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
