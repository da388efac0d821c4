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

// Diff returns the changes that turn the configuration "have" into the
// configuration "want", sorted by the names of the options. An option in
// have.Other stays unchanged if want.Other does not name it. If "want" has a
// password, the last change is the password. It is listed even if the guest has
// the same password, because the password of a guest cannot be read.
//
// Diff compares the texts of options that come from [ParseFile] or
// [ReadConfig], as the script of a [Setup] does. An option therefore counts as
// changed if its text is different, even if the meaning is the same. An example
// is a direct-access-port of 21118, which is the default.
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
