package workstation_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns a host with two workstations and with other VMs. The first of
// the other VMs are off, and the last of them are running.
func beside(off, running int) pvetest.Host {
	host := made()
	host.VMs = slices.Clone(host.VMs)
	host.VMs[0].Running = true
	for i := range off + running {
		host.VMs = append(host.VMs, pvetest.VM{ID: 1000 + i, Running: i >= off, Config: map[string]string{"name": fmt.Sprint("other", i), "memory": "16"}})
	}
	return host
}

// A distant transport answers every request after one second. The number of
// seconds that a call takes is then the number of round trips that follow one
// another.
type distant struct{ base http.RoundTripper }

func (d distant) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Second)
	return d.base.RoundTrip(r)
}

// A status makes the same number of requests however many VMs are off. For each
// other VM that runs, it makes one more request.
func TestStatusAsksForLittle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ off, running, requests, depth int }{
		"the reference host":              {0, 1, 8, 2},
		"nobody else":                     {0, 0, 7, 1},
		"a hundred that are off":          {100, 0, 7, 1},
		"a thousand, six of them running": {994, 6, 13, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(beside(test.off, test.running), nil)
				node := patient(sim, func(base http.RoundTripper) http.RoundTripper { return distant{base} })
				if _, err := node.Status(t.Context(), both); err != nil { // a new client makes its first request before all others
					t.Fatal(err)
				}
				before, began := len(sim.Trace()), time.Now()
				if _, err := node.Status(t.Context(), both); err != nil {
					t.Fatal(err)
				}
				trace, depth := sim.Trace()[before:], int(time.Since(began)/time.Second)
				if len(trace) != test.requests || depth != test.depth {
					t.Errorf("%d requests, %d deep, want %d and %d: %v", len(trace), depth, test.requests, test.depth, trace)
				}
				for _, r := range trace {
					if strings.Contains(r.Path, "/disks") || strings.Contains(r.Path, "/storage") || r.Method != "GET" {
						t.Errorf("it asks for %s", r)
					}
				}
			})
		})
	}
}

// A request that hangs stops neither a status nor a switch if its answer is not
// needed.
func TestASwitchBesideWhatHangs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		path   string
		within time.Duration
		can    proxstation.Answer
		seen   string
	}{
		"disks":               {"/nodes/pve/disks/.*", time.Second, proxstation.Yes, ""},
		"storages":            {"/nodes/pve/storage.*", time.Second, proxstation.Yes, ""},
		"the node's memory":   {"/nodes/pve/status", 11 * time.Second, proxstation.Unknown, "/nodes/pve/status"},
		"the cluster's view":  {"/cluster/resources", 11 * time.Second, proxstation.Unknown, "/cluster/resources"},
		"backups, HA, rights": {"/cluster/backup|/cluster/ha.*|/access/permissions", time.Second, proxstation.Yes, ""},
	} {
		for _, kind := range []pvetest.FaultKind{pvetest.HangAfter, pvetest.ProxyTimeout, pvetest.ProxyDown} {
			t.Run(name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
					time.Sleep(time.Minute)
					node := patient(sim, nil)
					sim.Inject(pvetest.Fault{Path: test.path, Kind: kind, Times: -1})
					began := time.Now()
					status, err := node.Status(t.Context(), both)
					if err != nil {
						t.Fatal(err)
					}
					if can, why := status.Members[1].CanStart, fmt.Sprint(status.Members[1].Why); can != test.can || !strings.Contains(why, test.seen) || time.Since(began) > test.within {
						t.Errorf("can start: %s after %s, %s", can, time.Since(began), why)
					}
					if err := node.Switch(t.Context(), both, 141, nil); err != nil {
						t.Error(err)
					}
					wantRunning(t, sim, 141)
				})
			})
		}
	}
}

// If a request that is needed is not answered, the error names that request.
func TestWhatASwitchNeeds(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/nodes/pve/qemu", "/nodes/pve/qemu/141/pending", "/nodes/pve/hardware/pci", "/cluster/mapping/pci"} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
			sim.Inject(pvetest.Fault{Path: path, Kind: pvetest.ProxyTimeout, Times: -1})
			if _, err := patient(sim, nil).Status(t.Context(), both); err == nil || !strings.Contains(err.Error(), "GET "+path) {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	host := pair() // VMs that name addresses do not need the mappings
	for i := range host.VMs {
		host.VMs[i].Config["hostpci0"] = "0000:01:00,pcie=1"
	}
	sim := pvetest.New(host, nil)
	sim.Inject(pvetest.Fault{Path: "/cluster/mapping/pci", Kind: pvetest.ProxyTimeout, Times: -1})
	if status, err := patient(sim, nil).Status(t.Context(), both); err != nil || status.Members[1].CanStart != proxstation.Yes {
		t.Errorf("without mappings: %+v, %v", status, err)
	}
}

// A running VM that cannot be read counts as a VM that may have the card.
func TestAnOutsiderThatCannotBeRead(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(beside(0, 1), nil)
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu/1000/pending", Kind: pvetest.ProxyTimeout, Times: -1})
	status, err := patient(sim, nil).Status(t.Context(), both)
	if err != nil || status.Members[1].CanStart != proxstation.Unknown || !strings.Contains(fmt.Sprint(status.Members[1].Why), "VM 1000 other0") {
		t.Errorf("%+v, %v", status, err)
	}
}

// If the cluster does not know the state of a storage, only that storage is
// checked.
func TestAStorageThatIsAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault pvetest.Fault
		can   proxstation.Answer
		says  string
	}{
		"offline":       {can: proxstation.No, says: "switch.storage-offline"},
		"hanging":       {fault: pvetest.Fault{Path: "/nodes/pve/storage/local-lvm/content", Kind: pvetest.HangAfter, Times: -1}, can: proxstation.Unknown, says: "pvesm status --storage local-lvm"},
		"of another VM": {can: proxstation.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				host := pair()
				away := 1
				if name == "of another VM" {
					away = 2
				}
				host.Storages[away].Inactive = true
				host.VMs[0].Running = false // a VM whose storage is away cannot be running
				sim := pvetest.New(host, nil)
				if test.fault.Path != "" {
					sim.Inject(test.fault)
				}
				status, err := patient(sim, nil).Status(t.Context(), both)
				if err != nil || status.Members[1].CanStart != test.can || !strings.Contains(fmt.Sprintf("%+v", status.Members[1].Why), test.says) {
					t.Errorf("%+v, %v", status, err)
				}
				for _, r := range sim.Trace() {
					if strings.HasPrefix(r.Path, "/nodes/pve/storage") && r.Path != "/nodes/pve/storage/local-lvm/content" {
						t.Errorf("it asks for %s", r)
					}
				}
			})
		})
	}
}

// If a part of a node hangs, Observe reports it as a finding.
func TestObserveBesideWhatHangs(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/nodes/pve/disks/list":   "storage.smart-hung storage.unread",
		"/nodes/pve/disks/zfs":    "storage.unread",
		"/nodes/pve/storage":      "storage.unread",
		"/nodes/pve/status":       "workstation.unread",
		"/nodes/pve/hardware/pci": "workstation.unread",
		"/cluster/mapping/pci":    "workstation.unread",
		"/cluster/backup":         "workstation.unread",
		"/cluster/ha/resources":   "workstation.unread",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			sim := pvetest.New(pair(), nil)
			sim.Inject(pvetest.Fault{Path: path, Kind: pvetest.ProxyTimeout, Times: -1})
			facts, err := patient(sim, nil).Observe(t.Context())
			if err != nil || ids(facts.Unknown) != want || !strings.Contains(fmt.Sprint(facts.Unknown), path) || len(facts.VMs) != 2 {
				t.Errorf("%v, %v", facts.Unknown, err)
			}
		})
	}
}

// If disks are read without SMART data, everything except their health is
// known.
func TestObserveWithoutSMART(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pair(), nil)
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/disks/list", Kind: pvetest.ProxyTimeout})
	facts, err := patient(sim, nil).Observe(t.Context())
	if err != nil || ids(facts.Unknown) != "storage.smart-hung" || len(facts.Disks) == 0 {
		t.Errorf("%d disks, %v, %v", len(facts.Disks), facts.Unknown, err)
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, others := range []int{0, 98, 998} {
		b.Run(fmt.Sprint(others+2, " VMs"), func(b *testing.B) {
			sim := pvetest.New(beside(others, 0), nil)
			node := patient(sim, nil)
			for b.Loop() {
				if _, err := node.Status(b.Context(), both); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(sim.Trace()))/float64(b.N), "requests/op")
		})
	}
}

func BenchmarkSwitch(b *testing.B) {
	for _, others := range []int{0, 98, 998} {
		b.Run(fmt.Sprint(others+2, " VMs"), func(b *testing.B) {
			sim := pvetest.New(beside(others, 0), &pvetest.Options{Speed: 1000})
			node, to := patient(sim, nil), 140
			for b.Loop() {
				to = 281 - to
				if err := node.Switch(b.Context(), both, to, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(sim.Trace()))/float64(b.N), "requests/op")
		})
	}
}
