package enum_test

import (
	"errors"
	"testing"

	"github.com/proxstation/proxstation/internal/enum"
)

type light uint8

var lights = []string{"red", "amber", "green"}

func TestNamesGoBothWays(t *testing.T) {
	t.Parallel()
	for i, name := range lights {
		if got := enum.Name(lights, light(i)); got != name {
			t.Errorf("Name(%d) = %q, want %q", i, got, name)
		}
		var got light
		if err := enum.Unmarshal(&got, lights, name, errors.ErrUnsupported); err != nil || got != light(i) {
			t.Errorf("Unmarshal(%q) = %d, %v", name, got, err)
		}
	}
	if got := enum.Name(lights, light(9)); got != "light(9)" {
		t.Errorf("a value beyond the table prints as %q", got)
	}
}

func TestUnmarshalRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	unknown := errors.New("no such light")
	value := light(2)
	err := enum.Unmarshal(&value, lights, "blue", unknown)
	if want := `no such light "blue": want red, amber or green`; !errors.Is(err, unknown) || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if value != 2 {
		t.Errorf("the value became %d", value)
	}
	if err := enum.Unmarshal(&value, lights, "amber", unknown); err != nil || value != 1 {
		t.Errorf("value %d, error %v", value, err)
	}
}
