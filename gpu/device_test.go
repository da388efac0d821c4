package gpu_test

import (
	"testing"

	"github.com/proxstation/proxstation/gpu"
)

// FuzzParseDevice parses a device as PVE writes it. A device that is printed
// and parsed again stays the same.
func FuzzParseDevice(f *testing.F) {
	for _, text := range []string{"0000:01:00.0", "01:00", "10000:e1:00.0", "0000:01:00.8", "0000:01:20", "0000:1:0.0", "0000:0A:00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		device, err := gpu.ParseDevice(text)
		if err != nil {
			return
		}
		if again, err := gpu.ParseDevice(device.String()); err != nil || again != device {
			t.Errorf("%q is %v, and that is %v, %v", text, device, again, err)
		}
		if !device.Covers(device.Address) || device.Whole && device.Address.Function() != 0 {
			t.Errorf("%q is %+v", text, device)
		}
	})
}
