package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

// macPage returns the reference page with other lines for OpenCore.
func macPage(t *testing.T, lines string) *Source {
	t.Helper()
	text, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	source, err := Parse("p.yaml", []byte(strings.Replace(string(text), "opencore: local:import/opencore-osx-proxmox-vm.raw", lines, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// Spec uses the planned copy as the boot loader of the workstation. Without a
// planned copy, Spec reports an error at the key of the image.
func TestLoaders(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "oc.iso")
	if err := os.WriteFile(image, opencoretest.New(opencoretest.Config).FAT(12, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	facts := observed(t)
	numbers := func(r Reference) (proxstation.Secret, error) {
		known := map[Reference]string{"env:SERIAL": "C02XW0AAJV3Q", "env:MLB": "C02834707ABLNV9AX", "env:ID": "6D3BCE8A-9B3C-4E5A-8C57-6C2E9AB5E0F1", "env:ROM": "0a1b2c3d4e5f"}
		if text, there := known[r]; there {
			return proxstation.NewSecret(text), nil
		}
		return secrets(r)
	}
	source := macPage(t, "opencore: {image: "+image+", kexts: a.zip, storage: local, identity: {serial: env:SERIAL, mlb: env:MLB, uuid: env:ID, rom: env:ROM}}")
	if _, err := source.Spec(facts, secrets); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "p.yaml:26:23: workstations.macos.opencore.image: a configured copy of the image has to be planned first") {
		t.Errorf("without a copy: %v", err)
	}
	if _, err := source.Loaders(facts, secrets); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "workstations.macos.opencore.identity.serial: env:SERIAL: there is no such secret") {
		t.Errorf("without the numbers: %v", err)
	}
	loaders, err := source.Loaders(facts, numbers)
	if err != nil || len(loaders) != 1 || loaders[0].Workstation != "macos" {
		t.Fatalf("%+v, %v", loaders, err)
	}
	s := loaders[0].Source
	if s.Image != image || !slices.Equal(s.Kexts, []string{"a.zip"}) || s.Storage != "local" || s.Lacks != "" || s.Identity.Serial.Reveal() != "C02XW0AAJV3Q" || s.Identity.Board.IsZero() || s.Identity.UUID.IsZero() || s.Identity.ROM.IsZero() {
		t.Errorf("source %+v", s)
	}
	if mac := loaders[0].Mac; mac.Mode != profile.IGPULegacy || mac.Mapping != "igpu" || len(mac.Card.Functions) == 0 {
		t.Errorf("profile %+v", mac)
	}
	s.Kexts = nil
	made, err := s.Plan(loaders[0].Mac, facts)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := source.Spec(facts, numbers, made)
	if err != nil {
		t.Fatal(err)
	}
	vm := spec.VMs[0]
	i := slices.IndexFunc(vm.Disks, func(d workstation.Disk) bool { return d.Import == made.Volume })
	if i < 0 || !strings.HasPrefix(vm.Disks[i].Options["serial"], "opencore-") || !slices.ContainsFunc(vm.Notes, func(f proxstation.Finding) bool { return f.ID == "opencore.image" }) {
		t.Errorf("%s is not in %+v", made.Volume, vm)
	}
	// The VM exists, so Loaders returns no error, although no number of the
	// identity is known. The field Lacks names a missing number.
	facts.VMs = map[int]workstation.VMFacts{130: {Name: "macos", Config: map[string]string{"sata4": "local-lvm:vm-130-disk-2", "boot": "order=sata4"}}}
	if loaders, err = source.Loaders(facts, secrets); err != nil || loaders[0].Source.Lacks == "" {
		t.Errorf("%+v, %v", loaders, err)
	}
}

// With some boards, no monitor connector works under macOS. The VM then gets
// the mode headless, and a finding names the reason and the drawback. A mode on
// the page takes precedence.
func TestModeFollowsFacts(t *testing.T) {
	t.Parallel()
	facts := observed(t)
	i := slices.IndexFunc(facts.IOMMU.Functions, func(f iommu.Function) bool { return f.Address.String() == "0000:00:1f.0" })
	if i < 0 {
		t.Fatal("the reference host has no LPC bridge")
	}
	facts.IOMMU.Functions = slices.Clone(facts.IOMMU.Functions)
	facts.IOMMU.Functions[i].Model = iommu.Model{Vendor: gpu.Intel, Device: 0x4387}
	for _, test := range []struct{ name, line, mode, seen string }{
		{"500 series", "opencore: local:import/opencore-osx-proxmox-vm.raw", "q35", "mode of the iGPU is headless. The board's chipset"},
		{"as the page says", "opencore: local:import/opencore-osx-proxmox-vm.raw\n    mode: legacy", "pc", ""},
	} {
		spec, err := macPage(t, test.line).Spec(facts, secrets)
		if err != nil {
			t.Fatal(err)
		}
		notes := spec.VMs[0].Notes
		if have := spec.VMs[0].Defaults["machine"]; have != test.mode || (len(notes) == 1) != (test.seen == "") || !strings.Contains(notes[len(notes)-1].Seen, test.seen) {
			t.Errorf("%s: machine %s, notes %+v", test.name, have, notes)
		}
	}
}

// Parse accepts the page in docs/macos.md.
func TestPageInTheDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/macos.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	page, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/macos.md has no page")
	}
	source, err := Parse("docs/macos.md", []byte("cards: {igpu: {address: \"0000:00:02.0\"}}\n"+page))
	if err != nil {
		t.Fatal(err)
	}
	o := source.Page.Workstations["macos"].(*MacOS).OpenCore
	if o.Image == "" || len(o.Kexts) != 2 || o.Identity.ROM != "env:MACOS_ROM" {
		t.Errorf("%+v", o)
	}
}

// Two workstations that may run at the same time cannot be the same Mac.
func TestSharedIdentity(t *testing.T) {
	t.Parallel()
	mac := func(id int) string {
		return fmt.Sprintf("{id: %d, profile: macos, card: c, opencore: {image: oc.iso, identity: {serial: env:A, mlb: env:B, uuid: env:C, rom: env:D}}}", id)
	}
	page := "cards: {c: {address: \"0000:00:02.0\"}}\nworkstations:\n  one: " + mac(130) + "\n  two: " + mac(131) + "\n"
	for text, want := range map[string]string{
		page: "p.yaml:4:88: workstations.two.opencore.identity.serial: one has this serial number too",
		page + "dualboot: {macs: {members: [one, two]}}\n": "",
	} {
		_, err := Parse("p.yaml", []byte(text))
		if err == nil != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
