package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// findingWords returns a finding as one line. It leaves out the name of the VM,
// because the line is shown in a list that is about this VM.
func findingWords(f proxstation.Finding, vm workstation.VM) string {
	subject := strings.TrimPrefix(f.Subject, fmt.Sprintf("VM %d", vm.ID))
	subject = strings.TrimPrefix(strings.TrimSpace(subject), vm.Name)
	text := strings.TrimSpace(strings.TrimLeft(subject, ": "))
	if text != "" {
		text += ": "
	}
	return strings.TrimSuffix(text+f.Seen+": "+f.Why, ".")
}

// errorWords returns one line for each error that was joined into err. It
// leaves out the names of the package and of the VM, because the lines are
// shown in a list that is about this VM.
func errorWords(err error) []string {
	var all []string
	for _, e := range parts(err) {
		var invalid *workstation.InvalidError
		var place *storage.NoPlaceError
		switch {
		case errors.As(e, &invalid):
			all = append(all, strings.TrimSpace(invalid.Field+" "+invalid.Value)+": "+invalid.Why)
		case errors.As(e, &place):
			var pools []string
			for _, r := range place.Refused {
				pools = append(pools, r.Pool+": "+r.Why)
			}
			all = append(all, fmt.Sprintf("no storage for %s (%s, %s): %s", place.Request.Name, place.Request.Purpose, place.Request.Size.Human(), strings.Join(pools, ", ")))
		default:
			all = append(all, strings.TrimPrefix(e.Error(), "workstation: "))
		}
	}
	return all
}

// Returns the errors that were joined with [errors.Join]. An error that wraps
// several others and adds its own text is one part.
func parts(err error) []error {
	joined, is := err.(interface{ Unwrap() []error })
	if err == nil || !is {
		return slices.DeleteFunc([]error{err}, func(e error) bool { return e == nil })
	}
	var all []error
	var texts []string
	for _, e := range joined.Unwrap() {
		all, texts = append(all, parts(e)...), append(texts, e.Error())
	}
	if err.Error() != strings.Join(texts, "\n") {
		return []error{err}
	}
	return all
}
