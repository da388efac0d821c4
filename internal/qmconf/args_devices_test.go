package qmconf

import (
	"strings"
	"testing"
)

func TestArgDevices(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"": "", "-device usb-kbd,host=0000:01:00.0": "", "-no-reboot -device": "",
		"-device vfio-pci,host=0000:01:00.0,id=hostpci0.0 -device 'vfio-pci,host=01:00.1'":     "0000:01:00.0 0000:01:00.1",
		"--device vfio-pci-nohotplug,sysfsdev=/sys/bus/pci/devices/0000:65:00.0":               "0000:65:00.0",
		`-device '{"driver":"vfio-pci","host":"0000:01:00.0","id":"a"}'`:                       "0000:01:00.0",
		`-device "vfio-pci,host=0000:01:00.0,x-vga=on"`:                                        "0000:01:00.0",
		"-device driver=vfio-pci,host=1:0.0":                                                   "? args: -device driver=vfio-pci,host=1:0.0",
		"-device vfio-pci,sysfsdev=/sys/bus/mdev/devices/00000000-0000-0000-0000-000000000100": "? args: -device vfio-pci,sysfsdev=/sys/bus/mdev/devices/00000000-0000-0000-0000-000000000100",
		"-device vfio-pci -device vfio-pci,host=0000:01:00.0":                                  "0000:01:00.0 ? args: -device vfio-pci",
	} {
		devices, unread := ArgDevices(args)
		var got []string
		for _, h := range devices {
			got = append(got, h.String())
		}
		if len(unread) > 0 {
			got = append(got, "? "+strings.Join(unread, " "))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", args, text, want)
		}
	}
}

func TestArgUUID(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{"": "", "-uuid A-1 -x": "a-1", "-uuid a -uuid 'b'": "b", "-uuid": ""} {
		if got := ArgUUID(args); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func FuzzArgDevices(f *testing.F) {
	f.Add("-device vfio-pci,host=0000:01:00.0")
	f.Add(`-device '{"driver":"vfio-pci","host":"0000:01:00.0"}' -uuid 1`)
	f.Fuzz(func(t *testing.T, args string) {
		devices, unread := ArgDevices(args)
		if strings.Count(args, "vfio") < len(devices)+len(unread) && !strings.ContainsAny(args, `'"\`) {
			t.Errorf("%q: %v, %q", args, devices, unread)
		}
		_ = ArgUUID(args)
	})
}
