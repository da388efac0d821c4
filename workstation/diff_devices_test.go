package workstation_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A plan is refused if it would take from the host a device that the host
// needs. If nobody knows whether the host needs the device, the plan only
// warns.
func TestDevicesThatTheHostNeeds(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	facts.RootTicket = proxstation.Yes
	without := facts
	without.Disks = nil
	for name, test := range map[string]struct {
		facts    workstation.Facts
		device   string
		has      bool // the VM has the device already
		id       string
		severity proxstation.Severity
		seen     string
	}{
		"the host's NVMe disk":     {facts, "0000:02:00.0", false, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"one that the VM has":      {facts, "0000:02:00.0", true, "switch.host-storage", proxstation.Warning, "0000:02:00.0"},
		"disks that were not read": {without, "0000:02:00.0", false, "switch.host-storage", proxstation.Warning, "0000:02:00.0"},
		"a USB controller's group": {facts, "0000:00:14.0", false, "switch.host-usb", proxstation.Warning, "0000:00:14.0"},
		"the graphics card, whole": {facts, "0000:01:00", false, "", 0, ""},
		"a card that nobody knows": {facts, "0000:09:00.0", false, "", 0, ""},
		"the host's SATA disks":    {facts, "0000:00:17.0", false, "switch.host-storage", proxstation.Blocker, "0000:00:17.0"},
	} {
		vm := profile.LinuxAI{ID: 300, Name: "own", Install: "local:iso/ubuntu-24.04.3-live-server-amd64.iso"}.VM()
		vm.Config["hostpci1"] = test.device
		now := test.facts
		if test.has {
			now.VMs = map[int]workstation.VMFacts{300: {ID: 300, Name: "own", Config: map[string]string{"name": "own", "machine": "q35", "hostpci1": test.device,
				"ide2": "local:iso/ubuntu-24.04.3-live-server-amd64.iso,media=cdrom"}}}
		}
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}, Place: &storage.PlaceOptions{}}, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := proxstation.Finding{}
		for _, f := range p.Findings {
			if strings.HasPrefix(f.ID, "switch.host-") && (found.ID == "" || f.Severity > found.Severity) {
				found = f
			}
		}
		if found.ID != test.id || found.ID != "" && (found.Severity != test.severity || !strings.Contains(found.Seen, test.seen)) {
			t.Errorf("%s: %v, want %s %s", name, found, test.severity, test.id)
		}
	}
}

// A new device gets a free key, whether a VM gets the whole device or a share
// of it. The keys that a VM already has stay.
func TestDevicesAndSharesFindTheirKeys(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	facts.RootTicket = proxstation.Yes
	tuning := profile.Tuning{Devices: []string{"0000:00:14.0"}, Shares: []string{"models", "games"}, USB: []string{"046d:C52B", "keyboard", "1-2"}}
	vm := profile.LinuxAI{ID: 300, Name: "own", Tuning: tuning}.VM()
	for name, test := range map[string]struct{ have, want map[string]string }{
		"beside others": {map[string]string{"machine": "q35", "hostpci1": "0000:01:00,pcie=1", "virtiofs0": "games,cache=always", "virtiofs1": "films",
			"usb0": "spice", "usb1": "host=0x046d:0xc52b,usb3=1", "usb2": "mapping=mouse"},
			map[string]string{"hostpci0": "0000:00:14.0,pcie=1", "virtiofs2": "dirid=models", "usb3": "mapping=keyboard", "usb4": "host=1-2"}},
		"there already": {map[string]string{"machine": "q35", "hostpci3": "0000:00:14.0", "virtiofs4": "dirid=models", "virtiofs1": "games", "usb2": "host=046d:c52b,usb3=1",
			"usb3": "host=1-2", "usb4": "mapping=keyboard"}, nil},
		"on i440fx": {map[string]string{"virtiofs0": "models", "virtiofs1": "games", "usb0": "host=046d:c52b", "usb1": "mapping=keyboard", "usb2": "host=1-2"},
			map[string]string{"hostpci1": "0000:00:14.0"}},
	} {
		test.have["name"] = "own"
		facts.VMs = map[int]workstation.VMFacts{300: {ID: 300, Name: "own", Config: test.have}}
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		set := map[string]string{}
		for _, step := range p.Steps {
			if change, ok := step.(workstation.ChangeVM); ok {
				maps.Copy(set, change.Set)
			}
		}
		if !maps.Equal(set, test.want) {
			t.Errorf("%s: %v, want %v", name, set, test.want)
		}
	}
}

// If all usb keys of a VM are in use, a new device does not replace an existing
// device.
func TestNoKeyIsLeftForADevice(t *testing.T) {
	t.Parallel()
	have := map[string]string{"name": "own", "ostype": "l26"}
	for i := range 14 {
		have[fmt.Sprint("usb", i)] = fmt.Sprintf("host=1-%d", i+1)
	}
	facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{300: {ID: 300, Name: "own", Config: have}}}
	vm := workstation.VM{ID: 300, Name: "own", Guest: gpu.Linux, Config: map[string]string{"usb0": "host=046d:c52b"}}
	if _, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts); !errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), "no usb key left") {
		t.Errorf("%v", err)
	}
}

// A VM names a mapping that the login may not see. The plan reports this
// mapping as unknown, and gives a new card another hostpci key.
func TestMappingThatNobodySees(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	facts.VMs = map[int]workstation.VMFacts{300: {ID: 300, Name: "own", Config: map[string]string{"name": "own", "machine": "q35", "ostype": "l26", "hostpci0": "mapping=ghost,pcie=1"}}}
	spec := workstation.Spec{Mappings: []workstation.CardMapping{{ID: "rtx", Card: rtx}}, VMs: []workstation.VM{profile.LinuxAI{ID: 300, Name: "own", Card: "rtx"}.VM()}}
	p, err := workstation.Diff(spec, facts)
	if err != nil {
		t.Fatal(err)
	}
	if !hasFindings(p, "workstation.mapping-unknown") || stepKeys(p) != "pve hostpci1" {
		t.Errorf("%s", p)
	}
	facts.Mappings = []gpu.Mapping{{ID: "ghost"}}
	if p, err = workstation.Diff(spec, facts); err != nil || hasFindings(p, "workstation.mapping-unknown") {
		t.Errorf("%v: %s", err, p)
	}
}
