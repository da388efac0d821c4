package term

import (
	"strings"
	"unicode/utf8"
)

// wrap breaks a text into lines of at most so many characters, between words.
// A word that is longer is broken after a comma, a semicolon or a slash, and if
// it has none such, it stays whole: a path or a command is copied from there.
func wrap(text string, columns int) []string {
	columns = max(columns, 20)
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
		for utf8.RuneCountInString(line) > columns {
			at := breakAt(line, columns)
			if at == len(line) {
				break
			}
			lines = append(lines, strings.TrimRight(line[:at], " "))
			line = line[at:]
		}
	}
	return append(lines, line)
}

// breakAt returns where a line that is too long may be broken: after the last
// mark within the columns, else after the first.
func breakAt(line string, columns int) int {
	limit := 0
	for range columns {
		_, size := utf8.DecodeRuneInString(line[limit:])
		limit += size
	}
	if at := strings.LastIndexAny(line[:limit], ",; ") + 1; at > 0 {
		return at
	}
	if at := strings.IndexAny(line[limit:], ",;"); at >= 0 {
		return limit + at + 1
	}
	return len(line)
}

// width returns how many columns a text has, without colours.
func width(text string) int {
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		if !found {
			return utf8.RuneCountInString(text)
		}
		_, after, _ := strings.Cut(rest, "m")
		text = before + after
	}
}
