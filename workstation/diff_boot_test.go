package workstation

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestWithBoot(t *testing.T) {
	t.Parallel()
	const cd, cloud = "none,media=cdrom", "local-lvm:cloudinit,media=cdrom"
	tests := map[string]struct {
		set        map[string]string
		remove     []string
		have, want string
		steps      string // the keys that each step sets or deletes
	}{
		"nothing":                        {nil, nil, "order=scsi0", "order=scsi0", ""},
		"only the order":                 {nil, nil, "order=scsi0", "order=net0", "boot"},
		"the order beside a key":         {map[string]string{"cores": "2"}, nil, "order=scsi0", "order=net0", "boot,cores"},
		"a new disk beside the order":    {map[string]string{"scsi1": "local-lvm:8"}, nil, "order=scsi0", "order=scsi0;scsi1", "boot,scsi1"},
		"a CD that should not be last":   {map[string]string{"ide2": cd}, nil, "order=scsi0", "order=scsi0", "ide2 boot"},
		"a CD that should be last":       {map[string]string{"ide2": cd}, nil, "order=scsi0", "order=scsi0;ide2", "ide2"},
		"two CDs come in any order":      {map[string]string{"ide0": cd, "ide2": cd}, nil, "order=scsi0", "order=scsi0;ide0;ide2", "ide0,ide2 boot"},
		"a CD that has its place":        {map[string]string{"ide2": cd}, nil, "order=ide2;scsi0", "order=ide2;scsi0", "ide2"},
		"cloud-init is no such CD":       {map[string]string{"ide2": cloud}, nil, "order=scsi0", "order=scsi0", "ide2"},
		"a drive that leaves":            {nil, []string{"ide2"}, "order=ide2;scsi0", "order=scsi0", "ide2"},
		"a drive that leaves, and order": {nil, []string{"ide2"}, "order=ide2;scsi0", "order=net0", "ide2 boot"},
		"an old order":                   {map[string]string{"ide2": cd}, nil, "cdn", "cdn", "ide2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := ChangeVM{VMID: 140, Set: map[string]string{}, Have: map[string]string{}, Notes: map[string]string{}, Delete: test.remove}
			for key, value := range test.set {
				step.Set[key] = value
			}
			var steps []string
			last := test.have
			for _, s := range step.withBoot(test.want, test.have) {
				steps = append(steps, strings.Join(append(slices.Sorted(maps.Keys(s.Set)), s.Delete...), ","))
				if boot, sets := s.Set["boot"]; sets {
					last = boot
				} else {
					last, _ = s.bootAfter(last)
				}
			}
			if got := strings.Join(steps, " "); got != test.steps || last != test.want {
				t.Errorf("steps %q, which leave %q; want %q and %q", got, last, test.steps, test.want)
			}
		})
	}
}
