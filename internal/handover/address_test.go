package handover

import (
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

func TestAddressOfANetworkCard(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"enp0s31f6": "0000:00:1f.6", "enp5s0": "0000:05:00.0", "enp65s0f1np1": "0000:41:00.1", "enP1p3s0": "0001:03:00.0", "wlp4s0": "0000:04:00.0",
		"eno1": "", "nic0": "", "eth0": "", "enx001122334455": "", "vmbr0": "", "enp999999999999999999999s0": "", "bond0": "",
	} {
		a, ok := addressOf(name)
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%s: %v, %v, want %q", name, a, ok, want)
		}
	}
}

func FuzzAddressOf(f *testing.F) {
	for _, seed := range []string{"enp0s31f6", "enp65s0f1np1", "enP1p3s0", "eno1", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a, ok := addressOf(name)
		if again, err := iommu.ParseAddress(a.String()); ok && (err != nil || again != a) {
			t.Errorf("%q: %v, %v", name, a, err)
		}
	})
}
