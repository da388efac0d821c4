package hosttree

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// A line is a line of a description: a verb and its arguments.
type line struct {
	number int
	verb   string
	args   []string
	attrs  []attr  // in the order in which they are written
	rest   string  // the unchanged text after the verb
	body   *string // the lines after '|'; nil if there are no such lines
}

type attr struct{ key, value string }

// get returns the last value of a key.
func (l line) get(key string) (value string, ok bool) {
	for _, a := range l.attrs {
		if a.key == key {
			value, ok = a.value, true
		}
	}
	return value, ok
}

// parseLines splits a description into its lines.
func parseLines(text string) ([]line, error) {
	var lines []line
	for i, raw := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(raw)
		switch {
		case strings.HasPrefix(raw, "|"):
			if len(lines) == 0 {
				return nil, fmt.Errorf("hosttree: line %d: '|' without a file above", i+1)
			}
			last := &lines[len(lines)-1]
			if last.body == nil {
				last.body = new(string)
			}
			*last.body += strings.TrimPrefix(strings.TrimPrefix(raw, "|"), " ") + "\n"
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case raw[0] == ' ' || raw[0] == '\t':
			if len(lines) == 0 {
				return nil, fmt.Errorf("hosttree: line %d: continues nothing", i+1)
			}
			lines[len(lines)-1].rest += " " + trimmed
		default:
			verb, rest, _ := strings.Cut(trimmed, " ")
			lines = append(lines, line{number: i + 1, verb: verb, rest: strings.TrimSpace(rest)})
		}
	}
	for i := range lines {
		if err := lines[i].split(); err != nil {
			return nil, fmt.Errorf("hosttree: line %d: %w", lines[i].number, err)
		}
	}
	return lines, nil
}

// split splits the text after the verb into arguments and attributes. It leaves
// the text whole if the verb is cmdline.
func (l *line) split() error {
	if l.verb == "cmdline" {
		return nil
	}
	for rest := l.rest; rest != ""; {
		word, after, err := cutWord(rest)
		if err != nil {
			return err
		}
		rest = strings.TrimLeftFunc(after, unicode.IsSpace)
		if word.key != "" {
			l.attrs = append(l.attrs, word)
		} else {
			l.args = append(l.args, word.value)
		}
	}
	return nil
}

// cutWord removes a word, a "quoted word" or a key=value from the front of a
// text.
func cutWord(s string) (attr, string, error) {
	var a attr
	if end := strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '=' || r == '"' }); end > 0 && s[end] == '=' {
		a.key, s = s[:end], s[end+1:]
	}
	if strings.HasPrefix(s, `"`) {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return a, "", fmt.Errorf("quote without end: %s", s)
		}
		a.value, err = strconv.Unquote(quoted)
		return a, s[len(quoted):], err
	}
	end := strings.IndexFunc(s, unicode.IsSpace)
	if end < 0 {
		end = len(s)
	}
	a.value = s[:end]
	return a, s[end:], nil
}
