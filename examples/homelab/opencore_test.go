package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// numbers holds the serial numbers of a Mac. No output may show them.
var numbers = map[string]string{"MACOS_SERIAL": "C02XW0AAJV3Q", "MACOS_MLB": "C02834707ABLNV9AX", "MACOS_UUID": "6D3BCE8A-9B3C-4E5A-8C57-6C2E9AB5E0F1", "MACOS_ROM": "0a:1b:2c:3d:4e:5f"}

const givenIdentity = "{serial: env:MACOS_SERIAL, mlb: env:MACOS_MLB, uuid: env:MACOS_UUID, rom: env:MACOS_ROM}"

// A mac is a lab with an OpenCore image, two kernel extensions, and a page with
// one macOS workstation.
type mac struct {
	*lab
	dir string
}

func newMac(t *testing.T) mac {
	t.Helper()
	m := mac{lab: newLab(t, pvetest.Reference()), dir: t.TempDir()}
	for name, value := range numbers {
		t.Setenv(name, value)
	}
	files := opencoretest.Bundle("Lilu.kext", "Lilu", "as.vit9696.Lilu", "1.7.2")
	for name, data := range opencoretest.Bundle("WhateverGreen.kext", "WhateverGreen", "as.vit9696.WhateverGreen", "1.7.1") {
		files[name] = data
	}
	files["oc.iso.gz"] = opencoretest.New(opencoretest.Config).GPT(16, 20<<20).Gzip()
	files["notes.txt"] = []byte("no image, and no kernel extension")
	for name, data := range files {
		name = filepath.Join(m.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// write writes the page with the given keys below opencore.
func (m mac) write(stage, keys string) {
	m.t.Helper()
	page := fmt.Sprintf("cards:\n  igpu: {address: \"0000:00:02.0\"}\nworkstations:\n  macos:\n    profile: macos\n    card: igpu\n    stage: %s\n    recovery: local:import/recovery-sequoia.raw\n    osk: env:MACOS_OSK\n    opencore:\n      %s\n",
		stage, strings.ReplaceAll(strings.ReplaceAll(keys, "DIR", m.dir), "\n", "\n      "))
	if err := os.WriteFile(m.page, []byte(page), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// The method "says" runs the program. It checks the exit code, and that the
// output contains the words.
func (m mac) says(code int, command string, words ...string) {
	m.t.Helper()
	args := strings.Fields(command)
	if saved := args[len(args)-1]; args[0] != "apply" || !strings.HasSuffix(saved, ".json") {
		args = append(args, "-f", m.page)
	}
	m.want(code, "", "", args...)
	flat := strings.Join(strings.Fields(m.said), " ")
	for _, word := range words {
		if !strings.Contains(flat, word) {
			m.t.Fatalf("homelab %s does not say %q:\n%s", command, word, m.said)
		}
	}
	for name, number := range numbers {
		if strings.Contains(m.said, number) {
			m.t.Errorf("homelab %s shows %s:\n%s", command, name, m.said)
		}
	}
}

// copies returns the names of the configured copies that are beside the image.
func (m mac) copies() []string {
	m.t.Helper()
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "oc-") {
			all = append(all, entry.Name())
		}
	}
	return all
}

func (m mac) config(key string) string {
	state, _ := m.sim.VM(130)
	return state.Config[key]
}

// A configured copy of the page's image becomes the VM's boot loader. If the
// page is applied again, nothing changes. If the page was changed, an existing
// VM gets a new copy only if the page asks for this. If the page is changed
// back, the VM gets the first copy again.
func TestOpenCoreOnThePage(t *testing.T) { //nolint:paralleltest // the environment is the test's
	m := newMac(t)
	first := "image: DIR/oc.iso.gz\nkexts: DIR/Lilu.kext\nidentity: " + givenIdentity
	m.write("install", first)
	m.says(2, "plan", "a configured copy of "+m.dir+"/oc.iso.gz", "+ Lilu.kext 1.7.2", "AAPL,ig-platform-id: <07009B3E> # Without it, the driver takes the framebuffer of another Mac. (opencore.platform-id)", "iMacPro1,1 -> iMac19,1", "[identity]", "import-from=local:import/oc-", "(opencore.schema)", "the mode of the iGPU is legacy. Intel")
	if len(m.copies()) != 0 || len(m.sim.VMs()) != 0 {
		t.Fatalf("a plan wrote %q, VMs %v", m.copies(), m.sim.VMs())
	}
	m.says(0, "apply -yes", "Done: 2 changes")
	made := m.copies()
	if len(made) != 1 || !strings.Contains(m.config("sata4"), "serial=opencore-") || !strings.Contains(m.said, made[0]+" is there") {
		t.Fatalf("copies %q, sata4 %q:\n%s", made, m.config("sata4"), m.said)
	}
	m.says(0, "plan", "nothing to do")
	m.says(0, "apply -yes", "nothing to do")
	m.write("card", first)
	m.says(0, "apply -yes", "Done: 1 change,")
	m.says(0, "plan", "nothing to do")

	second := first + "\nreplace: true"
	m.write("card", strings.Replace(first, "kexts: DIR/Lilu.kext", "kexts: [DIR/Lilu.kext, DIR/WhateverGreen.kext]", 1))
	m.says(0, "plan", "nothing to do", "(opencore.kept)", "VM 130 starts from sata4; it is not the copy", "replace: true")
	m.write("card", strings.Replace(second, "kexts: DIR/Lilu.kext", "kexts: [DIR/Lilu.kext, DIR/WhateverGreen.kext]", 1))
	m.says(2, "plan", "+ WhateverGreen.kext 1.7.1", "order=sata4;virtio0 -> order=sata0;sata4;virtio0")
	m.says(0, "apply -yes", "Done: 1 change,")
	m.says(0, "apply -yes", "nothing to do")
	if len(m.copies()) != 2 || m.config("sata0") == "" || m.config("sata4") == "" {
		t.Errorf("copies %q, drives %q, %q", m.copies(), m.config("sata0"), m.config("sata4"))
	}
	m.write("card", second)
	m.says(0, "apply -yes", "order=sata0;sata4;virtio0 -> order=sata4;sata0;virtio0")
	m.says(0, "apply -yes", "nothing to do")

	m.write("off", second)
	m.says(0, "apply -yes", "- hostpci0", "Done: 1 change,")
	m.says(0, "apply -yes", "nothing to do")
	if len(m.copies()) != 2 || m.config("sata1") != "" {
		t.Errorf("copies %q, sata1 %q", m.copies(), m.config("sata1"))
	}

	if err := os.Remove(filepath.Join(m.dir, "oc.iso.gz")); err != nil {
		t.Fatal(err)
	}
	m.says(1, "plan", "homelab.yaml:11:14: loader: VM 130: image:", "no such file")
	m.write("off", first)
	m.says(0, "plan", "nothing to do", "(opencore.kept)", "oc.iso.gz is not here, so that nobody compared the boot loader")
	m.write("off", "image: DIR/oc.iso.gz\nkexts: DIR/gone.kext")
	m.says(0, "plan", "nothing to do", "(opencore.kept)", "gone.kext is not here")
	if err := m.sim.Check(); err != nil {
		t.Error(err)
	}
}

// The program makes up an identity only once. A saved plan can therefore be
// applied, and a second plan for the same page is empty.
func TestMadeUpIdentityIsMadeOnce(t *testing.T) { //nolint:paralleltest // the environment is the test's
	m := newMac(t)
	m.write("install", "image: DIR/oc.iso.gz\nidentity: made-up\nreplace: true")
	plan := filepath.Join(t.TempDir(), "plan.json")
	m.says(2, "plan -out "+plan, "The identity is made up. Before an Apple account is used", "[identity]")
	m.write("install", "image: DIR/oc.iso.gz\nkexts: DIR/Lilu.kext\nidentity: made-up\nreplace: true")
	stale := filepath.Join(t.TempDir(), "stale.json")
	m.says(2, "plan -out "+stale)
	if err := os.WriteFile(filepath.Join(m.dir, "Lilu.kext", "Contents", "more.txt"), []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.says(4, "apply -yes "+stale, "plan is stale")
	m.write("install", "image: DIR/oc.iso.gz\nidentity: made-up\nreplace: true")
	m.says(0, "apply -yes "+plan, "Done: 2 changes")
	m.says(0, "apply -yes", "nothing to do")
	if len(m.copies()) != 1 {
		t.Errorf("copies %q", m.copies())
	}
	text, err := os.ReadFile(plan)
	if err != nil || strings.Contains(string(text), "JV3Q") {
		t.Errorf("the saved plan has a serial number of an iMac19,1 (%v):\n%s", err, text)
	}
}

// The JSON of a plan lists the planned copies of images, each with its changes.
func TestOpenCoreAsJSON(t *testing.T) { //nolint:paralleltest // the environment is the test's
	m := newMac(t)
	m.write("install", "image: DIR/oc.iso.gz\nidentity: "+givenIdentity)
	m.says(2, "plan -json")
	var plan planView
	if err := json.Unmarshal([]byte(m.said), &plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Copies) != 1 || plan.Copies[0].VMID != 130 || !strings.HasPrefix(plan.Copies[0].Volume, "local:import/oc-") || filepath.Dir(plan.Copies[0].File) != m.dir || len(plan.Copies[0].Changes) == 0 {
		t.Errorf("%+v", plan.Copies)
	}
}

// If the environment names no node, the program applies the page to the
// embedded node, and leaves no file beside the image.
func TestOpenCoreOnTheEmbeddedNode(t *testing.T) {
	m := newMac(t)
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	os.Unsetenv("MACOS_MLB")
	m.write("install", "image: DIR/oc.iso.gz\nidentity: "+givenIdentity)
	m.says(0, "apply -yes", "Done: 2 changes", "is there")
	if len(m.copies()) != 0 {
		t.Errorf("copies %q", m.copies())
	}
}

// The error for bad input names the place on the page, and nothing changes.
func TestOpenCoreRefusals(t *testing.T) {
	m := newMac(t)
	t.Setenv("MACOS_BAD", "12345")
	for _, test := range []struct{ keys, says string }{
		{"image: DIR/none.iso", "homelab.yaml:11:14: loader: VM 130: image: stat " + m.dir + "/none.iso: no such file or directory"},
		{"image: DIR/notes.txt", "homelab.yaml:11:14: loader: VM 130: image: the image is"},
		{"image: DIR", "homelab.yaml:11:14: loader: VM 130: image: the image is " + m.dir + ": it is neither a file nor a disk"},
		{"image: DIR/oc.iso.gz\nkexts:\n- DIR/Lilu.kext\n- DIR/notes.txt", "homelab.yaml:14:9: loader: VM 130: kexts[1]: " + m.dir + "/notes.txt: it is neither a folder nor a zip archive"},
		{"image: DIR/oc.iso.gz\nkexts: [DIR/Lilu.kext, DIR/Lilu.kext]", "homelab.yaml:12:14: loader: VM 130: kexts: " + m.dir + "/Lilu.kext and " + m.dir + "/Lilu.kext are both as.vit9696.Lilu: give only one of them"},
		{"image: DIR/oc.iso.gz\nkexts: DIR/gone.kext", "homelab.yaml:12:14: loader: VM 130: kexts[0]: stat " + m.dir + "/gone.kext: no such file"},
		{"image: DIR/oc.iso.gz\nidentity: {serial: env:MACOS_SERIAL}", "homelab.yaml:12:17: workstations.macos.opencore.identity: Apple's services compare all four numbers, and some are missing: add mlb, uuid, rom"},
		{"image: DIR/oc.iso.gz\nidentity: " + strings.Replace(givenIdentity, "MACOS_MLB", "MACOS_BAD", 1), "homelab.yaml:12:49: loader: VM 130: identity.mlb: MLB: want"},
		{"image: DIR/oc.iso.gz\nidentity: " + strings.Replace(givenIdentity, "MACOS_ROM", "MACOS_NONE", 1), "workstations.macos.opencore.identity.rom: env:MACOS_NONE: the variable is not set"},
		{"image: DIR/oc.iso.gz\nstorage: nowhere", "homelab.yaml:12:16: loader: VM 130: storage: the node has no storage nowhere"},
		{"image: DIR/oc.iso.gz\nstorage: local-lvm", "loader: VM 130: storage: storage local-lvm is not for images to import: allow it, on the node: pvesm set local-lvm --content"},
	} {
		m.write("install", test.keys)
		for _, command := range []string{"plan", "apply -yes"} {
			m.says(1, command, test.says)
		}
		if len(m.copies()) != 0 || len(m.sim.VMs()) != 0 {
			t.Errorf("%s: copies %q, VMs %v", test.keys, m.copies(), m.sim.VMs())
		}
	}
}

// On a cluster, the copy is planned for each node that may take the VM, and
// uploaded to the node that is chosen. If the page is applied again, nothing
// changes. The VM stays on its node even if the page now names another node.
func TestOpenCoreOnACluster(t *testing.T) { //nolint:paralleltest // the environment is the test's
	m := newMac(t)
	rack, sim := newRack(t)
	m.lab = rack
	m.write("install", "image: DIR/oc.iso.gz\nkexts: DIR/Lilu.kext\nidentity: "+givenIdentity)
	page, err := os.ReadFile(m.page)
	if err != nil {
		t.Fatal(err)
	}
	on := func(node string) {
		t.Helper()
		if err := os.WriteFile(m.page, []byte(strings.Replace(string(page), "  macos:\n", "  linux: {id: 141, profile: linux-ai, memory: 8GiB, node: pve}\n  macos:\n    node: "+node+"\n", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	on("pve2")
	m.says(2, "plan", "VM 130 macos goes to node pve2", "image local:import/oc-", "on node pve2", "a configured copy of "+m.dir+"/oc.iso.gz", "+ Lilu.kext 1.7.2", "iMacPro1,1 -> iMac19,1", "[identity]")
	if len(m.copies()) != 0 {
		t.Fatalf("a plan wrote %q", m.copies())
	}
	m.says(0, "apply -yes", "Done: 4 changes")
	state, _ := sim.Node("pve2").VM(130)
	made := m.copies()
	if len(made) != 1 || !strings.Contains(state.Config["sata4"], "serial=opencore-") || !strings.Contains(m.said, made[0]+" is there") || sim.Where(130) != "pve2" {
		t.Fatalf("copies %q, VM 130 on %q with sata4 %q:\n%s", made, sim.Where(130), state.Config["sata4"], m.said)
	}
	m.says(0, "plan", "nothing to do")
	on("pve3")
	m.says(0, "apply -yes", "it is on node pve2, and was to be on pve3")
	if len(m.copies()) != 1 || sim.Where(130) != "pve2" {
		t.Errorf("copies %q, VM 130 on %q", m.copies(), sim.Where(130))
	}
	page = []byte(strings.Replace(string(page), m.dir+"/Lilu.kext", m.dir+"/WhateverGreen.kext", 1))
	on("pve2")
	m.says(0, "plan", "nothing to do", "(opencore.kept)")
	page = []byte(strings.Replace(string(page), "oc.iso.gz", "gone.iso.gz\n      replace: true", 1))
	on("pve2")
	m.says(1, "plan", "homelab.yaml:13:14: loader: VM 130: image: stat "+m.dir+"/gone.iso.gz")
}

// If the page names no node, the program chooses a node for the VM and prints a
// reason for each node. The copy goes to the chosen node.
func TestOpenCoreIsPlaced(t *testing.T) { //nolint:paralleltest // the environment is the test's
	m := newMac(t)
	rack, sim := newRack(t)
	m.lab = rack
	m.write("install", "image: DIR/oc.iso.gz\nidentity: made-up")
	m.says(0, "apply -yes", "VM 130 macos goes to node pve", "pve2 (not as good)", "Done")
	if made := m.copies(); len(made) != 1 || !strings.HasSuffix(made[0], "-pve-130.raw") || sim.Where(130) != "pve" {
		t.Errorf("copies %q, VM 130 on %q", made, sim.Where(130))
	}
	m.says(0, "apply -yes", "nothing to do")
	m.write("install", "image: DIR/oc.iso.gz\nstorage: nowhere\nreplace: true")
	m.says(1, "plan", "storage: the node has no storage nowhere")
}

// On the embedded cluster, the copy leaves no file beside the image.
func TestOpenCoreOnTheEmbeddedCluster(t *testing.T) {
	m := newMac(t)
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	m.write("install", "image: DIR/oc.iso.gz\nidentity: "+givenIdentity)
	m.says(0, "apply -yes -embedded-nodes 2", "Done", "is there")
	if len(m.copies()) != 0 {
		t.Errorf("copies %q", m.copies())
	}
}
