package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proxstation/proxstation/examples/internal/stopped"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestMain(m *testing.M) { stopped.Main(m, main) }

// A page that is stopped while a guest shuts down starts the guest again, and
// says so.
func TestStoppedInMidSwitch(t *testing.T) {
	t.Parallel()
	host := cards()
	host.Guests = map[int]pvetest.Guest{140: {Shutdown: 60 * time.Second}}
	p := stopped.Start(t, host, "-listen", "127.0.0.1:0")
	url := p.Until(t, "http://")
	if code, body := ask(t, http.MethodPost, url+"/switch/141", nil); code != http.StatusAccepted {
		t.Fatalf("the switch: %d %s", code, body)
	}
	until(t, url, func(v view) bool { return strings.Contains(strings.Join(v.Log, "\n"), "qmshutdown") })
	p.End(t, syscall.SIGTERM, 140, "VM 140 runs again", "VM 140 is running") // the second if its shutdown was not asked for yet
}

// A lease that a dead controller left is shown with its owner, and taken over at
// once by whoever says so.
func TestTakingALeaseOver(t *testing.T) {
	t.Parallel()
	host := cards()
	host.VMs[0].Config["description"] = `<!-- proxstation-lease {"owner":"sofa","id":"x","to":141,"phase":"stop","ttl":7200000000000} -->`
	p := stopped.Start(t, host, "-listen", "127.0.0.1:0")
	url := p.Until(t, "http://")
	v := until(t, url, func(v view) bool { return v.Lease != nil })
	if v.Lease.ID != "x" || !strings.Contains(v.Lease.Text, "sofa is switching to VM 141") || !strings.Contains(v.Lease.Text, "2h0m0s more") {
		t.Errorf("the lease is shown as %+v", v.Lease)
	}
	if code, body := ask(t, http.MethodPost, url+"/switch/141?takeOver=x", nil); code != http.StatusAccepted {
		t.Fatalf("the switch: %d %s", code, body)
	}
	p.Until(t, "VM 141 has the card")
	p.End(t, syscall.SIGTERM, 141, "VM 141 has the card")
}

// cards is a host on which VM 140 has the card.
func cards() pvetest.Host {
	host := pvetest.Reference()
	for i, name := range []string{"windows", "linux-ai"} {
		id := 140 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i == 0, Config: map[string]string{"name": name, "memory": "8192", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "0000:01:00,pcie=1", "scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", id)}})
	}
	return host
}
