package rustdesk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// ErrFile is what a file that is not an [OptionsFile] is.
var ErrFile = errors.New("rustdesk: options file")

// File returns the configuration as the [OptionsFile] of a guest on which
// RustDesk has not yet run, such as an image being built. It contains the
// server's key, not the password. On a guest where it runs, its memory would
// overwrite the file: use a [Setup]. The error is that of [Config.Validate].
func (c Config) File() (proxstation.Secret, error) {
	if err := c.Validate(); err != nil {
		return proxstation.Secret{}, err
	}
	options := c.options()
	var b strings.Builder
	b.WriteString("[options]\n")
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if value := options[name]; value != "" {
			fmt.Fprintf(&b, "%s = %s\n", name, quoteTOML(value))
		}
	}
	return proxstation.NewSecret(b.String()), nil
}

// quoteTOML quotes text without control characters, as RustDesk's own writer
// does: literally where that is possible.
func quoteTOML(s string) string {
	if !strings.ContainsRune(s, '\'') {
		return "'" + s + "'"
	}
	return `"` + s + `"`
}

// ParseFile parses an [OptionsFile], as RustDesk or [Config.File] wrote it.
// What it says besides options (its nat type, serial, trusted devices) is not
// kept. The error is [ErrFile] or [ErrConfig] and names the line, not what
// it holds.
func ParseFile(text string) (Config, error) {
	options := map[string]string{}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[] \t")
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			return Config{}, fmt.Errorf("%w: line %d: no NAME = VALUE", ErrFile, i+1)
		}
		if section != "options" {
			continue
		}
		name, ok1 := unquoteTOML(strings.TrimSpace(name))
		value, ok2 := unquoteTOML(strings.TrimSpace(value))
		if !ok1 || !ok2 || name == "" {
			return Config{}, fmt.Errorf("%w: line %d: want NAME = 'TEXT'", ErrFile, i+1)
		}
		options[name] = value
	}
	return fromOptions(options)
}

// unquoteTOML reads a literal or basic string on one line, or a bare word.
func unquoteTOML(s string) (string, bool) {
	switch {
	case strings.HasPrefix(s, "'''"), strings.HasPrefix(s, `"""`):
		return "", false
	case strings.HasPrefix(s, "'"):
		inner, ok := strings.CutSuffix(s[1:], "'")
		return inner, ok && !strings.Contains(inner, "'")
	case strings.HasPrefix(s, `"`):
		inner, err := strconv.Unquote(s)
		return inner, err == nil
	}
	return s, s != "" && !strings.ContainsFunc(s, notIn(letters+"-_"))
}
