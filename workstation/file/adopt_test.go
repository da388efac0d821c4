package file

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns an embedded node for a host, and the node's facts.
func embedded(t *testing.T, host pvetest.Host) (*workstation.Node, workstation.Facts) {
	t.Helper()
	sim := pvetest.New(host, &pvetest.Options{Speed: 1000})
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, host.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return node, facts
}

// This writes the page that describes a node, reads it, and returns it with its
// plan.
func adopted(t *testing.T, facts workstation.Facts) (*Source, workstation.Plan) {
	t.Helper()
	text := Format(Adopt(facts))
	source, err := Parse("homelab.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	spec, err := source.Spec(facts, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return source, plan
}

// The reference page makes VMs on a node. Adopt then gives a page with the same
// profiles, cards and sets.
func TestAdoptOfTheReferencePage(t *testing.T) {
	t.Parallel()
	node, facts := embedded(t, pvetest.Reference())
	spec, err := reference(t).Spec(facts, secrets)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := workstation.Diff(spec, facts)
	if err == nil {
		err = node.Apply(t.Context(), plan, nil)
	}
	if err == nil {
		facts, err = node.Observe(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	source, plan := adopted(t, facts)
	text := string(source.Bytes())
	if !plan.Empty() {
		t.Errorf("the plan is not empty:\n%s\n%s", plan, text)
	}
	for _, want := range []string{"# Tiers of storages: local-lvm 1 (NVMe)", "#   local: {tier: 2}\n", "workstation-gpu: {address: \"0000:01:00.0\"}   # NVIDIA", "  windows:\n    profile: windows11\n    id: 140\n", "profile: linux-ai", "profile: macos",
		"memory: 32GiB", "games: 100GiB", "models: 80GiB", "card: workstation-gpu", "workstation-gpu: {members: [linux-ai, windows]}"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
}

// Adopt describes VMs that were made without a page, and the plan of its page
// has no changes.
func TestAdoptOfVMsOfOthers(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("../../../shared/cases/vms/*")
	if err != nil || len(dirs) == 0 && os.Getenv("CI") != "" {
		t.Fatalf("no cases beside the repository: %v", err)
	}
	_, facts := embedded(t, pvetest.Reference())
	hosts := map[string]map[int]workstation.VMFacts{"of our own": ours()}
	for _, dir := range dirs {
		hosts[filepath.Base(dir)] = readVMs(t, dir)
	}
	for name, vms := range hosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := facts
			facts.VMs = vms
			source, plan := adopted(t, facts)
			if !plan.Empty() {
				t.Errorf("the plan is not empty:\n%s\n%s", plan, source.Bytes())
			}
			if there := len(source.Page.Workstations); there != len(vms) {
				t.Errorf("%d workstations of %d VMs:\n%s", there, len(vms), source.Bytes())
			}
		})
	}
}

// This returns VMs that fit no profile. Some of their names cannot be keys of a
// page.
func ours() map[int]workstation.VMFacts {
	vms := map[int]workstation.VMFacts{}
	add := func(id int, name string, pairs ...string) {
		config := map[string]string{"name": name, "memory": "2048", "scsi0": "local-lvm:vm-100-disk-0,size=8G"}
		for pair := range slices.Chunk(pairs, 2) {
			config[pair[0]] = pair[1]
		}
		vms[id] = workstation.VMFacts{ID: id, Name: name, Config: config, Digest: "x"}
	}
	add(101, "router", "ostype", "other", "description", "two\nlines: with \u201cwords\u201d # and signs\n", "tags", "a;b", "cores", "2")
	add(102, "router", "ostype", "l26", "hostpci0", "0000:01:00,pcie=1,x-vga=1", "machine", "q35")
	add(103, "VM 103")
	add(104, "on", "ostype", "win11", "args", "-cpu host,kvm=off -device a,b=c")
	add(105, "null", "ostype", "win11", "description", "")
	return vms
}

// readVMs reads the VMs of a case from its directory.
func readVMs(t *testing.T, dir string) map[int]workstation.VMFacts {
	t.Helper()
	vms := map[int]workstation.VMFacts{}
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		id, notID := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".conf"))
		if err != nil || notID != nil {
			t.Fatal(err, notID)
		}
		config := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "[") {
				break
			}
			key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ": ")
			if comment, is := strings.CutPrefix(line, "#"); is {
				config["description"] += comment
			} else if ok {
				config[key] = value
			}
		}
		vms[id] = workstation.VMFacts{ID: id, Name: config["name"], Config: config, Digest: "x"}
	}
	return vms
}
