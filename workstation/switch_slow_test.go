package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// wantNoPlugPulled fails the test if a VM was stopped in any way other than a
// shutdown by its guest.
func wantNoPlugPulled(t *testing.T, sim *pvetest.Node) {
	t.Helper()
	for _, r := range sim.Trace() {
		if strings.HasSuffix(r.Path, "/status/stop") || r.Params["forceStop"] == "1" {
			t.Errorf("a plug was pulled: %s %v", r, r.Params)
		}
	}
}

// windowsPair returns the same host as pair(), but the guest of VM 140 is
// Windows 11.
func windowsPair() pvetest.Host {
	host := pair()
	host.VMs[0].Config["ostype"] = "win11"
	return host
}

// Windows takes ten minutes to shut down, because it installs updates.
func TestWindowsInstallsUpdatesAsItShutsDown(t *testing.T) {
	t.Parallel()
	scenario(t, windowsPair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.SetGuest(140, pvetest.Guest{Shutdown: 10 * time.Minute})
		err := node.Switch(t.Context(), both, 141, nil)
		var failed *workstation.SwitchError
		if !errors.As(err, &failed) || failed.Running != 140 || !failed.Closing || failed.Returned || !errors.Is(err, workstation.ErrTimeout) {
			t.Fatalf("%v: %+v", err, failed)
		}
		for _, want := range []string{"VM 140 is still running, but was asked to shut down and may be off later", "Windows may be installing updates", "Wait until VM 140 is off"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		wantRunning(t, sim, 140)
		if err := node.Switch(t.Context(), both, 141, nil); err == nil {
			t.Error("a second switch gets there before Windows is off")
		}
		time.Sleep(10 * time.Minute)
		wantRunning(t, sim)
		if err := node.Switch(t.Context(), both, 141, nil); err != nil {
			t.Errorf("a later switch: %v", err)
		}
		wantRunning(t, sim, 141)
		wantNoPlugPulled(t, sim)
	})
}

// If a guest's agent refuses to shut down, the error does not claim that the
// guest is shutting down.
func TestAGuestThatRefusesIsNotClosing(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.SetGuest(140, pvetest.Guest{Refuse: true})
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), both, 141, nil); !errors.As(err, &failed) || failed.Running != 140 || failed.Closing {
			t.Errorf("%v", err)
		}
	})
}

// If a guest has started but is not up in time, the caller's options decide
// whether the switch shuts it down.
func TestAGuestThatIsNotUpInTime(t *testing.T) {
	t.Parallel()
	slow := pvetest.Guest{Boot: time.Hour}
	hung := pvetest.Guest{Boot: time.Hour, Hang: true}
	for name, test := range map[string]struct {
		choice                  bool
		force                   bool
		guest                   pvetest.Guest
		running                 int
		returned, closing, plug bool
		says                    string
	}{
		"it keeps the card":                       {guest: slow, running: 141, says: "VM 141 is running and keeps the card. Windows may be installing updates as it starts"},
		"it keeps the card, force is allowed":     {force: true, guest: slow, running: 141, says: "keeps the card"},
		"it is shut down":                         {choice: true, guest: slow, running: 140, returned: true, says: "VM 140 runs again"},
		"it does not shut down":                   {choice: true, guest: hung, running: 141, closing: true, says: "the way back failed too"},
		"it does not shut down, force is allowed": {choice: true, force: true, guest: hung, running: 140, returned: true, plug: true, says: "VM 140 runs again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pair()
			host.VMs[1].Config["ostype"] = "win11"
			scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
				time.Sleep(time.Minute)
				sim.SetGuest(141, test.guest)
				db := both
				db.ReturnIfNotUp, db.Force = test.choice, test.force
				err := node.Switch(t.Context(), db, 141, nil)
				var failed *workstation.SwitchError
				if !errors.As(err, &failed) || failed.Phase != workstation.PhaseUp || failed.Running != test.running || failed.Returned != test.returned || failed.Closing != test.closing ||
					!errors.Is(err, workstation.ErrTimeout) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v: %+v", err, failed)
				}
				wantRunning(t, sim, test.running)
				if !test.plug && !test.force {
					wantNoPlugPulled(t, sim)
				}
				if test.running == 141 {
					time.Sleep(2 * time.Hour) // after this time, the guest is up
					if !test.closing {
						if err := node.Switch(t.Context(), db, 141, nil); err != nil {
							t.Errorf("when it is up: %v", err)
						}
					}
				}
			})
		})
	}
}

// If a switch is cancelled while its target starts, it shuts down no guest.
func TestASwitchThatIsCancelledAsItsTargetStarts(t *testing.T) {
	t.Parallel()
	for _, phase := range []workstation.Phase{workstation.PhaseStart, workstation.PhaseUp} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			time.Sleep(time.Minute)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := node.Switch(ctx, both, 141, func(e workstation.Event) {
				if e.Phase == phase && e.Elapsed > 0 || e.Phase == workstation.PhaseUp {
					cancel()
				}
			})
			var failed *workstation.SwitchError
			if !errors.As(err, &failed) || failed.Running != 141 || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", phase, err)
			}
			wantRunning(t, sim, 141)
			wantNoPlugPulled(t, sim)
		})
	}
}

func starts(sim *pvetest.Node) (n int) {
	for _, task := range sim.Tasks() {
		if task.Type == "qmstart" {
			n++
		}
	}
	return n
}

// No VM is started again with a card that is gone, whichever message QEMU or
// the kernel prints about it.
func TestACardThatIsGone(t *testing.T) {
	t.Parallel()
	for _, words := range []string{
		"kvm: vfio: Unable to power on device, stuck in D3",
		"vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible",
		"vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up",
		"vfio-pci 0000:01:00.0: not ready 65535ms after bus reset; giving up",
		"kvm: -device vfio-pci,host=0000:01:00.0: vfio 0000:01:00.0: Unknown PCI header type '127'",
		"!!! Unknown header type 7f",
		"vfio-pci 0000:01:00.0: Invalid PCI ROM header signature: expecting 0xaa55, got 0xffff",
		"kvm: -device vfio-pci: vfio 0000:01:00.0: error getting device from group 12: Input/output error",
		"kvm: vfio 0000:01:00.0: failed to reset the device",
		"NVRM: GPU at PCI:0000:01:00: GPU has fallen off the bus.",
		"config space of 0000:01:00.0 reads ff",
	} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			time.Sleep(time.Minute)
			sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails, Times: -1, Message: words})
			var failed *workstation.SwitchError
			err := node.Switch(t.Context(), both, 141, nil)
			if !errors.As(err, &failed) || failed.Running != 0 || failed.Return != nil || ids(failed.Advice) != "switch.card-lost" || !strings.Contains(err.Error(), "Power the host off") {
				t.Errorf("%s: %v", words, err)
			}
			if n := starts(sim); n != 1 {
				t.Errorf("%s: %d starts, want 1", words, n)
			}
		})
	}
}

// If a start failed for another reason, the way back tries it again a few times
// and reports the reason.
func TestStartsThatFailAreTriedAgain(t *testing.T) {
	t.Parallel()
	for words, lost := range map[string]bool{
		"start failed: QEMU exited with code 1": true, // both starts fail in QEMU
		"failed to reset PCI device '0000:01:00.0', but trying to continue as not all devices need a reset": false,
		"no quorum": false,
	} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			time.Sleep(time.Minute)
			sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails, Times: -1, Message: words})
			var told []string
			var failed *workstation.SwitchError
			err := node.Switch(t.Context(), both, 141, func(e workstation.Event) { told = append(told, e.Message) })
			if !errors.As(err, &failed) || failed.Running != 0 || failed.Return == nil || (ids(failed.Advice) == "switch.card-lost") != lost {
				t.Errorf("%s: %v", words, err)
			}
			if n := starts(sim); n != 6 {
				t.Errorf("%s: %d starts, want 6", words, n)
			}
			if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, words) && strings.Contains(s, "trying again, 2 of 5") }) {
				t.Errorf("%s: told %q", words, told)
			}
		})
	}
}

// The caller's check of the card is called before every start, also on the way
// back.
func TestTheCardIsLookedAtOnTheWayBack(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails, Times: -1, Message: "no"})
		db, asked := both, 0
		db.Healthy = func(context.Context) error {
			if asked++; asked > 1 {
				return errors.New("reads ff")
			}
			return nil
		}
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), db, 141, nil); !errors.As(err, &failed) || failed.Running != 0 || failed.Return == nil || !strings.Contains(err.Error(), "reads ff") {
			t.Errorf("%v", err)
		}
		if n := starts(sim); n != 1 {
			t.Errorf("%d starts, want 1", n)
		}
	})
}

// A start that ends with warnings is a success, and an event holds the
// warnings.
func TestWarningsOfAStartAreTold(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskWarns, Message: "the card could not be reset"})
		var told []workstation.Event
		if err := node.Switch(t.Context(), both, 141, func(e workstation.Event) {
			if len(e.Warnings) > 0 {
				told = append(told, e)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || fmt.Sprint(told[0].Warnings) != "[WARN: the card could not be reset]" || !strings.Contains(told[0].Message, "the card could not be reset") || told[0].VMID != 141 {
			t.Errorf("told %+v", told)
		}
	})
}

// If the way back finds that the card is gone, it starts nothing more with the
// card.
func TestACardThatIsGoneOnTheWayBack(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskFails, Message: "no"})
		sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 140, Kind: pvetest.TaskFails, Times: -1, Message: "kvm: vfio: Unable to power on device, stuck in D3"})
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), both, 141, nil); !errors.As(err, &failed) || failed.Running != 0 || ids(failed.Advice) != "switch.card-lost" {
			t.Errorf("%v", err)
		}
		if n := starts(sim); n != 2 {
			t.Errorf("%d starts, want 2", n)
		}
	})
}
