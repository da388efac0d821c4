// Package printable is the only package that quotes text for a terminal. Names,
// models, logs and files come from others. They may hide characters that
// control a terminal: escape sequences, carriage returns, marks that reverse
// the order of letters.
//
// A character that does not print is replaced by its JSON escape, such as
// \u001b and \n, so that a JSON text keeps its meaning. A byte that is not
// UTF-8 is written as \xff.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns s as a single line without effects on a terminal. It quotes all
// characters, including line ends, except letters, marks, numbers, punctuation,
// symbols and the ASCII space.
func Line(s string) string { return quote(s, "") }

// Text returns s like [Line], but keeps line ends and tabs.
func Text(s string) string { return quote(s, "\n\t") }

func quote(s, stays string) string {
	quoted := func(r rune) bool {
		return r == utf8.RuneError || !unicode.IsPrint(r) && !strings.ContainsRune(stays, r)
	}
	if strings.IndexFunc(s, quoted) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !quoted(r) || r == utf8.RuneError:
			b.WriteRune(r)
		case short[r] != "":
			b.WriteString(short[r])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// short holds the short names of characters that have such a name.
var short = map[rune]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}

// Sprintf is [fmt.Sprintf] for arguments that others wrote. A text, or a value
// with the method String, is formatted like [Line]. With %q, it is formatted as
// a Go string. An error keeps its lines, and all lines after the first begin
// with two spaces. So new lines come only from the format and from errors.
func Sprintf(format string, args ...any) string {
	quoted := make([]any, len(args))
	for i, arg := range args {
		quoted[i] = arg
		switch a := arg.(type) {
		case error:
			quoted[i] = strings.ReplaceAll(Text(a.Error()), "\n", "\n  ")
		case fmt.Stringer:
			quoted[i] = line(a.String())
		default:
			if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
				quoted[i] = line(v.String())
			}
		}
	}
	return fmt.Sprintf(format, quoted...)
}

// A line is a text that is printed like [Line].
type line string

// Format implements [fmt.Formatter].
func (l line) Format(f fmt.State, verb rune) {
	text := string(l)
	if verb != 'q' {
		text = Line(text)
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

// Sentence returns s as a sentence, with a capital letter and a full stop. If
// the first word is not prose, such as a setting or a command, this word stays
// as it is.
func Sentence(s string) string {
	if s == "" {
		return ""
	}
	first, _, _ := strings.Cut(s, " ")
	if word := strings.TrimRight(first, ",:;."); strings.TrimFunc(word, unicode.IsLower) == "" {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// Writer returns a writer for a terminal. It passes each text to w in the form
// of [Text]. A character must not be split between two writes.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

// Write implements [io.Writer].
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
