package rustdesk

import (
	"testing"

	"github.com/proxstation/proxstation/gpu"
)

func TestOSOf(t *testing.T) {
	t.Parallel()
	for guest, want := range map[gpu.Guest]OS{
		gpu.Linux: Linux, gpu.Windows10: Windows, gpu.Windows11: Windows, gpu.MacOSHighSierra: MacOS, gpu.MacOSTahoe: MacOS, gpu.AnyGuest: "",
	} {
		if got, ok := OSOf(guest); got != want || ok != (want != "") {
			t.Errorf("%s has the system %q, %v; want %q", guest, got, ok, want)
		}
	}
}
