package qmconf

import (
	"strings"
	"testing"
)

func TestHotPlugged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		key, config string // "key=value key=value"
		want        bool
	}{
		{"tags", "", true},
		{"memory", "", false},
		{"net0", "", true},
		{"net0", "hotplug=disk,usb", false},
		{"net0", "hotplug=0", false},
		{"usb0", "ostype=win11", true},
		{"usb0", "ostype=l26 hotplug=network,usb", true},
		{"usb0", "ostype=l26 hotplug=network", false},
		{"usb0", "ostype=other", false},
		{"scsi1", "", true},
		{"scsi1", "scsi1=local-lvm:vm-140-disk-1", false},
		{"sata0", "", false},
		{"ide2", "ide2=none,media=cdrom", true},
		{"ide3", "", false},
		{"cpulimit", "", true},
		{"tablet", "", true},
		{"tablet", "hotplug=disk", false},
	}
	for _, test := range tests {
		config := map[string]string{}
		for field := range strings.FieldsSeq(test.config) {
			key, value, _ := strings.Cut(field, "=")
			config[key] = value
		}
		if got := HotPlugs(test.key, config, "local:iso/a.iso,media=cdrom"); got != test.want {
			t.Errorf("%s with %q: %v, want %v", test.key, test.config, got, test.want)
		}
	}
}
