package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func observe(t *testing.T, sim *pvetest.Node) workstation.Facts {
	t.Helper()
	facts, err := open(sim).Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func ids(findings []proxstation.Finding) string {
	var list []string
	for _, f := range findings {
		list = append(list, f.ID)
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func TestAdvise(t *testing.T) {
	t.Parallel()
	quiet := both.Advise(observe(t, pvetest.New(pair(), nil)))
	if got := ids(quiet); got != "" {
		t.Errorf("a good pair: %s", got)
	}
	host := pair()
	host.VMs[0].Config["onboot"], host.VMs[1].Config["onboot"] = "1", "1"
	host.VMs[0].Config["ostype"] = "win11"
	delete(host.VMs[1].Config, "agent")
	host.Backups = []pvetest.BackupJob{
		{ID: "nightly", Schedule: "02:00", All: true, Mode: "stop", Enabled: true, Storage: "local"},
		{ID: "snapshots", Schedule: "03:00", VMIDs: "140", Mode: "snapshot", Enabled: true, Storage: "local"},
		{ID: "off", Schedule: "03:00", VMIDs: "140", Mode: "stop", Storage: "local"},
		{ID: "others", Schedule: "03:00", VMIDs: "1400", Mode: "stop", Enabled: true, Storage: "local"},
		{ID: "all but", Schedule: "04:00", All: true, Exclude: "140 ,141", Mode: "stop", Enabled: true, Storage: "local"},
		{ID: "elsewhere", Schedule: "04:00", All: true, Node: "pve2", Mode: "stop", Enabled: true, Storage: "local"},
		{ID: "gamers", Schedule: "04:00", Pool: "gamers", Enabled: true, Storage: "local"},
		{ID: "offices", Schedule: "04:00", Pool: "offices", Mode: "stop", Enabled: true, Storage: "local"},
		{ID: "hidden", Schedule: "04:00", Pool: "hidden", Mode: "stop", Enabled: true, Storage: "local"},
	}
	host.VMs = append(host.VMs, pvetest.VM{ID: 150, Config: map[string]string{"name": "office", "ostype": "win11", "memory": "512"}})
	host.Pools = map[string][]int{"gamers": {140}, "offices": {150}}
	findings := both.Advise(observe(t, pvetest.New(host, nil)))
	if got := ids(findings); got != "gpu.onboot-race switch.backup switch.backup-off switch.fast-startup switch.no-agent" {
		t.Errorf("findings %s", got)
	}
	blind := observe(t, pvetest.New(host, nil))
	for i := range blind.Backups {
		blind.Backups[i].VMs = nil // a login that may not see pools does not see the VMs in them
	}
	if findings := both.Advise(workstation.Facts{Backups: blind.Backups[len(blind.Backups)-1:]}); ids(findings) != "switch.backup-unknown" {
		t.Errorf("of a pool that the login does not see: %v", findings)
	}
	jobs := map[string]string{}
	for _, f := range findings {
		jobs[f.Subject] += f.ID + " "
	}
	for job, want := range map[string]string{"nightly": "switch.backup-off switch.backup ", "snapshots": "switch.backup-off ", "off": "", "others": "",
		"all but": "", "elsewhere": "", "gamers": "switch.backup-off ", "offices": "", "hidden": ""} {
		if got := jobs["backup job "+job]; got != want {
			t.Errorf("backup job %s: %q, want %q", job, got, want)
		}
	}
}

func TestStartWithHost(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Config["onboot"], host.VMs[1].Config["onboot"] = "1", "1"
	sim := pvetest.New(host, nil)
	plan, err := both.StartWithHost(observe(t, sim), 141)
	if err != nil {
		t.Fatal(err)
	}
	if err := open(sim).Apply(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int]string{140: "0", 141: "1"} {
		if state, _ := sim.VM(id); state.Config["onboot"] != want {
			t.Errorf("VM %d: onboot %q, want %q", id, state.Config["onboot"], want)
		}
	}
	if again, err := both.StartWithHost(observe(t, sim), 141); err != nil || !again.Empty() {
		t.Errorf("again: %v, %v", again, err)
	}
	if _, err := both.StartWithHost(observe(t, sim), 150); !errors.Is(err, workstation.ErrInvalid) {
		t.Errorf("a VM that is no member: %v", err)
	}
}

func TestSwitchOfAVMUnderHAIsBlocked(t *testing.T) {
	t.Parallel()
	host := pair()
	host.HA = []int{141}
	facts := observe(t, pvetest.New(host, nil))
	if got := ids(workstation.Preflight(both, 141, facts)); got != "switch.ha" {
		t.Errorf("to a VM under HA: %s", got)
	}
}

func TestSwitchStartsNothingWithACardThatIsNotHealthy(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		db := both
		db.Healthy = func(context.Context) error { return errors.New("config space reads ff") }
		err := node.Switch(t.Context(), db, 141, nil)
		var failed *workstation.SwitchError
		if !errors.As(err, &failed) || failed.Phase != workstation.PhaseFree || failed.Running != 0 || !strings.Contains(err.Error(), "reads ff") {
			t.Errorf("error %v", err)
		}
		wantRunning(t, sim)
		db.Healthy = nil
		if err := node.Switch(t.Context(), db, 140, nil); err != nil {
			t.Fatal(err)
		}
		asked := 0
		db.Healthy = func(context.Context) error { // a card that failed once is not trusted when it answers again
			if asked++; asked == 1 {
				return errors.New("config space reads ff")
			}
			return nil
		}
		if err := node.Switch(t.Context(), db, 141, nil); !errors.As(err, &failed) || failed.Running != 0 {
			t.Errorf("a card that answers again: %v", err)
		}
		wantRunning(t, sim)
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pair(), nil)
		var seen []string
		for status, err := range open(sim).Watch(t.Context(), both, time.Minute) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, fmt.Sprint(status.Running, " ", status.For.Round(time.Minute), " ", status.Members[1].CanStart))
			if len(seen) == 2 {
				if err := sim.PowerOff(140); err != nil {
					t.Fatal(err)
				}
			}
			if len(seen) == 3 {
				break
			}
		}
		if got := strings.Join(seen, ", "); got != "140 0s yes, 140 1m0s yes, 0 0s yes" {
			t.Errorf("seen %s", got)
		}
	})
}
