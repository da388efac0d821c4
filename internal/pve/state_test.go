package pve

import "testing"

func TestOff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status VMStatus
		off    bool
	}{
		{VMStatus{}, true},
		{VMStatus{Running: true}, false},
		{VMStatus{HA: true, HAState: "stopped"}, true},
		{VMStatus{HA: true, HAState: "started"}, false},
		{VMStatus{HA: true, HAState: "migrate"}, false},
		{VMStatus{HAState: "started"}, true},
	} {
		if test.status.Off() != test.off {
			t.Errorf("%+v: want %v", test.status, test.off)
		}
	}
}

func TestLostCard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible": true,
		"kvm: vfio: Unable to power on device, stuck in D3":                                          true,
		"unknown header type 7f, ignoring device":                                                    true,
		"failed to reset PCI device '0000:01:00.0', but trying to continue":                          false,
		"start failed: QEMU exited with code 1":                                                      false,
	} {
		if line, gone := LostCard([]string{"TASK ERROR", text}); gone != want || gone && line != text {
			t.Errorf("%s: %q, %v", text, line, gone)
		}
	}
}
