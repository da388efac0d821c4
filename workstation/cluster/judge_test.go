package cluster

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

func TestStateOfANode(t *testing.T) {
	t.Parallel()
	answer := func(status int) error {
		return fmt.Errorf("observing: %w", &workstation.RequestError{Method: "GET", Path: "/nodes/a/qemu", Status: status})
	}
	for name, test := range map[string]struct {
		offline, unaudited bool
		err                error
		want               State
	}{
		"read":                     {want: Online},
		"off":                      {offline: true, want: Away},
		"off, whatever it said":    {offline: true, err: answer(500), want: Away},
		"its proxy is gone":        {err: answer(595), want: Away},
		"its answer broke off":     {err: answer(596), want: Slow},
		"no answer":                {err: answer(0), want: Slow},
		"over its limit":           {err: fmt.Errorf("observing: %w", errSlow), want: Slow},
		"refused":                  {err: answer(403), want: Forbidden},
		"read without Sys.Audit":   {unaudited: true, want: Forbidden},
		"a login it does not know": {err: answer(401), want: Unread},
		"an error of its own":      {err: answer(500), want: Unread},
		"any other error":          {err: errors.New("odd"), want: Unread},
	} {
		// Privileges are listed by path: {"/": {"Sys.Audit": 1}}.
		v := view{permissions: pve.Permissions{"/": {"Sys.Audit": true}}}
		if test.unaudited {
			v.permissions = pve.Permissions{"/": {"VM.Audit": true}}
		}
		if have := v.state(pve.Member{Name: "a", Online: !test.offline}, test.err); have != test.want {
			t.Errorf("%s: %s, want %s", name, have, test.want)
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, than string
		want          bool
	}{
		{"9.1.4", "9.1.4", false}, {"9.1.1", "9.1.4", false}, {"9.0.11", "9.1.1", true}, {"9.1.4", "9.0.11", false}, {"8.4.14", "9.0.3", true}, {"9.2", "9.10", true},
		{"", "9.1.4", true}, {"9.1.4", "", false}, {"9", "9.1", true}, {"9.1~rc1", "9.2", true},
	} {
		if have := older(test.version, test.than); have != test.want {
			t.Errorf("%q is older than %q: %t", test.version, test.than, have)
		}
	}
}

// A view is plain data, so the test judges it without a node.
func TestFactsOfAView(t *testing.T) {
	t.Parallel()
	members := []pve.Member{{Name: "a", Address: "10.0.0.1", Online: true, Local: true}, {Name: "b"}}
	v := view{
		Membership:  pve.Membership{Cluster: "lab", Quorate: false, Members: members},
		guests:      []pve.Guest{{VMID: 141, Node: "b", Running: true, Known: true}, {VMID: 140, Node: "a", Known: true}, {VMID: 142, Node: "a"}, {VMID: 143, Node: "gone", Running: true, Known: true}},
		permissions: pve.Permissions{"/": {"Sys.Audit": true}},
		nodes:       []*reading{{facts: workstation.Facts{Node: "a", Version: "9.1.4"}}, nil},
	}
	f := v.facts()
	want := []Guest{{VMID: 140, Node: "a", Running: proxstation.No}, {VMID: 141, Node: "b"}, {VMID: 142, Node: "a"}, {VMID: 143, Node: "gone"}}
	if !slices.Equal(f.Guests, want) {
		t.Errorf("guests %+v", f.Guests)
	}
	if f.Quorate != proxstation.No || f.QuorateSeen != "/cluster/status of node a: 1 of 2 nodes online, quorate: no" {
		t.Errorf("quorate %s: %s", f.Quorate, f.QuorateSeen)
	}
	if len(f.Findings) != 1 || f.Findings[0].ID != "cluster.no-quorum" || f.Findings[0].Severity != proxstation.Blocker {
		t.Errorf("findings %v", f.Findings)
	}
	if b := f.Nodes[1]; b.State != Away || len(b.Findings) != 1 || b.Findings[0].ID != "cluster.node-away" {
		t.Errorf("node b: %+v", b)
	}
	v.Membership = pve.Membership{Quorate: true, Members: members[:1]}
	if f = v.facts(); f.Quorate != proxstation.Yes || f.QuorateSeen != "node a is in no cluster" || len(f.Findings) != 0 {
		t.Errorf("alone: %s, %s, %v", f.Quorate, f.QuorateSeen, f.Findings)
	}
	v.unaudited = errors.New("403")
	if f = v.facts(); f.Quorate != proxstation.Unknown || f.Findings[0].ID != "cluster.quorum-unknown" {
		t.Errorf("without rights: %s, %v", f.Quorate, f.Findings)
	}
}

func TestStatesHaveNames(t *testing.T) {
	t.Parallel()
	for s := Unread; s <= Away; s++ {
		text, _ := s.MarshalText()
		var back State
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%s: %s, %v", text, back, err)
		}
	}
	var s State
	if err := s.UnmarshalText([]byte("lost")); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
