package macos_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/macos"
)

func TestHideOSK(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, key, hidden string }{
		{`-device isa-applesmc,osk=dummy(c)key -smbios type=2`, "dummy(c)key", `-device isa-applesmc,osk=[secret] -smbios type=2`},
		{`-device isa-applesmc,osk="dummy key",id=smc`, "dummy key", `-device isa-applesmc,osk="[secret]",id=smc`},
		{`-device 'isa-applesmc,osk=dummy' -x`, "dummy", `-device 'isa-applesmc,osk=[secret]' -x`},
		{`kvm: -device isa-applesmc,osk=dummy: no`, "dummy:", `kvm: -device isa-applesmc,osk=[secret] no`},
		{`osk='[secret]'`, "", `osk='[secret]'`},
		{`{"args":"-device isa-applesmc,osk=\"dummy (c) key\" -x"}`, "dummy (c) key", `{"args":"-device isa-applesmc,osk=\"[secret]\" -x"}`},
		{`osk=\\\"dummy, key\\\"`, "dummy, key", `osk=\\\"[secret]\\\"`},
		{"osk=\\'x'\xe3", "x", "osk=\\'[secret]'\xe3"},
		{`osk="`, "", `osk=[secret]"`},
		{`-drive desk=1,cosk=2`, "", `-drive desk=1,cosk=2`},
		{"", "", ""},
	} {
		key, hidden := macos.OSK(test.text), macos.HideOSK(test.text)
		if key != test.key || hidden != test.hidden || macos.OSKHidden(hidden) != strings.Contains(hidden, "[secret]") {
			t.Errorf("%s: %q, %s; want %q, %s", test.text, key, hidden, test.key, test.hidden)
		}
		if key != "" && macos.RevealOSK(hidden, key) != test.text {
			t.Errorf("%s: revealed it is %s", test.text, macos.RevealOSK(hidden, key))
		}
	}
}

func FuzzOSK(f *testing.F) {
	f.Add(`-device isa-applesmc,osk="a b" osk='x'`)
	f.Add("osk=\\'x'\xe3")
	f.Fuzz(func(t *testing.T, args string) {
		hidden := macos.HideOSK(args)
		if key := macos.OSK(hidden); key != "" || macos.HideOSK(hidden) != hidden {
			t.Errorf("%q shows %q", hidden, key)
		}
		if key := macos.OSK(args); key != "" && strings.Count(args, "osk=") == 1 && macos.RevealOSK(hidden, key) != args {
			t.Errorf("%q is not revealed from %q", args, hidden)
		}
	})
}
