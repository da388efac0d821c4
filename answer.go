package proxstation

import (
	"errors"

	"github.com/proxstation/proxstation/internal/enum"
)

// An Answer is the result of a probe: yes, no, or unknown if the probe could
// not find out. The zero Answer is [Unknown].
type Answer uint8

// The possible answers of a probe.
const (
	Unknown Answer = iota
	No
	Yes
)

var answers = []string{"unknown", "no", "yes"}

// ErrAnswer reports a text other than yes, no or unknown.
var ErrAnswer = errors.New("proxstation: unknown answer")

// AnswerOf returns [Yes] for true and [No] for false.
func AnswerOf(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// String returns "unknown", "no" or "yes".
func (a Answer) String() string { return enum.Name(answers, a) }

// MarshalText implements [encoding.TextMarshaler].
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrAnswer].
func (a *Answer) UnmarshalText(text []byte) error {
	return enum.Unmarshal(a, answers, string(text), ErrAnswer)
}
