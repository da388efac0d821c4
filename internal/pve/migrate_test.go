package pve_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// Migration decodes answers that have the form of qemu-server PVE/API2/Qemu.pm,
// migrate_vm_precondition.
func TestMigration(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer string
		want   pve.Migration
	}{
		"nothing in the way": {`{"running":0,"allowed_nodes":["b"],"not_allowed_nodes":{},"local_disks":[],"local_resources":[],"mapped-resources":["hostpci0"],"mapped-resource-info":{"hostpci0":{"name":"rtx"}},"has-dbus-vmstate":1}`, pve.Migration{}},
		"disks": {`{"local_disks":[{"volid":"local-lvm:vm-140-disk-1","size":4194304,"drivename":"efidisk0"},{"volid":"local-lvm:vm-140-disk-0","size":"68719476736"},{"volid":"local:iso/x.iso","cdrom":1},{"volid":"local-lvm:vm-140-disk-9","is_unused":1}]}`,
			pve.Migration{Disks: []pve.LocalDisk{{Volume: "local-lvm:vm-140-disk-0", Size: 64 * storage.GiB}, {Volume: "local-lvm:vm-140-disk-1", Size: 4 * storage.MiB}, {Volume: "local-lvm:vm-140-disk-9", Unused: true}, {Volume: "local:iso/x.iso", CD: true}}}},
		"refused": {`{"running":1,"local_resources":["usb0","hostpci0"],"not_allowed_nodes":{"c":{"unavailable_storages":["x"]},"b":{"unavailable_storages":["fast"],"unavailable-resources":["hostpci1"],"blocking-ha-resources":[{"sid":"vm:141","cause":"resource-affinity"}]}},"dependent-ha-resources":["vm:150"]}`,
			pve.Migration{Running: true, Local: []string{"hostpci0", "usb0"}, Storages: []string{"fast"}, Mappings: []string{"hostpci1"}, HA: []string{"vm:141 (resource-affinity)"}, Along: []string{"vm:150"}}},
		"a list in place of an object": {`{"not_allowed_nodes":[],"local_disks":{}}`, pve.Migration{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have, err := saying("200 OK", `{"data":`+test.answer+`}`).Migration(t.Context(), 140, "b")
			if err != nil {
				t.Fatal(err)
			}
			if len(have.Local) == 0 {
				have.Local = nil
			}
			if !reflect.DeepEqual(have, test.want) {
				t.Errorf("%+v\nwant %+v", have, test.want)
			}
		})
	}
}

func TestReplications(t *testing.T) {
	t.Parallel()
	jobs, err := saying("200 OK", `{"data":[
		{"id":"140-0","type":"local","guest":"140","target":"b","last_sync":1800000000,"last_try":1800000000,"duration":3.7,"fail_count":0},
		{"id":"140-1","guest":140,"target":"c","disable":1,"last_sync":0,"fail_count":2,"error":"no tunnel IP received"},
		{"id":"140-2","guest":140,"target":"d","remove_job":"full"}]}`).Replications(t.Context(), 140)
	if err != nil {
		t.Fatal(err)
	}
	want := []pve.Replication{{ID: "140-0", Target: "b", LastSync: time.Unix(1800000000, 0), Duration: 3 * time.Second},
		{ID: "140-1", Target: "c", Disabled: true, Failures: 2, Error: "no tunnel IP received"}}
	if !reflect.DeepEqual(jobs, want) {
		t.Errorf("%+v\nwant %+v", jobs, want)
	}
}
