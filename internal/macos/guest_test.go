package macos_test

import (
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

func TestGuestOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config map[string]string
		want   gpu.Guest // AnyGuest if the guest is not macOS
	}{
		{"hackintosh-big-sur", map[string]string{"ostype": "other"}, gpu.MacOSBigSur},
		{"mac", map[string]string{"args": "-device isa-applesmc,osk=x", "description": "High Sierra"}, gpu.MacOSHighSierra},
		{"build", map[string]string{"ostype": "l26", "ide0": "local:iso/opencore.iso"}, gpu.MacOSSequoia},
		{"macos-tools", map[string]string{"ostype": "l26"}, gpu.AnyGuest},
		{"opencore", map[string]string{"ostype": "win10", "ide0": "local:iso/opencore.iso"}, gpu.AnyGuest},
		{"desk", map[string]string{"ostype": "other"}, gpu.AnyGuest},
	} {
		if release, is := macos.GuestOf(test.name, test.config); release != test.want || is != (test.want != gpu.AnyGuest) {
			t.Errorf("%s %v: %s, %v, want %s", test.name, test.config, release, is, test.want)
		}
	}
}
