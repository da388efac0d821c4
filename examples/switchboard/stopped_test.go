package main

import (
	"bufio"
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

// If the program is stopped while a guest shuts down, it starts the guest
// again. It reports this in its output and to its viewers.
func TestStoppedInMidSwitch(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			host := cards()
			host.Guests = map[int]pvetest.Guest{140: {Shutdown: 150 * time.Second}}
			p := stopped.Start(t, host, "-listen", "127.0.0.1:0")
			url := p.Until(t, "http://")
			events := listen(t, url+"/api/events")
			if code, body := ask(t, http.MethodPost, url+"/api/switch", `{"vmid":141}`); code != http.StatusAccepted {
				t.Fatalf("the switch: %d %s", code, body)
			}
			until(t, events, `"phase":"stop"`)
			p.End(t, signal, 140, "VM 140 runs again", "VM 140 is running") // the second text is printed if the signal came before the shutdown was requested
			until(t, events, `"ok":false`)
			until(t, events, "event: end")
		})
	}
}

// If a person confirms, the program takes over the lease of a dead controller
// without waiting.
func TestTakingALeaseOver(t *testing.T) {
	t.Parallel()
	host := cards()
	host.VMs[0].Config["description"] = `<!-- proxstation-lease {"owner":"sofa","id":"x","to":141,"phase":"stop","ttl":7200000000000} -->`
	p := stopped.Start(t, host, "-listen", "127.0.0.1:0")
	url := p.Until(t, "http://")
	if code, body := ask(t, http.MethodPost, url+"/api/switch", `{"vmid":141}`); code != http.StatusConflict || !strings.Contains(body, `"owner":"sofa"`) {
		t.Errorf("while the lease counts: %d %s", code, body)
	}
	if code, body := ask(t, http.MethodPost, url+"/api/switch", `{"vmid":141,"takeOver":"x"}`); code != http.StatusAccepted {
		t.Fatalf("the switch: %d %s", code, body)
	}
	p.Until(t, "linux-ai has the card.")
	p.End(t, syscall.SIGTERM, 141, "has the card")
}

// cards returns a host on which VM 140 has the card.
func cards() pvetest.Host {
	host := pvetest.Reference()
	for i, name := range []string{"windows", "linux-ai"} {
		id := 140 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i == 0, Config: map[string]string{"name": name, "memory": "8192", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "0000:01:00,pcie=1", "scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", id)}})
	}
	return host
}

// listen opens a stream of events and returns its lines.
func listen(t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return lines
}

// The function "until" reads events until an event contains a text.
func until(t *testing.T, events *bufio.Scanner, text string) {
	t.Helper()
	for events.Scan() {
		if strings.Contains(events.Text(), text) {
			return
		}
	}
	t.Errorf("the events end without %q: %v", text, events.Err())
}
