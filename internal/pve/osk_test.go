package pve_test

import (
	"testing"

	"github.com/proxstation/proxstation/internal/pve"
)

func TestHideOSK(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, key, hidden string }{
		{`-device isa-applesmc,osk=dummy(c)key -smbios type=2`, "dummy(c)key", `-device isa-applesmc,osk=[secret] -smbios type=2`},
		{`-device isa-applesmc,osk="dummy key",id=smc`, "dummy key", `-device isa-applesmc,osk=[secret],id=smc`},
		{`-device 'isa-applesmc,osk=dummy' -x`, "dummy", `-device 'isa-applesmc,osk=[secret]' -x`},
		{`kvm: -device isa-applesmc,osk=dummy: no`, "dummy:", `kvm: -device isa-applesmc,osk=[secret] no`},
		{`osk=[secret]`, "", `osk=[secret]`},
		{`osk="`, "", `osk=[secret]"`},
		{`-drive desk=1,cosk=2`, "", `-drive desk=1,cosk=2`},
		{"", "", ""},
	} {
		if key, hidden := pve.OSK(test.text), pve.HideOSK(test.text); key != test.key || hidden != test.hidden {
			t.Errorf("%s: %q, %s; want %q, %s", test.text, key, hidden, test.key, test.hidden)
		}
	}
}
