package qmconf

import (
	"slices"
	"strings"
	"testing"
)

func TestMergeArgs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		have, want, merged string // merged is "" if have already contains want
	}{
		"nothing there":               {"", "-cpu host -smbios type=2", "-cpu host -smbios type=2"},
		"all there":                   {"-smbios type=2  -cpu host", "-cpu host -smbios type=2", ""},
		"all there, in quotes":        {`-device isa-applesmc,osk="key" -foo`, "-device isa-applesmc,osk=key", ""},
		"others stay in their places": {"-no-reboot -cpu qemu64 -device vmcoreinfo", "-cpu host", "-no-reboot -cpu host -device vmcoreinfo"},
		"two types of SMBIOS":         {"-smbios 'type=0,vendor=A B' -smbios type=2,product=X", "-smbios type=2", "-smbios 'type=0,vendor=A B' -smbios type=2"},
		"another driver is another":   {"-device usb-mouse", "-device usb-kbd", "-device usb-mouse -device usb-kbd"},
		"another ID is another":       {"-device usb-kbd,id=mine", "-device usb-kbd,id=mac-kbd,bus=b", "-device usb-kbd,id=mine -device usb-kbd,id=mac-kbd,bus=b"},
		"the same ID is the same":     {"-device usb-kbd,bus=a,id=mac-kbd", "-device usb-kbd,id=mac-kbd,bus=b", "-device usb-kbd,id=mac-kbd,bus=b"},
		"the last of a kind counts":   {"-cpu host -cpu qemu64", "-cpu host", "-cpu host"},
		"a global":                    {"-global A.x=off -global A.y=on", "-global A.y=off", "-global A.x=off -global A.y=off"},
		"-set that nobody wants":      {"-set device.hostpci0.addr=2.0 -set device.net0.mtu=1 -cpu host", "-cpu host", "-set device.net0.mtu=1 -cpu host"},
		"-set that is wanted":         {"-cpu host", "-cpu host -set device.hostpci0.x-igd-lpc=on", "-cpu host -set device.hostpci0.x-igd-lpc=on"},
		"another key":                 {"-device isa-applesmc,osk=old -x", "-device isa-applesmc,osk=new", "-device isa-applesmc,osk=new -x"},
		"two dashes":                  {"--cpu host", "-cpu max", "-cpu max"},
		"values before any option":    {"stray -cpu host", "-cpu host", ""},
		"words without a dash":        {"0 -cpu host", "a b", "b a 0 -cpu host"},
		"words that are there":        {"b a -cpu host", "a b", ""},
		"an escaped blank":            {`-smbios type=0,vendor=A\ B`, "-cpu host", `-smbios type=0,vendor=A\ B -cpu host`},
	}
	for name, test := range tests {
		merged, same := MergeArgs(test.have, test.want)
		if want := test.merged; want == "" && (!same || merged != test.have) || want != "" && (same || merged != want) {
			t.Errorf("%s: %q, %v; want %q", name, merged, same, test.merged)
		}
	}
}

// A merged value contains the wanted arguments, so that a second merge changes
// nothing.
func FuzzMergeArgs(f *testing.F) {
	f.Add("-cpu host -no-reboot", "-cpu max -device a,id=b")
	f.Add(`-smbios 'type=0,vendor=F O' "x`, `-a "-b" \`)
	f.Add("-set device.hostpci0.addr=2.0", "-set device.hostpci0.bus=pci.0 -set device.hostpci0.bus=pci.1")
	f.Add("0", "\xa7\xae\x99\xed\xa0\xf3\xf3\xf3")
	f.Add("0 -a", "b c")
	f.Fuzz(func(t *testing.T, have, want string) {
		if strings.ContainsAny(have+want, `'"\`) { // an unbalanced quote takes in the text after it
			_, _ = MergeArgs(have, want)
			return
		}
		merged, same := MergeArgs(have, want)
		if again, now := MergeArgs(merged, want); !now || again != merged || same && merged != have {
			t.Errorf("have %q, want %q: merged %q (%v), then %q (%v)", have, want, merged, same, again, now)
		}
		wanted := map[string]bool{}
		for _, arg := range SplitArgs(want) {
			wanted[arg.Kind()] = true
		}
		for _, arg := range SplitArgs(have) {
			if !wanted[arg.Kind()] && !strings.HasPrefix(arg.Kind(), "-set ") && !slices.ContainsFunc(SplitArgs(merged), func(kept Arg) bool { return slices.Equal(kept, arg) }) {
				t.Errorf("have %q, want %q: %q is gone from %q", have, want, arg, merged)
			}
		}
	})
}

// Splitting, joining and splitting again returns the same arguments.
func FuzzSplitArgs(f *testing.F) {
	f.Add(`-smbios 'type=0,vendor=A B' -device a,id=b stray`)
	f.Add(`0 "x\" y' \ -a`)
	f.Fuzz(func(t *testing.T, args string) {
		list := SplitArgs(args)
		again := SplitArgs(JoinArgs(list))
		if JoinArgs(again) != JoinArgs(list) || len(again) != len(list) {
			t.Errorf("%q is %q, joined and split %q", args, list, again)
		}
		for _, arg := range list {
			if len(arg) == 0 || arg[0] == "" {
				t.Errorf("%q has an empty argument: %q", args, list)
			}
			_, _, _ = arg.Kind(), arg.Value(), arg.Property("id")
		}
	})
}

func TestArgChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have, want string
		changes    []ArgChange
	}{
		{"-no-hpet -cpu host", "-cpu host -no-hpet", nil},
		{"-cpu host", "-cpu Skylake-Client", []ArgChange{{Have: "-cpu host", Want: "-cpu Skylake-Client"}}},
		{"-no-hpet", "-usb", []ArgChange{{Have: "-no-hpet"}, {Want: "-usb"}}},
		{"", "-global a.b=1 -global a.c=1", []ArgChange{{Want: "-global a.b=1"}, {Want: "-global a.c=1"}}},
	} {
		if got := ArgChanges(test.have, test.want); !slices.Equal(got, test.changes) {
			t.Errorf("%q to %q: %q", test.have, test.want, got)
		}
	}
}
