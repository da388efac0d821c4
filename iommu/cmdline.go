package iommu

import (
	"slices"
	"strings"
)

// A Cmdline is a kernel command line: arguments in order, separated by white
// space. Double quotes protect white space (kernel: next_arg in lib/cmdline.c,
// Documentation/admin-guide/kernel-parameters.rst). A Cmdline keeps every byte,
// so that it prints as it was parsed. The zero Cmdline is empty.
type Cmdline struct {
	parts []part
}

// A part is an argument together with the white space before it.
type part struct{ space, arg string }

// ParseCmdline splits a command line. Every string is valid: a quote without an
// end protects all text after it, as in the kernel.
func ParseCmdline(s string) Cmdline {
	var c Cmdline
	for s != "" {
		start := strings.IndexFunc(s, func(r rune) bool { return !isSpace(r) })
		if start < 0 {
			start = len(s)
		}
		quoted := false
		stop := strings.IndexFunc(s[start:], func(r rune) bool {
			if r == '"' {
				quoted = !quoted
			}
			return !quoted && isSpace(r)
		})
		if stop < 0 {
			stop = len(s) - start
		}
		c.parts = append(c.parts, part{s[:start], s[start : start+stop]})
		s = s[start+stop:]
	}
	return c
}

// isSpace returns the result of the kernel's isspace for ASCII.
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

// String returns the command line as it was parsed and edited.
func (c Cmdline) String() string {
	var b strings.Builder
	for _, p := range c.parts {
		b.WriteString(p.space)
		b.WriteString(p.arg)
	}
	return b.String()
}

// MarshalText implements [encoding.TextMarshaler].
func (c Cmdline) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Cmdline) UnmarshalText(text []byte) error {
	*c = ParseCmdline(string(text))
	return nil
}

// Args returns the arguments without quotes: quiet, iommu=pt.
func (c Cmdline) Args() []string {
	var args []string
	for _, p := range c.parts {
		if p.arg != "" {
			args = append(args, unquote(p.arg))
		}
	}
	return args
}

// The method "kernels" returns the arguments before "--". The kernel hands the
// arguments after "--" to init (kernel-parameters.rst).
func (c Cmdline) kernels() []string {
	args := c.Args()
	if at := slices.Index(args, "--"); at >= 0 {
		return args[:at]
	}
	return args
}

// unquote removes the quotes that the kernel removes: quotes around the
// argument or around its value. Other quotes stay.
func unquote(arg string) string {
	if strings.HasPrefix(arg, `"`) {
		return strings.TrimSuffix(arg[1:], `"`)
	}
	key, value, ok := strings.Cut(arg, "=")
	if ok && strings.HasPrefix(value, `"`) {
		return key + "=" + strings.TrimSuffix(value[1:], `"`)
	}
	return arg
}

// Has reports whether the command line has an argument in exactly this
// spelling: "iommu=pt". It ignores arguments after "--", which are for init.
func (c Cmdline) Has(arg string) bool {
	return slices.ContainsFunc(c.kernels(), func(have string) bool { return sameArg(have, arg) })
}

// Values returns the values of all arguments with that name, in order. The
// value of an argument without "=" is "". Dashes and underscores in names are
// equal, as in the kernel.
func (c Cmdline) Values(name string) []string {
	var values []string
	for _, arg := range c.kernels() {
		key, value, _ := strings.Cut(arg, "=")
		if sameName(key, name) {
			values = append(values, value)
		}
	}
	return values
}

// Options returns the comma-separated values of all arguments with that name:
// "iommu=pt,nobypass iommu=soft" has three options.
func (c Cmdline) Options(name string) []string {
	var options []string
	for _, value := range c.Values(name) {
		options = append(options, strings.Split(value, ",")...)
	}
	return options
}

// With returns a copy of the command line with the given arguments added,
// except those that it has already. New arguments stand before "--" if there is
// a "--". The other text stays as it is.
func (c Cmdline) With(args ...string) Cmdline {
	parts := slices.Clone(c.parts)
	for _, arg := range args {
		if (Cmdline{parts}).Has(arg) {
			continue
		}
		at := end(parts)
		space := " "
		if at == 0 {
			space = ""
		}
		parts = slices.Insert(parts, at, part{space, quote(arg)})
		if next := at + 1; next < len(parts) && parts[next].space == "" {
			parts[next].space = " "
		}
	}
	return Cmdline{parts}
}

// The function "end" returns the place for a new argument: before "--", before
// an argument whose quote has no end, or before white space at the end.
func end(parts []part) int {
	if at := slices.IndexFunc(parts, func(p part) bool { return p.arg == "--" }); at >= 0 {
		return at
	}
	last := len(parts) - 1
	if last >= 0 && (parts[last].arg == "" || strings.Count(parts[last].arg, `"`)%2 == 1) {
		return last
	}
	return len(parts)
}

// Without returns a copy of the command line without the given arguments, and
// without the white space before each of them. The other arguments stay as they
// are.
func (c Cmdline) Without(args ...string) Cmdline {
	var parts []part
	ended := false
	for _, p := range c.parts {
		ended = ended || p.arg == "--"
		gone := !ended && p.arg != "" && slices.ContainsFunc(args, func(arg string) bool { return sameArg(unquote(p.arg), arg) })
		if gone {
			continue
		}
		if len(parts) == 0 && len(c.parts) > 0 {
			p.space = c.parts[0].space
		}
		parts = append(parts, p)
	}
	return Cmdline{parts}
}

func quote(arg string) string {
	if !strings.ContainsFunc(arg, isSpace) {
		return arg
	}
	if key, value, ok := strings.Cut(arg, "="); ok && !strings.ContainsFunc(key, isSpace) {
		return key + `="` + value + `"`
	}
	return `"` + arg + `"`
}

func sameArg(a, b string) bool {
	keyA, valueA, hasA := strings.Cut(a, "=")
	keyB, valueB, hasB := strings.Cut(b, "=")
	return sameName(keyA, keyB) && valueA == valueB && hasA == hasB
}

func sameName(a, b string) bool {
	return strings.ReplaceAll(a, "-", "_") == strings.ReplaceAll(b, "-", "_")
}
