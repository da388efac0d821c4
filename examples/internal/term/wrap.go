package term

import (
	"strings"
	"unicode/utf8"
)

// wrap breaks a text between words into lines that are at most columns wide. A
// word that is longer than a line is broken after a comma, a semicolon or a
// slash. A long word without any of these marks stays whole, so that paths and
// commands can be copied.
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

// breakAt returns the position at which a line that is too long may be broken.
// This is after the last mark within the columns. If there is no such mark, it
// is after the first mark beyond the columns.
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

// width returns the number of columns that a text fills. Colour codes fill no
// column.
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
