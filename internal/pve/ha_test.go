package pve_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// After each change of high availability, the method HA returns the changed
// state.
func TestHA(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *pvetest.Node, c *pve.Client) {
		ctx := t.Context()
		before, err := c.HA(ctx)
		if err != nil || len(before.Resources) != 2 || before.Resources[0].VMID != 150 || before.Resources[1].Wanted != "ignored" || !before.HasRules || before.Master != "pve" {
			t.Fatalf("%+v, %v", before, err)
		}
		r := pve.HAResource{VMID: 150, Wanted: "stopped", Comment: "desk", MaxRestart: 2, MaxRelocate: 0, KnowsFailback: true, Digest: before.Resources[0].Digest}
		rule := pve.HARule{Name: "desk", Kind: "node-affinity", SIDs: []string{"vm:150"}, Nodes: map[string]int{"pve": 2}, Strict: true, Disabled: true, Comment: "here"}
		if err := errors.Join(c.UpdateHAResource(ctx, r), c.CreateHARule(ctx, rule)); err != nil {
			t.Fatal(err)
		}
		if err := c.UpdateHAResource(ctx, r); !errors.Is(err, pve.ErrStale) {
			t.Errorf("with an old digest: %v", err)
		}
		time.Sleep(time.Minute)
		after, err := c.HA(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r.Digest, rule.Digest = after.Resources[0].Digest, after.Rules[0].Digest
		r.State, r.Node = "stopped", "pve"
		if !reflect.DeepEqual(after.Resources[0], r) || !reflect.DeepEqual(after.Rules[0], rule) {
			t.Errorf("%+v", after)
		}
		rule.Disabled, rule.Comment, rule.Strict = false, "", false
		if err := c.UpdateHARule(ctx, rule); err != nil {
			t.Error(err)
		}
		if err := c.CreateHAGroup(ctx, pve.HAGroup{Name: "fast", Nodes: map[string]int{"pve": 1}}); err == nil || !strings.Contains(err.Error(), "migrated to rules") {
			t.Errorf("a group on PVE 9: %v", err)
		}
		if after, err = c.HA(ctx); err != nil || after.Rules[0].Disabled || after.Rules[0].Comment != "" || after.Rules[0].Strict {
			t.Errorf("%+v, %v", after.Rules, err)
		}
	})
}

// On PVE 8, the client reads and changes groups, and finds no rules.
func TestHAOfPVE8(t *testing.T) {
	t.Parallel()
	host := pvetest.AMD()
	host.VMs, host.HA = []pvetest.VM{{ID: 150, Config: map[string]string{}}}, []int{150}
	c := open(pvetest.New(host, nil), false)
	ctx := t.Context()
	g := pve.HAGroup{Name: "fast", Nodes: map[string]int{"pve": 3}, Restricted: true, Comment: "x"}
	if err := c.CreateHAGroup(ctx, g); err != nil {
		t.Fatal(err)
	}
	h, err := c.HA(ctx)
	if err != nil || h.HasRules || len(h.Rules) != 0 || len(h.Groups) != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	g.Digest = h.Groups[0].Digest
	if !reflect.DeepEqual(h.Groups[0], g) {
		t.Errorf("%+v", h.Groups[0])
	}
	g.NoFailback = true
	r := h.Resources[0]
	r.Group = "fast"
	if err := errors.Join(c.UpdateHAGroup(ctx, g), c.UpdateHAResource(ctx, r)); err != nil {
		t.Fatal(err)
	}
	if h, err = c.HA(ctx); err != nil || !h.Groups[0].NoFailback || h.Resources[0].Group != "fast" {
		t.Errorf("%+v, %v", h, err)
	}
}

// The status of a node's local manager shows the maintenance mode, in the words
// of PVE 8 and of PVE 9.2.
func TestHAMaintenance(t *testing.T) {
	t.Parallel()
	node := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := `{"data":[]}`
		if strings.HasSuffix(r.URL.Path, "/cluster/ha/status/current") {
			body = `{"data":[{"id":"master","type":"master","node":"a","status":"a (active, Fri Nov 27 12:00:00 2026)"},
				{"id":"lrm:c","type":"lrm","node":"c","status":"c (maintenance mode, watchdog active, Fri Nov 27 12:00:00 2026)"},
				{"id":"lrm:b","type":"lrm","node":"b","status":"b (maintenance mode, Fri Nov 27 12:00:00 2026)"},
				{"id":"lrm:a","type":"lrm","node":"a","status":"a (active, watchdog active, Fri Nov 27 12:00:00 2026)"}]}`
		}
		_, _ = io.WriteString(w, body)
	}))
	defer node.Close()
	c, err := pve.Dial(pve.Endpoint{URL: node.URL, Token: "root@pam!lab=11111111-2222-3333-4444-555555555555", Transport: node.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.On("a").HA(t.Context())
	if err != nil || h.Master != "a" || !slices.Equal(h.Maintenance, []string{"b", "c"}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// FuzzParseHANodes parses a list of nodes. If the result is written and parsed
// again, it stays the same.
func FuzzParseHANodes(f *testing.F) {
	f.Add("a:2,b")
	f.Add("a:-1; b:x c")
	f.Add(":,::3")
	f.Fuzz(func(t *testing.T, list string) {
		nodes := pve.ParseHANodes(list)
		if again := pve.ParseHANodes(pve.FormatHANodes(nodes)); !maps.Equal(nodes, again) {
			t.Errorf("%q: %v, then %v", list, nodes, again)
		}
	})
}
