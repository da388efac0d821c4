package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// ErrInvalid reports a page that is not valid. Every [Errors] matches it.
var ErrInvalid = errors.New("file: not a valid page")

// An Error is one mistake on a page.
type Error struct {
	// File is the name of the file. It is "" if the page was made in Go.
	File string
	// Line and Column are the position of the mistake, counted from 1. Both are
	// 0 if the page was made in Go.
	Line, Column int
	// Key is the place on the page, such as "workstations.windows.memory". It
	// is empty if the file is not YAML.
	Key string
	// Why says what is wrong and what is expected. It contains no secret.
	Why string
}

// Error implements error: "file: homelab.yaml:12:5: workstations.windows.memory: ...".
func (e *Error) Error() string { return "file: " + e.text() }

func (e *Error) text() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s:", printable.Line(e.File))
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", e.Line, e.Column)
	}
	for _, part := range []string{e.Key, e.Why} {
		if part != "" {
			if b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
				b.WriteByte(' ')
			}
			b.WriteString(printable.Line(part) + ":")
		}
	}
	return strings.TrimSuffix(b.String(), ":")
}

// Is makes the error match [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// Errors holds all mistakes of a page, in the order of the file.
type Errors []*Error

// Error implements error. It returns one mistake per line.
func (e Errors) Error() string {
	var lines []string
	for _, mistake := range e {
		lines = append(lines, mistake.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes.
func (e Errors) Unwrap() []error {
	var all []error
	for _, mistake := range e {
		all = append(all, mistake)
	}
	return all
}

// Is makes the errors match [ErrInvalid].
func (e Errors) Is(target error) bool { return target == ErrInvalid }

// err returns the errors in the order of the file. It returns nil if there are
// no errors.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return e
}

func (e *Errors) add(key, format string, args ...any) {
	*e = append(*e, &Error{Key: key, Why: fmt.Sprintf(format, args...)})
}
