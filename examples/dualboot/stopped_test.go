package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/proxstation/proxstation/examples/internal/stopped"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestMain(m *testing.M) { stopped.Main(m, main) }

// A program that is stopped while Windows shuts down starts Windows again, and
// says so.
func TestStoppedInMidSwitch(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP, "Ctrl-C": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pvetest.Reference()
			host.Guests = map[int]pvetest.Guest{140: {Shutdown: 40 * time.Second}}
			p := stopped.Start(t, host, "-apply")
			p.Until(t, "shutting down VM 140")
			p.End(t, signal, 140, "VM 140 runs again", "VM 140 is running") // the second if its shutdown was not asked for yet
		})
	}
}
