package pvetest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The table shows how PVE stops a VM (qemu-server PVE/QemuServer.pm,
// _do_vm_stop): whether it asks the agent or uses ACPI, how long it waits, and
// whether the VM still runs afterwards.
func TestShutdown(t *testing.T) {
	t.Parallel()
	const path = "/nodes/pve/qemu/140/status/"
	for name, tt := range map[string]struct {
		config string
		guest  pvetest.Guest
		call   []string // the path below status/, and then the parameters
		exit   string
		takes  time.Duration
		runs   bool
	}{
		"by ACPI":                       {call: []string{"shutdown"}, exit: "OK", takes: 5 * time.Second},
		"by agent":                      {config: "agent:=1", guest: pvetest.Guest{IgnoreACPI: true}, call: []string{"shutdown"}, exit: "OK", takes: 5 * time.Second},
		"slow guest":                    {guest: pvetest.Guest{Shutdown: 40 * time.Second}, call: []string{"shutdown"}, exit: "OK", takes: 40 * time.Second},
		"ignores ACPI":                  {guest: pvetest.Guest{IgnoreACPI: true}, call: []string{"shutdown"}, exit: "VM quit/powerdown failed - got timeout", takes: 60 * time.Second, runs: true},
		"agent that is not there":       {config: "agent:=1", guest: pvetest.Guest{NoAgent: true, IgnoreACPI: true}, call: []string{"shutdown", "timeout", "20"}, exit: "VM quit/powerdown failed - got timeout", takes: 20 * time.Second, runs: true},
		"hangs":                         {guest: pvetest.Guest{Hang: true}, call: []string{"shutdown", "timeout", "5"}, exit: "VM quit/powerdown failed - got timeout", takes: 5 * time.Second, runs: true},
		"hangs, forced":                 {guest: pvetest.Guest{Hang: true}, call: []string{"shutdown", "timeout", "5", "forceStop", "1"}, exit: "OK", takes: 6 * time.Second},
		"agent refuses":                 {config: "agent:=1", guest: pvetest.Guest{Refuse: true}, call: []string{"shutdown"}, exit: "VM quit/powerdown failed", runs: true},
		"agent refuses, forced":         {config: "agent:=1", guest: pvetest.Guest{Refuse: true}, call: []string{"shutdown", "forceStop", "1"}, exit: "OK", takes: time.Second},
		"down time of the VM":           {config: "startup:=order=1,down=7", guest: pvetest.Guest{Hang: true}, call: []string{"shutdown"}, exit: "VM quit/powerdown failed - got timeout", takes: 7 * time.Second, runs: true},
		"locked":                        {config: "lock:=backup", call: []string{"shutdown"}, exit: "VM is locked (backup)", runs: true},
		"stop":                          {guest: pvetest.Guest{Hang: true}, call: []string{"stop"}, exit: "OK", takes: time.Second},
		"stop while locked":             {config: "lock:=migrate", call: []string{"stop"}, exit: "VM is locked (migrate)", runs: true},
		"reboot that the guest ignores": {guest: pvetest.Guest{IgnoreACPI: true}, call: []string{"reboot", "timeout", "4"}, exit: "VM quit/powerdown failed - got timeout", takes: 4 * time.Second, runs: true},
		"suspend to disk with a card":   {config: "hostpci0:=0000:01:00", call: []string{"suspend", "todisk", "1"}, exit: "500 cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state", runs: true},
		"suspend to disk":               {call: []string{"suspend", "todisk", "1"}, exit: "OK"},
		"reset":                         {call: []string{"reset"}, exit: "OK", runs: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(running(140, tt.config))
			host.Guests = map[int]pvetest.Guest{140: tt.guest}
			inBubble(t, host, func(l *lab) {
				time.Sleep(time.Minute) // the guest boots in this time
				began := time.Now()
				if exit := l.task("POST", path+tt.call[0], tt.call[1:]...); exit != tt.exit {
					t.Errorf("it ends with %q, want %q", exit, tt.exit)
				}
				if took := time.Since(began); took < tt.takes || took > tt.takes+2*time.Second {
					t.Errorf("it took %v, want about %v", took, tt.takes)
				}
				if runs := len(l.Running()) == 1; runs != tt.runs {
					t.Errorf("runs afterwards: %v, want %v", runs, tt.runs)
				}
			})
		})
	}
}

// A reboot consists of two tasks. Between them the card is free, and another VM
// can take it.
func TestRebootGivesTheCardAway(t *testing.T) {
	t.Parallel()
	const card = "hostpci0:=0000:01:00"
	inBubble(t, machines(running(140, card), vm(141, card)), func(l *lab) {
		if exit := l.task("POST", "/nodes/pve/qemu/140/status/reboot"); exit != "OK" {
			t.Errorf("reboot: %s", exit)
		}
		if err := l.PowerOn(141); err != nil {
			t.Errorf("the other: %v", err)
		}
		time.Sleep(time.Minute)
		tasks := l.Tasks()
		if last := tasks[len(tasks)-1]; last.Type != "qmstart" || last.Exit != "PCI device '0000:01:00.0' already in use by VMID '141'" {
			t.Errorf("the second half: %v", last)
		}
	})
}

// A shutdown holds the VM's lock. A stop request waits for this lock, and fails
// if it does not get the lock in time. With overrule-shutdown, the stop request
// ends the shutdown instead.
func TestStopDuringAShutdown(t *testing.T) {
	t.Parallel()
	for overrule, want := range map[string][2]string{
		"0": {"can't lock file '/var/lock/qemu-server/lock-140.conf' - got timeout", "VM quit/powerdown failed - got timeout"},
		"1": {"OK", "received interrupt"},
	} {
		host := machines(running(140, ""))
		host.Guests = map[int]pvetest.Guest{140: {Hang: true}}
		inBubble(t, host, func(l *lab) {
			shutdown, _ := l.want("POST", "/nodes/pve/qemu/140/status/shutdown").(string)
			time.Sleep(time.Second)
			if exit := l.task("POST", "/nodes/pve/qemu/140/status/stop", "overrule-shutdown", overrule); exit != want[0] {
				t.Errorf("overrule %s: the stop ends with %q, want %q", overrule, exit, want[0])
			}
			if exit := l.wait(shutdown); exit != want[1] {
				t.Errorf("overrule %s: the shutdown ends with %q, want %q", overrule, exit, want[1])
			}
		})
	}
}

// A request that changes a VM waits for the VM's lock, and continues when the
// lock is free.
func TestAChangeWaitsForTheLock(t *testing.T) {
	t.Parallel()
	for delay, want := range map[time.Duration]int{4 * time.Second: 200, 40 * time.Second: 500} {
		host := machines(running(140, ""))
		host.Guests = map[int]pvetest.Guest{140: {Shutdown: delay}}
		inBubble(t, host, func(l *lab) {
			l.want("POST", "/nodes/pve/qemu/140/status/shutdown")
			time.Sleep(time.Second)
			began := time.Now()
			r := l.do("PUT", "/nodes/pve/qemu/140/config", "cores", "4")
			if r.status != want || want == 500 && r.reason != "can't lock file '/var/lock/qemu-server/lock-140.conf' - got timeout" {
				t.Errorf("after %v: %d %s", delay, r.status, r.reason)
			}
			if took := time.Since(began); took < time.Second || took > 11*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// For a VM under HA, the task only asks the HA manager, which acts later.
func TestHighAvailability(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""))
	host.HA = []int{140}
	inBubble(t, host, func(l *lab) {
		upid, _ := l.want("POST", startPath).(string)
		if exit := l.wait(upid); exit != "OK" || !strings.Contains(upid, ":hastart:140:") {
			t.Errorf("%s ends with %s", upid, exit)
		}
		if len(l.Running()) != 0 {
			t.Error("the VM is up as soon as the task")
		}
		time.Sleep(time.Minute)
		if got := l.Running(); !slices.Equal(got, []int{140}) {
			t.Errorf("running: %v", got)
		}
		if ha, _ := l.object("/nodes/pve/qemu/140/status/current")["ha"].(map[string]any); ha["managed"] != 1.0 || ha["state"] != "started" {
			t.Errorf("ha: %v", ha)
		}
		if exit := l.task("POST", "/nodes/pve/qemu/140/status/stop"); exit != "OK" {
			t.Errorf("stop: %s", exit)
		}
		time.Sleep(time.Minute)
		if exit := l.task("DELETE", "/nodes/pve/qemu/140"); !strings.Contains(exit, "used in HA resources and purge parameter not set") {
			t.Errorf("destroy: %s", exit)
		}
		if exit := l.task("DELETE", "/nodes/pve/qemu/140", "purge", "1"); exit != "OK" || len(l.list("/cluster/ha/resources")) != 0 {
			t.Errorf("purge: %s", exit)
		}
	})
}

func TestPausedVM(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "")), func(l *lab) {
		const path = "/nodes/pve/qemu/140/status/"
		if exit := l.task("POST", path+"suspend"); exit != "OK" || l.object(path + "current")["qmpstatus"] != "paused" {
			t.Errorf("suspend: %s", exit)
		}
		for _, call := range []string{"shutdown", "reboot"} {
			if r := l.do("POST", path+call); r.status != 500 || r.reason != "VM is paused - cannot shutdown" {
				t.Errorf("%s: %v", call, r)
			}
		}
		if exit := l.task("POST", path+"resume"); exit != "OK" || l.object(path + "current")["qmpstatus"] != "running" {
			t.Errorf("resume: %s", exit)
		}
	})
}
