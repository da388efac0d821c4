package rustdesk

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/internal/printable"
)

// An OptionChange is an option with its value before and after. The values of
// the option "key" and of the password are hidden.
type OptionChange struct {
	// Option is the name that RustDesk gives the option, or "password".
	Option string `json:"option"`
	// From and To are the values, "" if not set.
	From string `json:"from"`
	To   string `json:"to"`
}

// String returns the change as a line of a diff, such as
// `~ relay-server: "" -> "relay.example"`.
func (c OptionChange) String() string {
	sign := "~"
	switch {
	case c.From == "":
		sign = "+"
	case c.To == "":
		sign = "-"
	}
	return printable.Sprintf("%s %s: %q -> %q", sign, c.Option, c.From, c.To)
}

// Diff returns the changes that turn the configuration have into the
// configuration want, in the order of the options' names. Options in have.Other
// that want does not name stay unchanged. A password in want is always a
// change, because the password of a guest cannot be read. It is the last
// change.
//
// Configurations from [ParseFile] and [ReadConfig] are compared word for word,
// as the script of a [Setup] compares them. An option that means the same in
// other words, such as a direct-access-port of 21118, counts as a change
// here and in the script.
//
// [PlanFor] compares the configurations of many guests.
func Diff(have, want Config) []OptionChange {
	from, to := have.found(), want.options()
	var changes []OptionChange
	for _, name := range slices.Sorted(maps.Keys(to)) {
		if from[name] == to[name] {
			continue
		}
		change := OptionChange{Option: name, From: from[name], To: to[name]}
		if name == "key" {
			change.From, change.To = hide(change.From, "[secret]"), hide(change.To, "[secret]")
			if change.From == change.To {
				change.To = "[another secret]"
			}
		}
		changes = append(changes, change)
	}
	if !want.Password.IsZero() {
		changes = append(changes, OptionChange{Option: "password", To: want.Password.String()})
	}
	return changes
}

func hide(value, mask string) string {
	if value == "" {
		return ""
	}
	return mask
}
