package workstation_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A switch gives no VM a device that the host itself depends on, whichever name
// the VM's configuration uses for the device.
func TestSwitchKeepsWhatTheHostRunsOn(t *testing.T) {
	t.Parallel()
	add := func(functions ...pvetest.PCI) func(*pvetest.Host) {
		return func(h *pvetest.Host) { h.PCI = append(slices.Clone(h.PCI), functions...) }
	}
	nvme := pvetest.PCI{Address: "0000:05:00.0", Class: 0x010802, Vendor: 0x144d, Device: 0xa808, Group: 30}
	nic := pvetest.PCI{Address: "0000:06:00.0", Class: 0x020000, Vendor: 0x8086, Device: 0x1533, Group: 31}
	hang := func(path string) pvetest.Fault {
		return pvetest.Fault{Path: path, Kind: pvetest.ProxyTimeout, Times: -1}
	}
	for name, test := range map[string]struct {
		key, value string // a setting of VM 141
		host       func(*pvetest.Host)
		fault      pvetest.Fault
		want       string // the finding, "" for none
		severity   proxstation.Severity
		seen       string
	}{
		"the card alone":        {"tags", "x", nil, pvetest.Fault{}, "", 0, ""},
		"the host's NVMe disk":  {"hostpci1", "0000:02:00.0,pcie=1,rombar=0", nil, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"the host's SATA disks": {"hostpci1", "00:17.0", nil, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:00:17.0"},
		"by args":               {"args", "-device vfio-pci,host=0000:02:00.0,id=x", nil, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"by args in JSON":       {"args", `-device '{"driver":"vfio-pci","host":"0000:02:00.0"}'`, nil, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"by args and sysfs":     {"args", "-device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:02:00.0", nil, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"a USB device in args":  {"args", "-device usb-host,hostbus=1,hostaddr=2", nil, pvetest.Fault{}, "", 0, ""},
		"by a mapping": {"hostpci1", "mapping=disk", func(h *pvetest.Host) {
			h.Mappings = append(slices.Clone(h.Mappings), pvetest.Mapping{ID: "disk", Map: []string{"node=pve,path=0000:02:00.0,id=126f:2262,iommugroup=13,subsystem-id=126f:2262"}})
		}, pvetest.Fault{}, "switch.host-storage", proxstation.Blocker, "0000:02:00.0"},
		"disks that are not told":               {"hostpci1", "0000:02:00.0", nil, hang("/nodes/pve/disks/list"), "switch.host-storage", proxstation.Warning, "0000:02:00.0"},
		"one of two NVMe disks":                 {"hostpci1", "0000:05:00.0", add(nvme), pvetest.Fault{}, "switch.host-storage", proxstation.Warning, "0000:05:00.0"},
		"an NVMe disk that the host has not":    {"hostpci1", "0000:05:00.0", func(h *pvetest.Host) { add(nvme)(h); h.Disks = h.Disks[1:] }, pvetest.Fault{}, "", 0, ""},
		"the only network card":                 {"hostpci1", "0000:00:1f.6", nil, pvetest.Fault{}, "switch.host-network", proxstation.Blocker, "0000:00:1f.6"},
		"the network card, with a sound card":   {"hostpci1", "0000:00:1f.3", nil, pvetest.Fault{}, "switch.host-network", proxstation.Blocker, "0000:00:1f.6"},
		"the network card of the bridge":        {"hostpci1", "0000:00:1f.6", add(nic), pvetest.Fault{}, "switch.host-network", proxstation.Blocker, "It is eno1"},
		"another network card":                  {"hostpci1", "0000:06:00.0", add(nic), pvetest.Fault{}, "switch.host-network", proxstation.Warning, "0000:06:00.0"},
		"a network card, and no bridge is told": {"hostpci1", "0000:00:1f.6", add(nic), hang("/nodes/pve/network"), "switch.host-network", proxstation.Warning, "0000:00:1f.6"},
		"the only USB controller":               {"hostpci1", "0000:00:14.0", nil, pvetest.Fault{}, "switch.host-usb", proxstation.Warning, "0000:00:14.0"},
		"x-vga for what shows nothing":          {"hostpci1", "0000:00:14.0,x-vga=1", nil, pvetest.Fault{}, "switch.no-display", proxstation.Blocker, "names no display"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pair()
			host.VMs[1].Config[test.key] = test.value
			if test.host != nil {
				test.host(&host)
			}
			scenario(t, host, func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
				time.Sleep(time.Minute)
				if test.fault.Path != "" {
					sim.Inject(test.fault)
				}
				node := patient(sim, nil)
				status, err := node.Status(t.Context(), both)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(status.Members[1].Why, func(f proxstation.Finding) bool { return f.ID == test.want })
				found := slices.ContainsFunc(status.Members[1].Why, func(f proxstation.Finding) bool {
					return strings.HasPrefix(f.ID, "switch.host-") || f.ID == "switch.no-display"
				})
				if test.want == "" && found || test.want != "" && i < 0 {
					t.Fatalf("findings %v", status.Members[1].Why)
				}
				if test.want != "" {
					if f := status.Members[1].Why[i]; f.Severity != test.severity || !strings.Contains(fmt.Sprint(f), test.seen) || !strings.Contains(f.Subject, "VM 141") || !strings.Contains(f.Subject, test.key) {
						t.Errorf("%+v", f)
					}
				}
				if test.severity == proxstation.Blocker {
					if err := node.Switch(t.Context(), both, 141, nil); !errors.Is(err, workstation.ErrBlocked) || len(changes(sim)) > 0 {
						t.Errorf("the switch: %v", err)
					}
					wantRunning(t, sim, 140)
				}
			})
		})
	}
}

// A VM outside the set may have the card through its args. Such a VM stops a
// switch, although PVE's reservations do not show it.
func TestAnOutsiderThatHasTheCardByArgs(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Running = false
	host.VMs = append(host.VMs, pvetest.VM{ID: 130, Running: true, Config: map[string]string{"name": "tahoe", "memory": "512", "machine": "q35",
		"args": "-device 'vfio-pci,host=0000:01:00.0,id=hostpci0.0,x-vga=on,multifunction=on' -device 'vfio-pci,host=0000:01:00.1,id=hostpci0.1'"}})
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		var blocked *workstation.BlockedError
		if err := node.Switch(t.Context(), both, 140, nil); !errors.As(err, &blocked) || ids(blocked.Findings) != "switch.outsider" || !strings.Contains(err.Error(), "VM 130 tahoe") {
			t.Errorf("%v", err)
		}
		facts := observe(t, sim)
		if n := len(facts.PCI().Conflicts(facts.Claims())); n != 3 {
			t.Errorf("%d conflicts, want each pair of the three: %v", n, facts.PCI().Conflicts(facts.Claims()))
		}
	})
}

// If a Spec gives a VM the host's own disk, Diff reports it before anything
// changes.
func TestDiffKeepsWhatTheHostRunsOn(t *testing.T) {
	t.Parallel()
	spec := dualBootSpec()
	spec.VMs[0].Config["hostpci1"] = "0000:02:00.0,pcie=1"
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	plan, err := workstation.Diff(spec, facts)
	if err != nil || proxstation.Worst(plan.Findings) != proxstation.Blocker || !strings.Contains(ids(plan.Findings), "switch.host-storage") {
		t.Errorf("%v, %v", plan.Findings, err)
	}
}
