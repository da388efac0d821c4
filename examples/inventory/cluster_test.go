package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestACluster(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-embedded-nodes", "3"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 nodes, quorum: yes", "NODE ", "pve2 ", "GeForce RTX 5070 Ti", "Findings about the cluster\n  none", "Inventory of node pve\n", "Inventory of node pve3"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%.3000s", want, out.String())
		}
	}
}

func TestTheJSONOfACluster(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-embedded-nodes", "2", "-json"}, &out); err != nil {
		t.Fatal(err)
	}
	var r struct {
		Cluster, Quorate, Why string
		Nodes                 []struct {
			Name, Address, State, Version, CPU string
			Memory                             int64
			Report                             map[string]any
		}
		Guests, Findings []any
	}
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.Nodes) != 2 || r.Quorate != "yes" || r.Why == "" || r.Guests == nil || r.Findings == nil {
		t.Errorf("%+v", r)
	}
	for _, n := range r.Nodes {
		if n.State != "online" || n.Address == "" || n.Version == "" || n.Memory == 0 || n.Report["source"] != "node "+n.Name {
			t.Errorf("node %+v", n)
		}
	}
}

// The report shows a node that is away, and says which facts about it are not
// known.
func TestANodeThatIsAwayIsShown(t *testing.T) {
	t.Parallel()
	facts := cluster.Facts{Name: "lab", Quorate: proxstation.Yes, QuorateSeen: "2 of 3 nodes online",
		Nodes: []cluster.NodeFacts{
			{Name: "a", State: cluster.Online, Facts: workstation.Facts{Node: "a", Version: "9.1.4"}},
			{Name: "b", State: cluster.Away, Findings: []proxstation.Finding{{ID: "cluster.node-away", Severity: proxstation.Warning, Subject: "node b"}}},
			{Name: "c", State: cluster.Slow, Err: errors.New("no answer")},
		},
		Guests: []cluster.Guest{{VMID: 140, Node: "b"}, {VMID: 141, Node: "a", Running: proxstation.Yes}, {VMID: 142, Node: "a", Running: proxstation.No}}}
	text := ofCluster(facts).String()
	for _, want := range []string{
		"Cluster lab: 3 nodes, quorum: yes (2 of 3 nodes online)",
		"  a     online  9.1.4  ?            2       1        none\n",
		"  b     away    ?      ?            1       ?        ?\n",
		"  c     slow    ?      ?            0       0        ?\n",
		"warning: node b (cluster.node-away)", "Inventory of node a",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Inventory of node b") || strings.Contains(text, "Inventory of node c") {
		t.Error("a node that was not read has a report")
	}
}

// Without -node, the report is about the whole cluster if the node is in a
// cluster.
func TestTheEnvironmentNamesACluster(t *testing.T) {
	one := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(one.Close)
	hosts := []pvetest.Host{pvetest.Reference(), pvetest.Reference()}
	hosts[0].Name, hosts[1].Name = "a", "b"
	two := pvetest.NewCluster(hosts, nil).Start()
	t.Cleanup(two.Close)
	a, b := two.Node("a"), two.Node("b")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, a.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROXMOX_VE_USERNAME", "")
	t.Setenv("PROXMOX_VE_API_TOKEN", "root@pam!lab="+hosts[0].RootTokens[0].Secret)
	for _, test := range []struct{ endpoint, args, want, wrong string }{
		{one.URL(), "-fingerprint " + one.Fingerprint(), "Inventory of node pve\n", ""},
		{a.URL(), "-fingerprint " + a.Fingerprint(), "2 nodes, quorum: yes", ""},
		{a.URL(), "-node b -fingerprint " + a.Fingerprint(), "Inventory of node b\n", ""},
		{a.URL(), "-node c -fingerprint " + a.Fingerprint(), "", "no such node"},
		{a.URL(), "-describe -fingerprint " + a.Fingerprint(), "", "no such node"},
		{a.URL(), "-describe -node b -fingerprint " + a.Fingerprint(), `"name": "b"`, ""},
		{"https://127.0.0.1:1," + b.URL(), "-ca " + ca, "2 nodes, quorum: yes", ""},
		{"https://127.0.0.1:1," + b.URL(), "-node b -ca " + ca, "Inventory of node b\n", ""},
		{a.URL() + "," + b.URL(), "-fingerprint " + a.Fingerprint(), "", "-fingerprint is for one address"},
	} {
		t.Setenv("PROXMOX_VE_ENDPOINT", test.endpoint)
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(test.args), &out)
		if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s %s: %v", test.endpoint, test.args, err)
		}
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s %s: no %q in\n%.500s", test.endpoint, test.args, test.want, out.String())
		}
	}
}
