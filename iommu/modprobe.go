package iommu

import (
	"fmt"
	"slices"
	"strings"
)

// A directive is a line of modprobe.d that has an effect in kmod: a word, a
// module and its arguments (kmod_config_parse in kmod's libkmod-config.c).
type directive struct {
	file   string // from the root of the machine; "" for the kernel's arguments
	number int    // the line's number in the file, from 1
	text   string // the line with its continuation lines
	verb   string // alias, blacklist, options, install, remove, softdep, weakdep
	module string // with underscores, as kmod compares names
	rest   string // the text after the module's name
}

// The method "where" returns the line with its file and number, for findings.
func (d directive) where() string {
	if d.file == "" {
		return "kernel arguments: " + d.text
	}
	return fmt.Sprintf("/%s line %d: %s", d.file, d.number, d.text)
}

// An ignoredLine is a line of modprobe.d that has no effect.
type ignoredLine struct {
	directive
	why string // how kmod reads the line
	fix string // the line to write instead; "" if the line should only be removed
}

// verbs holds the words with which kmod's lines begin, and for each the number
// of words that such a line needs.
var verbs = map[string]int{"alias": 3, "blacklist": 2, "options": 3, "install": 3, "remove": 3, "softdep": 3, "weakdep": 3}

// parseModprobe splits a file of modprobe.d as kmod does. A backslash at the
// very end of a line joins the line with the next line, even in a comment.
// Words are separated by blanks and tabs. Module names are written with
// underscores.
func parseModprobe(file HostFile) (directives []directive, ignored []ignoredLine) {
	number := 0
	for joined := range strings.SplitSeq(unescaped(file.Text), "\n") {
		d := directive{file: file.Path, number: number + 1, text: strings.TrimSpace(strings.ReplaceAll(joined, "\x00", ""))}
		number += 1 + strings.Count(joined, "\x00")
		if comment, rest, more := strings.Cut(joined, "\x00"); more && strings.HasPrefix(comment, "#") {
			ignored = append(ignored, swallowed(d, rest)...)
		}
		line := strings.ReplaceAll(joined, "\x00", "")
		if line == "" || line[0] == '#' {
			continue
		}
		words := fields(line)
		if len(words) == 0 {
			continue
		}
		d.verb = words[0]
		if need, known := verbs[d.verb]; !known || len(words) < need {
			if fault, bad := badLine(d, words); bad {
				ignored = append(ignored, fault)
			}
			continue
		}
		d.module = strings.ReplaceAll(words[1], "-", "_")
		d.rest = strings.Join(words[2:], " ")
		directives = append(directives, d)
	}
	return directives, ignored
}

// The function "unescaped" removes the backslashes from a text, as
// freadline_wrapped in kmod's shared/util.c does. A backslash at the end of a
// line joins the line with the next line. The result has a zero byte at this
// place. Every other backslash is dropped.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			if i++; i == len(text) {
				break
			}
			if c = text[i]; c == '\n' {
				c = 0
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// The function "fields" splits a line at blanks and tabs only, because kmod
// treats a carriage return as a letter.
func fields(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
}

// The function "swallowed" finds lines that belong to a comment because the line
// before ends in a backslash.
func swallowed(comment directive, rest string) []ignoredLine {
	var ignored []ignoredLine
	for i, text := range strings.Split(rest, "\x00") {
		if words := fields(text); len(words) > 1 && verbs[words[0]] > 0 {
			d := directive{file: comment.file, number: comment.number + 1 + i, text: strings.TrimSpace(text)}
			ignored = append(ignored, ignoredLine{d, "the comment above it ends in a backslash, which makes this line a part of the comment", d.text})
		}
	}
	return ignored
}

// badLine says why kmod ignores a line. It returns false if the line is meant
// as a comment.
func badLine(d directive, words []string) (ignoredLine, bool) {
	first := strings.TrimSpace(words[0])
	if first == "" || strings.HasPrefix(first, "#") || strings.HasPrefix(first, ";") || strings.HasPrefix(first, "//") {
		return ignoredLine{}, false
	}
	fault := ignoredLine{directive: d, why: fmt.Sprintf("kmod does not know lines that start with %q, and ignores them", first)}
	rest := strings.TrimSpace(strings.Join(words[1:], " "))
	unmarked := strings.TrimPrefix(first, "\ufeff")
	verb, tail, assigned := strings.Cut(unmarked, "=")
	near := nearest(strings.ToLower(verb), verbNames(), 2)
	switch {
	case verbs[first] > 0:
		fault.why = "the line names no module or sets nothing, so kmod ignores it"
		if first == "options" && strings.Contains(rest, ".") {
			name, option, _ := strings.Cut(rest, ".")
			fault.fix = "options " + name + " " + option
		}
	case unmarked != first:
		fault.why, fault.fix = "the file begins with a byte order mark, so kmod cannot read its first line", unmarked+" "+rest
	case assigned && near != "" && tail != "":
		fault.fix = strings.TrimSpace(near + " " + tail + " " + rest)
	case near != "":
		fault.fix = near + " " + rest
	case first == "ids" || strings.HasPrefix(first, "ids="):
		fault.fix = "options vfio-pci " + strings.Join(words, " ")
	case strings.Contains(rest, "="):
		fault.fix = "options " + strings.Join(words, " ")
	}
	return fault, true
}

func verbNames() []string {
	names := make([]string, 0, len(verbs))
	for name := range verbs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// modconf is kmod's configuration, from all files and the kernel's arguments.
type modconf struct {
	directives []directive
	ignored    []ignoredLine
}

// modconf parses all files in the order of their names, then the kernel's
// arguments, as kmod does (kmod_config_new). The argument "MODULE.OPTION=VALUE"
// sets an option, and "modprobe.blacklist=A,B" blacklists modules. If the
// parameter "foreign" is true, our own file is left out.
func (f Facts) modconf(foreign bool) modconf {
	var c modconf
	for _, file := range f.Modprobe {
		if foreign && file.Path == modprobeFile {
			continue
		}
		directives, ignored := parseModprobe(file)
		c.directives, c.ignored = append(c.directives, directives...), append(c.ignored, ignored...)
	}
	if f.Running == nil {
		return c
	}
	for _, arg := range f.Running.Args() {
		name, value, _ := strings.Cut(arg, "=")
		module, option, dotted := strings.Cut(name, ".")
		d := directive{text: arg, verb: "options", module: strings.ReplaceAll(module, "-", "_"), rest: option + "=" + value}
		switch {
		case sameName(name, "modprobe.blacklist") || sameName(name, "module_blacklist"):
			for blacklisted := range strings.SplitSeq(value, ",") {
				c.directives = append(c.directives, directive{text: arg, verb: "blacklist", module: strings.ReplaceAll(blacklisted, "-", "_")})
			}
		case dotted && option != "":
			c.directives = append(c.directives, d)
		}
	}
	return c
}

// The method "of" returns the lines about a module that begin with verb, in the
// order in which kmod looks at them.
func (c modconf) of(verb, module string) []directive {
	var found []directive
	for _, d := range c.directives {
		if d.verb == verb && sameName(d.module, module) {
			found = append(found, d)
		}
	}
	return found
}

// The method "options" returns the values of a module's option, with the lines
// that set it.
func (c modconf) options(module, option string) (values []string, lines []directive) {
	for _, d := range c.of("options", module) {
		for _, word := range strings.Fields(d.rest) {
			if name, value, ok := strings.Cut(word, "="); ok && sameName(name, option) {
				values, lines = append(values, strings.Trim(value, `"`)), append(lines, d)
			}
		}
	}
	return values, lines
}

// softdep returns the modules that kmod loads before the softdep's own module:
// the words after "pre:". kmod only recognises "pre:" as a separate word.
func (d directive) softdep() (pre []string) {
	before := false
	for _, word := range strings.Fields(d.rest) {
		switch {
		case word == "pre:" || word == "post:":
			before = word == "pre:"
		case before:
			pre = append(pre, strings.ReplaceAll(word, "-", "_"))
		}
	}
	return pre
}

// The method "forbids" reports whether an install line prevents its module from
// being loaded.
func (d directive) forbids() bool {
	return d.verb == "install" && slices.ContainsFunc(strings.Fields(d.rest), func(word string) bool {
		return strings.HasSuffix(word, "/false") || strings.HasSuffix(word, "/true") || word == "false" || word == "true"
	})
}
