package workstation_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// A rightSwitch is the expected outcome of a switch between the VMs of a case.
type rightSwitch struct {
	blocked  string // the IDs of the blockers of Preflight; if there is a blocker, a switch does nothing
	findings string // IDs that must be among the findings or the advice
	ends     string // part of the error; "" if the switch succeeds
	running  []int  // the VMs that run after the switch
}

var rightSwitches = map[string]rightSwitch{
	"14-smart-hang-596":                   {"", "", "", []int{141}},
	"17-privileges-on-two-vms-only":       {"", "switch.no-storage", "", []int{141}}, // the finding is about a storage that the login may not see
	"19-vfio-in-args":                     {"switch.outsider", "", "is blocked", []int{130}},
	"20-mapping-without-group":            {"gpu.mapping-group gpu.mapping-subsystem", "", "missing expected property 'iommugroup'", nil},
	"23-start-got-timeout-lock":           {"", "", "got timeout; VM 140 runs again", []int{140}},
	"24-start-warnings":                   {"", "", "", []int{141}},
	"25-stuck-in-d3-after-stop":           {"", "switch.card-lost", "none of the VMs is running; the way back failed too", nil},
	"26-windows-ignores-acpi-asleep":      {"", "switch.closing switch.no-agent", "was asked to shut down and may be off later", []int{140}},
	"27-hookscript-flips-driver":          {"", "switch.hookscript", "", []int{141}},
	"29-macos-legacy-igd-on-q35":          {"switch.hostpci", "", "needs the machine type pc (i440fx)", nil},
	"33-usb-and-nvme-controller":          {"switch.host-storage", "switch.host-usb gpu.takes-along", "The host uses /dev/nvme0 on it", []int{141}},
	"35-pve7-no-mapping":                  {"", "", "", []int{141}},
	"37-hibernated-vm":                    {"", "switch.hibernated", "", []int{141}},
	"39-three-gpus-hive":                  {"", "gpu.partial-card", "", []int{151}},
	"40-windows-updates-at-shutdown":      {"", "switch.closing", "Windows may be installing updates", []int{140}},
	"41-upid-with-chatter":                {"", "", "VM 140 runs again", []int{140}}, // nothing was started, whatever the answer says
	"43-pending-agent-and-hotplug-memory": {"", "", "", []int{141}},
}

// TestCaseSwitches judges and then performs the switch of each case that has
// one.
func TestCaseSwitches(t *testing.T) {
	t.Parallel()
	for _, dir := range caseDirs(t) {
		if c := readCase(t, dir); len(c.DualBoot) == 0 {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { readCase(t, dir).switches(t) })
		})
	}
}

func (c vmCase) switches(t *testing.T) {
	right, known := rightSwitches[filepath.Base(c.dir)]
	if !known {
		t.Error("nobody says what is right")
	}
	sim, node := c.connect(t)
	for _, fault := range c.Faults {
		sim.Inject(fault)
	}
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := workstation.DualBoot{Members: c.DualBoot, Owner: "test", Grace: duration(t, c.Grace), Boot: duration(t, c.Boot)}
	findings := workstation.Preflight(db, c.To, facts)
	var blocked, all []string
	for _, f := range findings {
		if f.Severity == proxstation.Blocker {
			blocked = append(blocked, f.ID)
		}
		all = append(all, f.ID)
	}
	slices.Sort(blocked)
	if got := strings.Join(slices.Compact(blocked), " "); got != right.blocked {
		t.Errorf("preflight blocks with %q, want %q\n%v", got, right.blocked, findings)
	}
	for _, f := range db.Advise(facts) {
		all = append(all, f.ID)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	err = node.Switch(ctx, db, c.To, nil)
	if failed, is := errors.AsType[*workstation.SwitchError](err); is {
		for _, f := range failed.Advice {
			all = append(all, f.ID)
		}
	}
	if (err == nil) != (right.ends == "") || err != nil && !strings.Contains(err.Error(), right.ends) {
		t.Errorf("the switch ends with %v, want %q", err, right.ends)
	}
	for _, id := range strings.Fields(right.findings) {
		if !slices.Contains(all, id) {
			t.Errorf("no finding %s among %v", id, all)
		}
	}
	if got := sim.Running(); !slices.Equal(got, right.running) {
		t.Errorf("%v run, want %v", got, right.running)
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
