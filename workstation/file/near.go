package file

import (
	"slices"
	"strings"
)

// This returns the word that is most similar to the text. At most a third of
// the letters may differ, or two letters in a text of four to six. If no word
// is similar enough, this returns "".
func near(text string, words []string) string {
	allowed := len(text) / 2
	if allowed > 2 {
		allowed = max(2, len(text)/3)
	}
	best, least := "", allowed+1
	for _, word := range words {
		if d := distance(strings.ToLower(text), strings.ToLower(word)); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance returns how many changes turn a into b. A change adds, removes or
// replaces a letter, or swaps two neighbours (Damerau-Levenshtein, restricted).
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}

// oneOf joins words for a message, in the given order.
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// This returns the end of a message about an unknown word: the nearest valid
// word, or all valid words.
func unknown(words []string, text string) string {
	if like := near(text, words); like != "" {
		return "did you mean " + like + "?"
	}
	if len(words) == 0 {
		return "the page has none"
	}
	return "want " + oneOf(words)
}

func sorted(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return words
}
