package qmconf

import (
	"slices"
	"strings"
)

// An ArgChange is an argument that is added, removed or replaced by an argument
// of the same kind. Have or Want is empty if there is no such argument.
type ArgChange struct{ Have, Want string }

// ArgChanges returns the arguments that differ between two values of args.
func ArgChanges(have, want string) []ArgChange {
	var changes []ArgChange
	left := SplitArgs(want)
	take := func(is func(Arg) bool) (arg Arg) {
		if i := slices.IndexFunc(left, is); i >= 0 {
			arg, left = left[i], slices.Delete(slices.Clone(left), i, i+1)
		}
		return arg
	}
	for _, h := range SplitArgs(have) {
		if take(func(w Arg) bool { return w.Text() == h.Text() }) == nil {
			w := take(func(w Arg) bool { return w.Kind() == h.Kind() })
			changes = append(changes, ArgChange{strings.Join(h, " "), strings.Join(w, " ")})
		}
	}
	for _, w := range left {
		changes = append(changes, ArgChange{Want: strings.Join(w, " ")})
	}
	return changes
}
