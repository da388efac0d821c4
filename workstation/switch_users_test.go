package workstation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Other users of the card appear in the status and in the advice, but they do
// not stop a switch.
func TestWhoElseUsesTheCard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config map[string]string // the configuration of container 200
		igpu   bool              // whether VM 141 has the iGPU in place of the NVIDIA card
		seen   string            // part of the finding; "" if nobody else uses the card
	}{
		"a container of other things":           {config: map[string]string{"dev0": "/dev/ttyUSB0", "mp0": "/tank/media,mp=/media", "description": "/dev/nvidia0"}},
		"the NVIDIA card by a dev key":          {config: map[string]string{"dev0": "/dev/nvidia0,gid=44"}, seen: "/dev/nvidia0"},
		"the NVIDIA card by a mount entry":      {config: map[string]string{"lxc": "lxc.cgroup2.devices.allow: c 195:* rwm\nlxc.mount.entry: /dev/nvidia-uvm dev/nvidia-uvm none bind,optional,create=file"}, seen: "/dev/nvidia-uvm"},
		"the iGPU, and the VMs share another":   {config: map[string]string{"dev0": "/dev/dri/renderD128,gid=104"}},
		"the iGPU that VM 141 takes":            {config: map[string]string{"lxc": "lxc.mount.entry: /dev/dri dev/dri none bind,optional,create=dir"}, igpu: true, seen: "/dev/dri"},
		"the NVIDIA card, and the iGPU is ours": {config: map[string]string{"dev0": "/dev/nvidia0"}, igpu: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pair()
			host.Containers, host.ContainerConfigs = map[int]string{200: "plex"}, map[int]map[string]string{200: test.config}
			if test.igpu {
				host.VMs[1].Config["hostpci0"] = "0000:00:02.0"
			}
			sim := pvetest.New(host, nil)
			status, err := patient(sim, nil).Status(t.Context(), both)
			if err != nil || status.Members[1].CanStart != proxstation.Yes {
				t.Fatalf("%+v, %v", status, err)
			}
			for what, findings := range map[string][]proxstation.Finding{"status": status.Members[1].Why, "advice": both.Advise(observe(t, sim))} {
				findings = slices.DeleteFunc(slices.Clone(findings), func(f proxstation.Finding) bool {
					return f.ID != "switch.container" || test.igpu && strings.Contains(f.Why, "VM 140")
				})
				said := fmt.Sprint(findings)
				if (len(findings) > 0) != (test.seen != "") || !strings.Contains(said, test.seen) || test.seen != "" && !strings.Contains(said, "container 200 plex") {
					t.Errorf("%s: %s", what, said)
				}
			}
		})
	}
}

// A container that cannot be read, a hookscript, and the host's own driver on
// the card are reported.
func TestOtherUsersOfTheCard(t *testing.T) {
	t.Parallel()
	host := pair()
	host.Containers = map[int]string{200: "plex"}
	host.VMs[1].Config["hookscript"] = "local:snippets/hook.sh"
	for i := range host.Storages {
		if host.Storages[i].Name == "local" {
			host.Storages[i].Volumes = append(slices.Clone(host.Storages[i].Volumes), pvetest.Volume{Name: "snippets/hook.sh", Size: 100, Format: "snippet"})
		}
	}
	sim := pvetest.New(host, nil)
	facts := observe(t, sim)
	if got := both.Advise(facts); !strings.Contains(ids(got), "switch.hookscript") {
		t.Errorf("a hookscript: %v", got)
	}
	for i := range facts.IOMMU.Functions {
		if facts.IOMMU.Functions[i].Address == rtx {
			facts.IOMMU.Functions[i].Driver = "nvidia"
		}
	}
	if got := fmt.Sprint(workstation.Preflight(both, 141, facts)); !strings.Contains(got, "nvidia has 0000:01:00") || !strings.Contains(got, "drivers_probe") {
		t.Errorf("the host's driver: %s", got)
	}
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/lxc/200/config", Kind: pvetest.ProxyTimeout, Times: -1})
	if again := observe(t, sim); !strings.Contains(fmt.Sprint(again.Unknown), "container 200 plex") {
		t.Errorf("a container that cannot be read: %v", again.Unknown)
	}
}
