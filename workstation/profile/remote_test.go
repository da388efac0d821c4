package profile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// Every guest but the unspecified one has an operating system, whose name its
// own name begins with.
func TestRustDeskOSKnowsEveryGuest(t *testing.T) {
	t.Parallel()
	known := 0
	for guest := gpu.AnyGuest; !strings.HasPrefix(guest.String(), "Guest("); guest++ {
		system, ok := profile.RustDeskOS(guest)
		if ok != (guest != gpu.AnyGuest) || !strings.HasPrefix(strings.ToLower(guest.String()), string(system)) {
			t.Errorf("%s: %q, %t", guest, system, ok)
		}
		if ok {
			known++
			if _, err := rustdesk.OptionsFile.Path(system, ""); err != nil {
				t.Errorf("%s: %v", guest, err)
			}
		}
	}
	if known < 3 {
		t.Errorf("%d guests", known)
	}
	if system, ok := profile.RustDeskOS(gpu.MacOSTahoe + 1); ok {
		t.Errorf("an unknown guest: %s", system)
	}
}

func ExampleRustDeskOS() {
	vm := profile.Windows11{}.VM()
	fmt.Println(profile.RustDeskOS(vm.Guest))
	// Output: windows true
}
