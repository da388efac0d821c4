package qmconf

import (
	"slices"
	"strings"
	"testing"
)

// config parses a configuration that is written as "key=value key=value".
func config(text string) map[string]string {
	values := map[string]string{}
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		values[key] = value
	}
	return values
}

func TestBootOrder(t *testing.T) {
	t.Parallel()
	const cd, disk = "local:iso/a.iso,media=cdrom", "local-lvm:vm-140-disk-0"
	for _, test := range []struct{ config, want string }{
		{"boot=order=scsi0;ide2;net0", "scsi0 ide2 net0"},
		{"boot=order=", ""},
		{"boot=c bootdisk=virtio0 scsi0=" + disk + " virtio0=" + disk, "virtio0"},
		{"boot=legacy=dc bootdisk=scsi0 ide2=" + cd + " scsi0=" + disk, "ide2 scsi0"},
		{"boot=c bootdisk=sata0 scsi1=" + disk, "scsi1"},
		{"boot=n net1=virtio net0=virtio", "net0 net1"},
		{"sata0=" + disk + " virtio1=" + disk + " ide2=" + cd + " net0=virtio efidisk0=" + disk, "ide2 net0"},
		{"sata0=" + disk + " virtio1=" + disk + " efidisk0=" + disk, "virtio1"},
		{"boot=order= scsi3=" + disk + " ide2=" + cd, "scsi3"},
		{"", ""},
	} {
		if got := strings.Join(BootOrder(config(test.config)), " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.config, got, test.want)
		}
	}
}

func TestFreeSlot(t *testing.T) {
	t.Parallel()
	full := config("ide0=a ide1=a ide2=a ide3=a sata0=a")
	for _, test := range []struct{ like, want string }{{"ide2", "sata1"}, {"scsi1", "scsi0"}, {"sata3", "sata1"}} {
		if got := FreeSlot(test.like, []string{"ide", "sata"}, full); got != test.want {
			t.Errorf("like %s: %s, want %s", test.like, got, test.want)
		}
	}
	if got := FreeSlot("ide0", nil, full); got != "" {
		t.Errorf("all in use: %s", got)
	}
	if got := Disks(config("ide0=local:a,media=cdrom ide1=local:vm-140-cloudinit virtio1=a:b scsi0=a:c efidisk0=a:d")); !slices.Equal(got, []string{"scsi0", "virtio1"}) {
		t.Errorf("disks %q", got)
	}
}

func FuzzBootOrder(f *testing.F) {
	f.Add("order=scsi0;net0", "scsi0")
	f.Add("legacy=cdn", "virtio0")
	f.Fuzz(func(t *testing.T, boot, disk string) {
		order := BootOrder(map[string]string{"boot": boot, "bootdisk": disk, "scsi0": "a:b", "net0": "virtio"})
		again := BootOrder(map[string]string{"boot": "order=" + strings.Join(order, ";")})
		if !slices.Equal(order, again) && !strings.Contains(strings.Join(order, ""), ",") {
			t.Errorf("%q is %q, written as an order %q", boot, order, again)
		}
	})
}
