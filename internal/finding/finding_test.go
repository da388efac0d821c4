package finding_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/proxstation/proxstation/internal/finding"
)

func TestSeverityText(t *testing.T) {
	t.Parallel()
	for _, s := range []finding.Severity{finding.Unspecified, finding.Info, finding.Warning, finding.Blocker} {
		var back finding.Severity
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%s comes back as %s, %v", s, back, err)
		}
	}
	var s finding.Severity
	if err := s.UnmarshalText([]byte("fatal")); err == nil {
		t.Error("there is no severity fatal")
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	findings := []finding.Finding{{Severity: finding.Info}, {Severity: finding.Blocker}, {Severity: finding.Warning}}
	if got := finding.Worst(findings); got != finding.Blocker {
		t.Errorf("Worst = %s", got)
	}
	if got := finding.Worst(nil); got != finding.Unspecified {
		t.Errorf("Worst of none = %s", got)
	}
}

func ExampleFinding() {
	f := finding.Finding{ID: "iommu.off", Severity: finding.Blocker, Subject: "IOMMU", Seen: "no groups", Why: "nothing can be passed through", Fix: "turn VT-d on"}
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
