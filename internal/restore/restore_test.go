package restore_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/internal/restore"
)

func TestWay(t *testing.T) {
	t.Parallel()
	type values = map[string]string
	const disk = "a:vm-140-disk-0,size=64G"
	for name, test := range map[string]struct {
		old, have, set values
		del, find      []string
		boot           string
	}{
		"nothing changed":              {old: values{"cores": "4", "agent": "1"}, have: values{"cores": "4", "agent": "enabled=1"}},
		"a value, a new key, a lost":   {old: values{"cores": "4", "tags": "a"}, have: values{"cores": "8", "onboot": "1"}, set: values{"cores": "4", "tags": "a"}, del: []string{"onboot"}},
		"keys of PVE":                  {old: values{"vmgenid": "a"}, have: values{"vmgenid": "b", "lock": "backup", "unused0": "a:x"}},
		"a disk that came stays":       {have: values{"scsi1": disk}, find: []string{"restore.disk-added"}},
		"a disk that is gone":          {old: values{"scsi1": disk}, find: []string{"restore.disk-gone"}},
		"a disk that was detached":     {old: values{"scsi1": disk + ",ssd=1"}, have: values{"unused0": "a:vm-140-disk-0"}, set: values{"scsi1": "a:vm-140-disk-0,ssd=1"}},
		"a disk that grew":             {old: values{"scsi0": disk}, have: values{"scsi0": "a:vm-140-disk-0,size=1T"}, find: []string{"restore.disk-grown"}},
		"a CD that came":               {have: values{"ide2": "none,media=cdrom"}, del: []string{"ide2"}},
		"the password that went":       {old: values{"cipassword": "**********"}, find: []string{"restore.password"}},
		"the boot order, without lost": {old: values{"boot": "order=scsi1;scsi0", "scsi0": disk}, have: values{"boot": "order=net0", "scsi0": disk}, boot: "order=scsi0"},
		"a boot order that came":       {have: values{"boot": "order=scsi0", "scsi0": disk}, old: values{"scsi0": disk}, del: []string{"boot"}},
		"an old notation that means another disk": {old: values{"boot": "c", "scsi0": disk}, have: values{"boot": "order=scsi0", "ide0": "a:vm-140-disk-9,size=1G", "scsi0": disk},
			boot: "order=scsi0", find: []string{"restore.disk-added", "restore.boot-kept"}},
	} {
		way := restore.VM{ID: 140, Title: "VM 140 a", Old: test.old, Have: test.have}.Way()
		var found []string
		for _, f := range way.Findings {
			found = append(found, f.ID)
			if f.Subject != "VM 140 a" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !maps.Equal(way.Set, test.set) || !slices.Equal(way.Delete, test.del) || !slices.Equal(found, test.find) || way.Boot != test.boot {
			t.Errorf("%s: %+v", name, way)
		}
	}
}
