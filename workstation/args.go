package workstation

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pve"
)

// The key args holds QEMU arguments that PVE appends to its own (qm.conf
// manual page, args). It is merged, as property strings are: an argument that
// is wanted replaces the one of the same kind, arguments of other kinds stay
// as they are and where they are. An argument is an option with its values,
// "-global ICH9-LPC.disable_s3=1". Its kind is the option with
//
//   - the first part of the value, for -device, -smbios, -object and others:
//     the driver, the type;
//   - what the value sets, for -global and -set: all but "=" and the rest;
//   - nothing, for -cpu and others that QEMU takes once.
//
// What is taken out of a Spec stays, with one exception: -set of the
// properties that a passed-through Intel iGPU needs goes when it is no longer
// wanted, because QEMU does not start with -set of a device that is not there.

// A qemuArg is one option of QEMU's command line with its values, as written.
type qemuArg []string

// splitArgs splits a value of args into options. Quotes keep words together,
// as in a shell (PVE::Tools::split_args is Perl's shellwords).
func splitArgs(args string) []qemuArg {
	var list []qemuArg
	for _, word := range shellWords(args) {
		if len(list) == 0 || strings.HasPrefix(word, "-") {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], word)
	}
	return list
}

func joinArgs(list []qemuArg) string {
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
	quote, escaped := rune(0), false
	for _, r := range line {
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
		word.WriteRune(r)
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

var quotes = strings.NewReplacer(`"`, "", "'", "")

// text returns the argument without quotes, to compare.
func (a qemuArg) text() string { return quotes.Replace(strings.Join(a, " ")) }

// kind returns what tells which other argument this one replaces.
func (a qemuArg) kind() string {
	option := "-" + strings.TrimLeft(a[0], "-") // QEMU takes two dashes too
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

// device returns the driver of a -device, with its ID if it has one.
func device(value string) string {
	driver, rest, _ := strings.Cut(value, ",")
	for option := range strings.SplitSeq(rest, ",") {
		if id, found := strings.CutPrefix(option, "id="); found {
			return driver + " " + id
		}
	}
	return driver
}

// ownSet is -set of a property that a passed-through Intel iGPU needs.
var ownSet = regexp.MustCompile(`^-set device\.hostpci\d+\.(bus|addr|x-igd-opregion|x-igd-lpc)$`)

// mergeArgs returns what args must become to say what want says; same is true
// if it says so already.
func mergeArgs(have, want string) (merged string, same bool) {
	list, wanted := splitArgs(have), map[string][]qemuArg{}
	var kinds []string // in the order they are wanted
	for _, arg := range splitArgs(want) {
		kind := arg.kind()
		if wanted[kind] == nil {
			kinds = append(kinds, kind)
		}
		wanted[kind] = append(wanted[kind], arg)
	}
	for _, arg := range list {
		if kind := arg.kind(); wanted[kind] == nil && ownSet.MatchString(kind) && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind) // of which none is wanted
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
	return joinArgs(list), false
}

// replaceKind makes the arguments of one kind those that are wanted, in their
// places as far as there are.
func replaceKind(list []qemuArg, kind string, wanted []qemuArg) (replaced []qemuArg, changed bool) {
	for _, arg := range list {
		switch {
		case arg.kind() != kind:
			replaced = append(replaced, arg)
		case len(wanted) == 0:
			changed = true
		case arg.text() == wanted[0].text():
			replaced, wanted = append(replaced, arg), wanted[1:]
		default:
			replaced, wanted, changed = append(replaced, wanted[0]), wanted[1:], true
		}
	}
	return append(replaced, wanted...), changed || len(wanted) > 0
}

// revealOSK returns the values with an SMC's key in the place that args has
// for it.
func revealOSK(values map[string]string, osk Secret) map[string]string {
	if osk.IsZero() || values["args"] == "" {
		return values
	}
	return withValue(values, "args", pve.RevealOSK(values["args"], osk.Reveal()))
}

func withValue(values map[string]string, key, value string) map[string]string {
	changed := map[string]string{key: value}
	for k, v := range values {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

// hideOSK takes the key of an SMC out of the step's values, so that whoever
// prints or keeps the step does not see it. It is sent beside them.
func (s ChangeVM) hideOSK() ChangeVM {
	if osk := pve.OSK(s.Set["args"]); osk != "" {
		s.OSK = NewSecret(osk)
	}
	for _, values := range []map[string]string{s.Set, s.Have} {
		if args, there := values["args"]; there {
			values["args"] = pve.HideOSK(args)
		}
	}
	return s
}

// argLines returns a change of args as lines of a plan, one for each argument
// that comes, goes or becomes another.
func argLines(have, want, note string) []Line {
	var lines []Line
	left := splitArgs(want)
	take := func(is func(qemuArg) bool) (arg qemuArg) {
		if i := slices.IndexFunc(left, is); i >= 0 {
			arg, left = left[i], slices.Delete(slices.Clone(left), i, i+1)
		}
		return arg
	}
	for _, h := range splitArgs(have) {
		if take(func(w qemuArg) bool { return w.text() == h.text() }) != nil {
			continue
		}
		line := Line{Sign: Destroy, Key: "args", Have: strings.Join(h, " "), Note: note}
		if w := take(func(w qemuArg) bool { return w.kind() == h.kind() }); w != nil {
			line.Sign, line.Want = Modify, strings.Join(w, " ")
		}
		lines = append(lines, line)
	}
	for _, w := range left {
		lines = append(lines, Line{Sign: Add, Key: "args", Want: strings.Join(w, " "), Note: note})
	}
	if len(lines) > 0 && pve.OSKHidden(want) {
		lines[0].Note = strings.TrimPrefix(note+"; "+keyLogged, "; ")
	}
	return lines
}

// keyLogged is what a change of args does with the key of an SMC in them, see
// [MacOS].OSK.
const keyLogged = "PVE logs all of args, the key too"

// keyLines returns the line of args in which only the key of an SMC becomes
// another: both are shown alike.
func keyLines(args string) []Line {
	var lines []Line
	for _, arg := range splitArgs(args) {
		if text := strings.Join(arg, " "); pve.OSKHidden(text) {
			lines = append(lines, Line{Sign: Modify, Key: "args", Have: text, Want: text, Note: "another key; " + keyLogged})
		}
	}
	return lines
}

// shown returns a value of a configuration for people.
func shown(key, value string) string {
	if key == "args" {
		return pve.HideOSK(value)
	}
	return value
}
