package workstation_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Before and after each of its writes, Apply reads each path at most once. It
// reads the log of a task only if the caller asks for progress.
func TestApplyReadsNothingTwice(t *testing.T) {
	t.Parallel()
	for name, progress := range map[string]func(workstation.Event){"silent": nil, "watched": func(workstation.Event) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pair(), nil)
				time.Sleep(time.Minute)
				node := patient(sim, nil)
				facts, err := node.Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				before := len(sim.Trace())
				config := map[string]string{"name": "new", "memory": "512", "scsi0": "local-lvm:1"}
				plan := workstation.Plan{Node: "pve", Steps: []workstation.Step{
					workstation.CreateVM{VMID: 200, Name: "new", Config: config},
					workstation.ChangeVM{VMID: 141, Digest: facts.VMs[141].Digest, Set: map[string]string{"cores": "2"}, Have: map[string]string{}},
				}}
				if err := node.Apply(t.Context(), plan, &workstation.ApplyOptions{Progress: progress}); err != nil {
					t.Fatal(err)
				}
				reads, logs := map[string]int{}, 0 // the numbers of reads since the last write
				for _, r := range sim.Trace()[before:] {
					switch {
					case r.Method != "GET":
						clear(reads)
					case strings.HasSuffix(r.Path, "/log"):
						logs++
					case !strings.Contains(r.Path, "/tasks/"):
						if reads[r.Path]++; r.Path != "/nodes/pve/tasks" && reads[r.Path] > 1 || reads[r.Path] > 2 { // the step before the write and the step after it both read the tasks
							t.Errorf("%s is read again", r.Path)
						}
					}
				}
				if (logs > 0) != (progress != nil) {
					t.Errorf("%d logs were read", logs)
				}
			})
		})
	}
}

// BenchmarkApply makes a VM on a node with a slow connection and then changes
// the VM.
func BenchmarkApply(b *testing.B) {
	sim := pvetest.New(pair(), &pvetest.Options{Speed: 1000})
	node, d := far(b, sim)
	vmid := 1000
	for b.Loop() {
		vmid++
		plan := workstation.Plan{Node: "pve", Steps: []workstation.Step{
			workstation.CreateVM{VMID: vmid, Name: "new", Config: map[string]string{"name": "new", "memory": "512"}},
		}}
		if err := node.Apply(b.Context(), plan, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(d.total())/float64(b.N), "requests/op")
}
