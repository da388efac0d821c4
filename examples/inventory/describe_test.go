package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/inventory"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// An embedded node that is made from a description gives the same report, VMs
// and mappings as the described node. The description does not contain the key
// of an Apple SMC.
func TestADescribedNodeIsLikeTheNode(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]pvetest.Host{"reference": pvetest.Reference(), "amd": pvetest.AMD()} {
		host.VMs = append(host.VMs, pvetest.VM{ID: 130, Config: map[string]string{
			"name": "macos", "args": "-device isa-applesmc,osk=ourhardworkbythesewordsguardedpleasedontsteal0000000000000000000", "memory": "8192"}})
		host.Mappings = []pvetest.Mapping{{ID: "rtx", Map: []string{"id=10de:2c05,iommugroup=12,node=" + host.Name + ",path=0000:01:00"}}}
		facts := factsOf(t, host)
		text, err := json.Marshal(describe(facts))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("ourhardwork")) {
			t.Errorf("%s: the key is in %s", name, text)
		}
		var described pvetest.Host
		if err := json.Unmarshal(text, &described); err != nil {
			t.Fatal(err)
		}
		again := factsOf(t, described)
		was, is := strings.Split(reportOf(t, facts), "\n"), strings.Split(reportOf(t, again), "\n")
		for i := range max(len(was), len(is)) {
			if i >= len(was) || i >= len(is) || was[i] != is[i] {
				t.Fatalf("%s: the reports differ from line %d:\n%s\n\n%s", name, i, strings.Join(was[min(i, len(was)):min(i+6, len(was))], "\n"), strings.Join(is[min(i, len(is)):min(i+6, len(is))], "\n"))
			}
		}
		if len(again.Mappings) != 1 || again.Mappings[0].Entries[0].String() != facts.Mappings[0].Entries[0].String() {
			t.Errorf("%s: mappings %v", name, again.Mappings)
		}
		if len(again.VMs) != len(facts.VMs) || again.VMs[130].Config["memory"] != "8192" {
			t.Errorf("%s: VMs %v", name, again.VMs)
		}
	}
}

func factsOf(t *testing.T, host pvetest.Host) workstation.Facts {
	t.Helper()
	sim := pvetest.New(host, nil)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, host.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func reportOf(t *testing.T, facts workstation.Facts) string {
	t.Helper()
	text, err := json.MarshalIndent(inventory.Of(facts.Node, facts.IOMMU, facts.Disks, facts.Pools, facts.Unknown...), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
