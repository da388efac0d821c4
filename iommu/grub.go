package iommu

import (
	"errors"
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
	grubGoesOn     = regexp.MustCompile(`<<|\\\s*$`)
	grubVariable   = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)
)

// grubCmdline evaluates the files as the shell would, if they consist of plain
// assignments. It never guesses: if anything more complicated changes the two
// variables, the error matches [ErrLoader].
func grubCmdline(files []HostFile) (Cmdline, error) {
	v := shell{values: map[string]string{}, unknown: map[string]bool{}}
	for _, file := range files {
		if err := v.evaluate(file); err != nil {
			return Cmdline{}, err
		}
	}
	return ParseCmdline(strings.TrimSpace(v.values[grubLinux] + " " + v.values[grubDefault])), nil
}

// shell holds the values of variables, and the names of variables whose value
// only a real shell could compute.
type shell struct {
	values  map[string]string
	unknown map[string]bool
}

// evaluate adds a file's assignments to the variables.
func (v shell) evaluate(file HostFile) error {
	touches := false
	control := ""
	for number, line := range strings.Split(file.Text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		m := grubAssignment.FindStringSubmatch(line)
		if grubControl.MatchString(line) || m == nil && grubGoesOn.MatchString(line) {
			control = trimmed
		}
		mentions := grubMention.MatchString(line)
		touches = touches || mentions
		if m == nil {
			if mentions {
				return fmt.Errorf("%w: /%s line %d is not a plain assignment: %s", ErrLoader, file.Path, number+1, trimmed)
			}
			continue
		}
		value, err := v.word(m[2])
		if err != nil && mentions {
			return fmt.Errorf("%w: /%s line %d: %w", ErrLoader, file.Path, number+1, err)
		}
		if errors.Is(err, errGoesOn) {
			control = trimmed
		}
		v.values[m[1]], v.unknown[m[1]] = value, err != nil
	}
	if touches && control != "" {
		return fmt.Errorf("%w: /%s is a program, not a list of assignments: %s", ErrLoader, file.Path, control)
	}
	return nil
}

// An assignment is a line of GRUB's defaults that sets a variable.
type assignment struct {
	file, where string // "etc/default/grub", "/etc/default/grub line 4"
	name, value string
	anew        string // a later line that replaces the value; empty if there is no such line
}

// grubAssignments returns the assignments in the files, and marks assignments
// that later lines replace.
func grubAssignments(files []HostFile) []assignment {
	var all []assignment
	for _, file := range files {
		for i, line := range strings.Split(file.Text, "\n") {
			m := grubAssignment.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			a := assignment{file: file.Path, where: fmt.Sprintf("/%s line %d", file.Path, i+1), name: m[1], value: m[2]}
			for j := range all {
				if !a.keeps() && all[j].name == a.name && all[j].anew == "" {
					all[j].anew = a.where
				}
			}
			all = append(all, a)
		}
	}
	return all
}

// The method "keeps" reports whether an assignment adds to the variable's old
// value.
func (a assignment) keeps() bool {
	for i := range a.value {
		if m := grubVariable.FindStringSubmatch(a.value[i:]); m != nil && m[1]+m[2] == a.name {
			return true
		}
	}
	return false
}

// lastAnew returns the last line that replaces GRUB_CMDLINE_LINUX_DEFAULT
// instead of adding to it. Arguments that earlier lines set are lost.
func lastAnew(files []HostFile) (last assignment) {
	for _, a := range grubAssignments(files) {
		if a.name == grubDefault && !a.keeps() {
			last = a
		}
	}
	return last
}

// errGoesOn reports a word that continues in the next line.
var errGoesOn = errors.New("goes on in the next line")

// The method "word" returns the text after "=" as the shell would evaluate it.
// It accepts text, 'text', "text" with variables, and a comment at the end.
func (v shell) word(s string) (string, error) {
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
			return "", errGoesOn
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
			if name := m[1] + m[2]; v.unknown[name] {
				return "", fmt.Errorf("uses %s, whose value needs a shell", name)
			}
			b.WriteString(v.values[m[1]+m[2]])
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
		return "", fmt.Errorf("quote %w: %s", errGoesOn, s)
	}
	return b.String(), nil
}
