package firstboot

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrField reports a field with a value that cannot be used. The error is a
// [FieldError].
var ErrField = errors.New("field cannot be used")

// A FieldError names a field whose value cannot be used. It never holds the
// value of a secret.
type FieldError struct {
	Field string // the name of the field, such as "Keys[0]"
	Why   string // what is wrong, and what to write instead
}

// Error implements error.
func (e *FieldError) Error() string { return printable.Sprintf("firstboot: %s: %s", e.Field, e.Why) }

// Is makes the error match [ErrField].
func (e *FieldError) Is(target error) bool { return target == ErrField }

// A fields value collects the errors about the fields of one guest.
type fields struct{ errs []error }

func (f *fields) add(field, why string, args ...any) {
	f.errs = append(f.errs, &FieldError{Field: field, Why: fmt.Sprintf(why, args...)})
}

// Adds an error about the field if the condition is false.
func (f *fields) want(holds bool, field, why string, args ...any) {
	if !holds {
		f.add(field, why, args...)
	}
}

func (f *fields) err() error { return errors.Join(f.errs...) }

// Refuses a password that is longer than maxRunes characters, and a password
// with characters that nobody can type at a login.
func (f *fields) password(field string, secret proxstation.Secret, maxRunes int) {
	text := secret.Reveal()
	f.want(utf8.RuneCountInString(text) <= maxRunes, field, "it has more than %d characters", maxRunes)
	f.want(prints(text), field, "it has a control character or is not valid UTF-8, which nobody could type at a login")
}

// The function "prints" reports whether the text is valid UTF-8 without control
// characters and without characters that Unicode leaves unused (XML 1.0 section
// 2.2, YAML 1.2 section 5.1).
func prints(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError || r == 0x2028 || r == 0x2029 || r == 0xFEFF || r&0xFFFE == 0xFFFE
	})
}
