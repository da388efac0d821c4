package file_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// spread is a page for a cluster. It describes the card by a part of its name.
// One workstation names its node, and the other does not.
const spread = `cards:
  rtx: {model: RTX 5070}
workstations:
  windows: {id: 140, profile: windows11, card: rtx, node: b}
  linux: {id: 141, profile: linux-ai, card: rtx}
dualboot:
  rtx: {members: [windows, linux]}
`

// observed returns the facts of a cluster of reference hosts.
func observed(t *testing.T, names ...string) cluster.Facts {
	t.Helper()
	var hosts []pvetest.Host
	for _, name := range names {
		host := pvetest.Reference()
		host.Name = name
		hosts = append(hosts, host)
	}
	sim := pvetest.NewCluster(hosts, nil)
	c, err := cluster.Connect(t.Context(), []workstation.Endpoint{{URL: "https://" + names[0] + ":8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := c.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func secrets(file.Reference) (proxstation.Secret, error) {
	return proxstation.NewSecret("secret"), nil
}

// On a cluster, a workstation that names a node gets this node, and any other
// workstation is placed. The card's mapping gets an entry for each node that
// has such a card.
func TestAPageOfACluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		facts := observed(t, "a", "b", "c")
		source, err := file.Parse("page", []byte(spread))
		if err != nil {
			t.Fatal(err)
		}
		if !source.Page.Spread() || source.Page.NodeOf("windows") != "b" || source.Page.NodeOf("linux") != "" {
			t.Errorf("windows is on %q, linux on %q", source.Page.NodeOf("windows"), source.Page.NodeOf("linux"))
		}
		spec, err := source.Cluster(facts, secrets, nil)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := cluster.Diff(spec, facts)
		if err != nil {
			t.Fatal(err)
		}
		homes := map[int]string{}
		for _, p := range plan.Placements {
			homes[p.VMID] = p.Node
		}
		if homes[140] != "b" || homes[141] == "b" {
			t.Errorf("placed %v: want windows on b, and linux where the card is free", homes)
		}
		if len(plan.Mappings) != 1 || len(plan.Mappings[0].Mapping.Entries) != 3 {
			t.Errorf("mappings %+v", plan.Mappings)
		}
	})
}

// The Copier is called for each node. If it returns an error for a node, that
// node is refused with this error. The plan brings the copy to the chosen node.
func TestACopyForEachNode(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "oc.iso")
	if err := os.WriteFile(image, opencoretest.New(opencoretest.Config).FAT(12, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		facts := observed(t, "a", "b", "c")
		source, err := file.Parse("page", []byte("workstations:\n  mac: {id: 130, profile: macos, osk: \"env:OSK\", opencore: {image: "+image+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		copier := func(l file.Loader, node workstation.Facts) (loader.Copy, error) {
			asked = append(asked, l.Workstation+" on "+node.Node)
			if node.Node == "a" {
				return loader.Copy{}, errors.New("not here")
			}
			return l.Source.Plan(l.Mac, node)
		}
		key := func(file.Reference) (proxstation.Secret, error) {
			return proxstation.NewSecret(strings.Repeat("x", 64)), nil
		}
		spec, err := source.Cluster(facts, key, copier)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := cluster.Diff(spec, facts)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Images) != 1 || plan.Images[0].Node != "b" || !strings.HasPrefix(plan.Images[0].Image.Volume, "local:import/oc-") || !strings.Contains(plan.String(), "a (refused): not here") {
			t.Errorf("images %+v\n%s", plan.Images, plan)
		}
		if want := []string{"mac on a", "mac on b", "mac on c"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q", asked)
		}
		made, err := plan.Images[0].Image.Open()
		if err != nil {
			t.Fatal(err)
		}
		if size, err := made.Seek(0, io.SeekEnd); err != nil || size != 2<<20 || made.Close() != nil {
			t.Errorf("the copy has %d bytes (%v)", size, err)
		}
		if spec, err = source.Cluster(facts, key, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.Diff(spec, facts); !errors.Is(err, cluster.ErrNoPlace) || !strings.Contains(err.Error(), "opencore.image: a configured copy of the image has to be planned first (Page.Loaders, or the Copier of Page.Cluster)") {
			t.Errorf("without a Copier: %v", err)
		}
	})
}

// For a single node, the Spec leaves out workstations of other nodes. A card
// that the page describes by its name becomes the node's card of that name.
func TestAPageSeenFromOneNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		facts := observed(t, "a", "b")
		for node, want := range map[int]int{0: 1, 1: 2} {
			source, err := file.Parse("page", []byte(spread))
			if err != nil {
				t.Fatal(err)
			}
			spec, err := source.Spec(facts.Nodes[node].Facts, secrets)
			if err != nil {
				t.Fatal(err)
			}
			if len(spec.VMs) != want || len(spec.Mappings) != 1 || spec.Mappings[0].Card.String() != "0000:01:00.0" {
				t.Errorf("node %d: %d VMs, mappings %+v", node, len(spec.VMs), spec.Mappings)
			}
		}
	})
}

func TestModelsThatAreNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		facts := observed(t, "a").Nodes[0].Facts
		for model, want := range map[string]string{
			"RTX 9090": "node a has no graphics card that is RTX 9090", "10de:2c05": "", "8086:3e92": "", "graphics": "", "dead:beef": "no graphics card that is dead:beef",
			"Corporation": "several graphics cards",
		} {
			source, err := file.Parse("page", []byte(strings.Replace(spread, "RTX 5070", `"`+model+`"`, 1)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = source.Spec(facts, secrets)
			if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "page:2:")) {
				t.Errorf("%s: %v, want %q", model, err, want)
			}
		}
	})
}

// Guests returns the guests of two kinds of VMs: VMs that exist on the node,
// even if the page names another node for them, and new VMs that the page does
// not put on another node. A VM that exists on another node needs no secret.
func TestGuestsOfANode(t *testing.T) {
	t.Parallel()
	const page = `workstations:
  there: {id: 140, profile: linux-ai, node: a, user: {name: u, password: "env:THERE"}}
  here: {id: 141, profile: linux-ai, node: b, user: {name: u, password: "env:HERE"}}
  elsewhere: {id: 142, profile: linux-ai, user: {name: u, password: "env:ELSEWHERE"}}
`
	source, err := file.Parse("page", []byte(page))
	if err != nil {
		t.Fatal(err)
	}
	facts := workstation.Facts{Node: "a", VMs: map[int]workstation.VMFacts{141: {ID: 141}}, Others: map[int]string{140: "VM there on node b", 142: "VM elsewhere on node b"}}
	guests, err := source.Guests(facts, func(r file.Reference) (proxstation.Secret, error) {
		return proxstation.Secret{}, errors.New("no secret " + string(r))
	})
	if err != nil || len(guests) != 1 || guests[0].VMID != 141 {
		t.Errorf("%+v: %v: want only the guest of VM 141, which is on node a", guests, err)
	}
}
