package workstation_test

import (
	"slices"
	"testing"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A newer PVE may add a property to hostpci that we do not know. A running VM
// with such a property must still be reported as a user of its card.
func TestAValueThatIsNotUnderstoodStillClaims(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"0000:01:00,pcie=1":          {"switch.outsider"},
		"0000:01:00,pcie=1,newkey=1": {"gpu.hostpci-unread", "switch.outsider"},
		"card0,pcie=1":               {"gpu.hostpci-unread"},
	} {
		facts := observe(t, pvetest.New(pair(), nil))
		facts.VMs[200] = workstation.VMFacts{ID: 200, Name: "other", Running: true, Config: map[string]string{"hostpci0": value}}
		found := map[string]bool{}
		for _, f := range workstation.Preflight(both, 141, facts) {
			found[f.ID] = true
		}
		for _, id := range []string{"gpu.hostpci-unread", "switch.outsider"} {
			if found[id] != slices.Contains(want, id) {
				t.Errorf("hostpci0: %s: finding %s is %v", value, id, found[id])
			}
		}
	}
}
