package qmconf

import (
	"regexp"
	"slices"
	"strings"
)

// An Arg is one option of QEMU's command line with its values, as they were
// written.
type Arg []string

// Text returns the argument without quotes, for comparison.
func (a Arg) Text() string { return quotes.Replace(strings.Join(a, " ")) }

// Kind returns a key that two arguments have in common if one can replace the
// other.
func (a Arg) Kind() string {
	if a.Name() == "" {
		return a.Text()
	}
	option := "-" + strings.TrimLeft(a[0], "-") // QEMU accepts two dashes too
	value := quotes.Replace(strings.Join(a[1:], " "))
	switch option {
	case "-cpu", "-m", "-smp", "-machine", "-M", "-accel", "-vga", "-display", "-rtc":
		return option
	case "-global", "-set":
		value, _, _ = strings.Cut(value, "=")
	case "-device":
		return option + " " + device(value)
	default:
		value, _, _ = strings.Cut(value, ",")
	}
	return option + " " + value
}

// Name returns the option with one dash, such as "-device". It is empty for
// words before the first option.
func (a Arg) Name() string {
	if !strings.HasPrefix(a[0], "-") {
		return ""
	}
	return "-" + strings.TrimLeft(a[0], "-")
}

// Value returns the text after the option, without quotes.
func (a Arg) Value() string {
	if a.Name() == "" {
		return a.Text()
	}
	return quotes.Replace(strings.Join(a[1:], " "))
}

// Property returns the value of a property, such as the bus of "-device
// usb-kbd,bus=b". The property "driver" is the first word of the value.
// Property also reads JSON of one level.
func (a Arg) Property(key string) string {
	value, separator := a.Value(), "="
	if inside, isJSON := strings.CutPrefix(value, "{"); isJSON {
		value, separator = strings.TrimSuffix(inside, "}"), ":"
	}
	for i, field := range strings.Split(value, ",") {
		name, value, found := strings.Cut(field, separator)
		switch {
		case found && strings.TrimSpace(name) == key:
			return strings.TrimSpace(value)
		case !found && i == 0 && key == "driver":
			return strings.TrimSpace(field)
		}
	}
	return ""
}

// SplitArgs splits a value of args into options. A word before the first option
// becomes an Arg of its own. Quotes keep words together, as in a shell
// (PVE::Tools::split_args is Perl's shellwords).
func SplitArgs(args string) []Arg {
	var list []Arg
	for _, word := range shellWords(args) {
		if len(list) == 0 || strings.HasPrefix(word, "-") || list[len(list)-1].Name() == "" {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], word)
	}
	return list
}

// JoinArgs joins options into a value of args.
func JoinArgs(list []Arg) string {
	var words []string
	for _, arg := range list {
		words = append(words, arg...)
	}
	return strings.Join(words, " ")
}

// shellWords returns the words of a line with their quotes.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, escaped := byte(0), false
	for i := range len(line) { // goes byte by byte, so that text that is not UTF-8 stays as it is
		r := line[i]
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
			continue
		}
		word.WriteByte(r)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

var quotes = strings.NewReplacer(`"`, "", "'", "")

// The function "device" returns the driver in the value of a -device. If the
// value has an ID, the ID follows.
func device(value string) string {
	driver, rest, _ := strings.Cut(value, ",")
	for option := range strings.SplitSeq(rest, ",") {
		if id, found := strings.CutPrefix(option, "id="); found {
			return driver + " " + id
		}
	}
	return driver
}

// ownSet matches an option -set for a property that the passthrough of an Intel
// iGPU needs.
var ownSet = regexp.MustCompile(`^-set device\.hostpci\d+\.(bus|addr|x-igd-opregion|x-igd-lpc)$`)

// MergeArgs merges two values of args. The arguments in want replace the
// arguments of the same kind in have. If have already contains the arguments in
// want, MergeArgs returns have and true.
func MergeArgs(have, want string) (merged string, same bool) {
	list, wanted := SplitArgs(have), map[string][]Arg{}
	var kinds []string // kinds of arguments, in the order of want
	for _, arg := range SplitArgs(want) {
		kind := arg.Kind()
		if wanted[kind] == nil {
			kinds = append(kinds, kind)
		}
		wanted[kind] = append(wanted[kind], arg)
	}
	for _, arg := range list {
		if kind := arg.Kind(); wanted[kind] == nil && ownSet.MatchString(kind) && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind) // want has no argument of this kind
		}
	}
	same = true
	for _, kind := range kinds {
		changed := false
		list, changed = replaceKind(list, kind, wanted[kind])
		same = same && !changed
	}
	if same {
		return have, true
	}
	return JoinArgs(list), false
}

// replaceKind puts the wanted arguments in the places of the old arguments of
// one kind. Surplus old arguments are removed, and surplus wanted arguments are
// added.
func replaceKind(list []Arg, kind string, wanted []Arg) (replaced []Arg, changed bool) {
	for _, arg := range list {
		switch {
		case arg.Kind() != kind:
			replaced = append(replaced, arg)
		case len(wanted) == 0:
			changed = true
		case arg.Text() == wanted[0].Text():
			replaced, wanted = append(replaced, arg), wanted[1:]
		default:
			replaced, wanted, changed = append(replaced, wanted[0]), wanted[1:], true
		}
	}
	if len(wanted) > 0 && wanted[0].Name() == "" { // after an option, the word would be taken for the option's value
		return append(slices.Clone(wanted), replaced...), true
	}
	return append(replaced, wanted...), changed || len(wanted) > 0
}
