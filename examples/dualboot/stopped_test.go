package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/proxstation/proxstation/examples/internal/stopped"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestMain(m *testing.M) { stopped.Main(m, main) }

// If the program is stopped while Windows shuts down, it starts Windows again,
// and reports that.
func TestStoppedInMidSwitch(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP, "Ctrl-C": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := shared()
			host.Guests = map[int]pvetest.Guest{140: {Shutdown: 150 * time.Second}}
			p := stopped.Start(t, host, "-switch", "linux")
			p.Until(t, "shutting down VM 140")
			p.End(t, signal, 140, "VM 140 runs again", "VM 140 is running") // the second text is printed if the signal came before the shutdown was requested
		})
	}
}

// shared returns a host on which VM 140 and VM 141 share a card. At first, VM
// 140 has the card.
func shared() pvetest.Host {
	host := pvetest.Reference()
	for i, name := range []string{"windows", "linux-ai"} {
		id := 140 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i == 0, Config: map[string]string{"name": name, "memory": "8192", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "0000:01:00,pcie=1", "scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", id)}})
	}
	return host
}
