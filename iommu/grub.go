package iommu

import (
	"fmt"
	"regexp"
	"strings"
)

// The variables of GRUB's defaults that become kernel arguments, in the order
// in which 10_linux writes them (GRUB manual, Simple configuration).
const (
	grubLinux   = "GRUB_CMDLINE_LINUX"
	grubDefault = "GRUB_CMDLINE_LINUX_DEFAULT"
)

var (
	grubMention    = regexp.MustCompile(`\bGRUB_CMDLINE_LINUX(_DEFAULT)?\b`)
	grubAssignment = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)
	grubControl    = regexp.MustCompile(`^\s*(if|for|while|until|case|function|source|\.|\{|\(|eval|unset|\w+\s*\(\))(\s|$)`)
	grubVariable   = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)
)

// grubCmdline evaluates the files as the shell would, as far as they are plain
// assignments. Anything cleverer that touches the two variables is an error
// that matches [ErrLoader], not a guess.
func grubCmdline(files []File) (Cmdline, error) {
	variables := map[string]string{}
	for _, file := range files {
		if err := evaluate(file, variables); err != nil {
			return Cmdline{}, err
		}
	}
	return ParseCmdline(strings.TrimSpace(variables[grubLinux] + " " + variables[grubDefault])), nil
}

// evaluate adds a file's assignments to the variables.
func evaluate(file File, variables map[string]string) error {
	touches := false
	control := ""
	for number, line := range strings.Split(file.Text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		if grubControl.MatchString(line) {
			control = trimmed
		}
		mentions := grubMention.MatchString(line)
		touches = touches || mentions
		m := grubAssignment.FindStringSubmatch(line)
		if m == nil {
			if mentions {
				return fmt.Errorf("%w: /%s line %d is not a plain assignment: %s", ErrLoader, file.Path, number+1, trimmed)
			}
			continue
		}
		value, err := shellWord(m[2], variables)
		if err != nil && mentions {
			return fmt.Errorf("%w: /%s line %d: %w", ErrLoader, file.Path, number+1, err)
		}
		if err == nil {
			variables[m[1]] = value
		}
	}
	if touches && control != "" {
		return fmt.Errorf("%w: /%s is a program, not a list of assignments: %s", ErrLoader, file.Path, control)
	}
	return nil
}

// shellWord evaluates what stands after "=": text, 'text', "text" with
// variables, and a comment after it.
func shellWord(s string, variables map[string]string) (string, error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '\'' && c != '\'':
			b.WriteByte(c)
		case c == '"' || c == '\'' && quote != '"':
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
		case c == '\\' && i+1 == len(s):
			return "", fmt.Errorf("goes on in the next line")
		case c == '\\':
			i++
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(s[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case c == '`' || c == '$' && grubVariable.FindString(s[i:]) == "":
			return "", fmt.Errorf("runs a program or needs a shell: %s", s)
		case c == '$':
			m := grubVariable.FindStringSubmatch(s[i:])
			b.WriteString(variables[m[1]+m[2]])
			i += len(m[0]) - 1
		case quote == 0 && strings.IndexByte(" \t\r", c) >= 0:
			rest := strings.TrimSpace(s[i:])
			if rest != "" && !strings.HasPrefix(rest, "#") {
				return "", fmt.Errorf("more than one word: %s", s)
			}
			return b.String(), nil
		case quote == 0 && strings.IndexByte(";&|<>()", c) >= 0:
			return "", fmt.Errorf("more than an assignment: %s", s)
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", fmt.Errorf("quote goes on in the next line: %s", s)
	}
	return b.String(), nil
}
