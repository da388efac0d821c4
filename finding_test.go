package proxstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestSeverityText(t *testing.T) {
	t.Parallel()
	for _, s := range []proxstation.Severity{proxstation.Unspecified, proxstation.Info, proxstation.Warning, proxstation.Blocker} {
		var back proxstation.Severity
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%s comes back as %s, %v", s, back, err)
		}
	}
	s := proxstation.Info
	if err := s.UnmarshalText([]byte("fatal")); !errors.Is(err, proxstation.ErrSeverity) || s != proxstation.Info {
		t.Errorf("severity fatal: %v, and the value is %s", err, s)
	}
}

func TestAnswerText(t *testing.T) {
	t.Parallel()
	for _, a := range []proxstation.Answer{proxstation.Unknown, proxstation.No, proxstation.Yes} {
		var back proxstation.Answer
		if err := back.UnmarshalText([]byte(a.String())); err != nil || back != a {
			t.Errorf("%s comes back as %s, %v", a, back, err)
		}
	}
	var a proxstation.Answer
	if err := a.UnmarshalText([]byte("maybe")); !errors.Is(err, proxstation.ErrAnswer) {
		t.Errorf("answer maybe: %v", err)
	}
	if proxstation.AnswerOf(true) != proxstation.Yes || proxstation.AnswerOf(false) != proxstation.No {
		t.Error("AnswerOf")
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	findings := []proxstation.Finding{{Severity: proxstation.Info}, {Severity: proxstation.Blocker}, {Severity: proxstation.Warning}}
	if got := proxstation.Worst(findings); got != proxstation.Blocker {
		t.Errorf("Worst = %s", got)
	}
	if got := proxstation.Worst(nil); got != proxstation.Unspecified {
		t.Errorf("Worst of an empty list = %s", got)
	}
}

// A finding that contains the name of a disk or a driver is printed with all
// unprintable characters quoted.
func TestFindingsOnlyPrint(t *testing.T) {
	t.Parallel()
	const evil = "sda\x1b[2J\r\nall is well\u202e"
	text := proxstation.Finding{Severity: proxstation.Info, Subject: evil, Seen: evil, Why: evil, Fix: evil}.String()
	if strings.ContainsAny(text, "\x1b\r\u202e") || strings.Count(text, "\n") != 3 {
		t.Errorf("got %q", text)
	}
}

func ExampleFinding() {
	f := proxstation.Finding{ID: "iommu.off", Severity: proxstation.Blocker, Subject: "IOMMU", Seen: "no groups", Why: "nothing can be passed through", Fix: "turn VT-d on"}
	text, _ := json.Marshal(f.Severity)
	fmt.Println(string(text))
	fmt.Println(f)
	// Output:
	// "blocker"
	// blocker: IOMMU (iommu.off)
	//   seen: no groups
	//   why:  nothing can be passed through
	//   fix:  turn VT-d on
}

func ExampleSeverity() {
	fmt.Println(proxstation.Warning, proxstation.Blocker > proxstation.Warning)
	// Output: warning true
}

func ExampleAnswer() {
	var interruptRemapping proxstation.Answer
	fmt.Println(interruptRemapping, proxstation.AnswerOf(true))
	// Output: unknown yes
}
