// Package printable is the one place that quotes text for a terminal. Names,
// models, logs and files come from others, and a terminal obeys what is hidden
// in them: escape sequences, carriage returns, marks that reverse the order of
// letters.
//
// A character that does not print is written as JSON escapes it, such as
// \u001b and \n, so that a JSON text stays the same JSON. A byte that is not
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

// Line returns s as one line that only shows: everything but letters, marks,
// numbers, punctuation, symbols and the ASCII space is quoted, line ends too.
func Line(s string) string { return quote(s, "") }

// Text is [Line] for a text of several lines: line ends and tabs stay.
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

// short holds the characters that have a shorter name.
var short = map[rune]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}

// Sprintf is [fmt.Sprintf] for texts whose arguments others wrote: an argument
// that is a text, or prints itself, is put in as [Line], or with %q as Go quotes
// it, so that only the format makes lines. An error keeps its lines, those after
// the first behind two spaces.
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

// A line is a text that prints as [Line].
type line string

// Format implements [fmt.Formatter].
func (l line) Format(f fmt.State, verb rune) {
	text := string(l)
	if verb != 'q' {
		text = Line(text)
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

// Sentence returns s as a sentence: with a capital letter and a full stop. A
// first word that is not a word of prose, such as a setting or a command, stays
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

// Writer returns a writer for a terminal: what is written to it reaches w as
// [Text]. A character must not be split between two writes.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ w io.Writer }

// Write implements [io.Writer].
func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.w, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
