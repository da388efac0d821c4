package workstation_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Somebody edits the node between Apply's last read and its write. PVE refuses
// the write because of the digest, and the error says which digest was seen.
func TestStaleInTheLastMoment(t *testing.T) {
	t.Parallel()
	change := func(facts workstation.Facts) workstation.Step {
		v := facts.VMs[141]
		return workstation.ChangeVM{VMID: 141, Digest: v.Digest, Set: map[string]string{"cores": "2"}, Have: map[string]string{}}
	}
	grow := func(facts workstation.Facts) workstation.Step {
		return workstation.GrowDisk{VMID: 141, Slot: "scsi0", Storage: "local-lvm", Digest: facts.VMs[141].Digest, From: 64 * storage.GiB, To: 80 * storage.GiB}
	}
	for name, test := range map[string]struct {
		path string // the path of the write
		step func(workstation.Facts) workstation.Step
	}{
		"a change": {"/qemu/141/config$", change},
		"a disk":   {"/qemu/141/resize$", grow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sim *pvetest.Node
				write, edited := regexp.MustCompile(test.path), false
				sim = pvetest.New(pair(), &pvetest.Options{OnRequest: func(r pvetest.Request) {
					if r.Method != "GET" && write.MatchString(r.Path) && !edited {
						edited = true
						if err := sim.Edit(141, "tags", "mine"); err != nil {
							t.Error(err)
						}
					}
				}})
				time.Sleep(time.Minute)
				node := patient(sim, nil)
				facts, err := node.Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				err = node.Apply(t.Context(), workstation.Plan{Node: "pve", Steps: []workstation.Step{test.step(facts)}}, nil)
				now, lookErr := node.Observe(t.Context())
				if lookErr != nil {
					t.Fatal(lookErr)
				}
				var stale *workstation.StaleError
				if !errors.Is(err, workstation.ErrStale) || !errors.As(err, &stale) {
					t.Fatalf("error %v, want a StaleError", err)
				}
				if stale.VMID != 141 || stale.Want != facts.VMs[141].Digest || stale.Have != now.VMs[141].Digest || stale.Cause == nil {
					t.Errorf("error %+v, want digests %s and %s", stale, facts.VMs[141].Digest, now.VMs[141].Digest)
				}
				if v, _ := sim.VM(141); !edited || v.Config["tags"] != "mine" || v.Config["cores"] == "2" || strings.Contains(v.Config["scsi0"], "80G") {
					t.Errorf("the VM is %v", v.Config)
				}
			})
		})
	}
}

// All mappings of a cluster share one digest. A mapping step with an old digest
// is stale.
func TestAStaleMapping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pair(), nil)
		time.Sleep(time.Minute)
		node := patient(sim, nil)
		facts, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := gpu.NewMapping("rtx", "pve", facts.Cards()[1])
		if err != nil {
			t.Fatal(err)
		}
		apply := func(s workstation.Step) error {
			return node.Apply(t.Context(), workstation.Plan{Node: "pve", Steps: []workstation.Step{s}}, nil)
		}
		if err := apply(workstation.PutMapping{Mapping: m, Node: "pve", New: true}); err != nil {
			t.Fatal(err)
		}
		m.Entries[0].Description, m.Digest = "the card", strings.Repeat("0", 40)
		m.Entries[0].Model.Device++ // the step still has something to change
		if err := apply(workstation.PutMapping{Mapping: m, Node: "pve"}); !errors.Is(err, workstation.ErrStale) || !strings.Contains(err.Error(), "observe and plan again") {
			t.Errorf("error %v", err)
		}
	})
}
