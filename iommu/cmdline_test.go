package iommu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

func TestParseCmdline(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                             nil,
		"  \t ":                        nil,
		"quiet":                        {"quiet"},
		" a  b\tc=d \n":                {"a", "b", "c=d"},
		`dyndbg="file a.c +p" quiet`:   {"dyndbg=file a.c +p", "quiet"},
		`"a b"=c d`:                    {`a b"=c`, "d"},
		`initrd=\EFI\proxmox\x root=1`: {`initrd=\EFI\proxmox\x`, "root=1"},
		`a "no end b c`:                {"a", "no end b c"},
		"iommu=pt iommu=pt":            {"iommu=pt", "iommu=pt"},
	} {
		c := iommu.ParseCmdline(text)
		if got := c.Args(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if c.String() != text {
			t.Errorf("%q prints as %q", text, c)
		}
	}
}

func TestCmdlineQuestions(t *testing.T) {
	t.Parallel()
	c := iommu.ParseCmdline("quiet vfio-pci.ids=1:2 iommu=pt,nobypass iommu=soft console=tty0 console=ttyS0 -- iommu=off single")
	for arg, want := range map[string]bool{
		"quiet": true, "vfio_pci.ids=1:2": true, "iommu=pt": false, "iommu=soft": true, "single": false, "iommu": false,
	} {
		if got := c.Has(arg); got != want {
			t.Errorf("Has(%s) = %v", arg, got)
		}
	}
	if got := c.Options("iommu"); !slices.Equal(got, []string{"pt", "nobypass", "soft"}) {
		t.Errorf("Options = %q", got)
	}
	if got := c.Values("console"); !slices.Equal(got, []string{"tty0", "ttyS0"}) {
		t.Errorf("Values = %q", got)
	}
}

func TestCmdlineEdits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, add, want string }{
		{"", "iommu=pt", "iommu=pt"},
		{"quiet", "iommu=pt", "quiet iommu=pt"},
		{"quiet  ro ", "iommu=pt", "quiet  ro iommu=pt "},
		{"a iommu=pt  b", "iommu=pt", "a iommu=pt  b"},
		{"a -- b", "iommu=pt", "a iommu=pt -- b"},
		{"-- b", "iommu=pt", "iommu=pt -- b"},
		{`a "b c`, "iommu=pt", `a iommu=pt "b c`},
		{"a", "x=1 2", `a x="1 2"`},
		{"a", "1 2", `a "1 2"`},
	} {
		c := iommu.ParseCmdline(test.text).With(test.add)
		if c.String() != test.want {
			t.Errorf("%q with %q: %q, want %q", test.text, test.add, c, test.want)
		}
		if again := c.With(test.add); again.String() != c.String() {
			t.Errorf("%q: added twice: %q", test.text, again)
		}
	}
	for _, test := range []struct{ text, remove, want string }{
		{"quiet iommu=pt", "iommu=pt", "quiet"},
		{"iommu=pt quiet", "iommu=pt", "quiet"},
		{" iommu=pt  quiet ", "iommu=pt", " quiet "},
		{"a iommu=pt b iommu=pt -- iommu=pt", "iommu=pt", "a b -- iommu=pt"},
		{"a", "b", "a"},
		{"", "b", ""},
	} {
		if got := iommu.ParseCmdline(test.text).Without(test.remove).String(); got != test.want {
			t.Errorf("%q without %q: %q, want %q", test.text, test.remove, got, test.want)
		}
	}
}

func FuzzCmdline(f *testing.F) {
	f.Add("quiet intel_iommu=on iommu=pt", "iommu=pt")
	f.Add(`BOOT_IMAGE=/x "a b" c="d e`, "x=y z")
	f.Add("a -- b", "b")
	f.Fuzz(func(t *testing.T, text, arg string) {
		c := iommu.ParseCmdline(text)
		if c.String() != text {
			t.Fatalf("%q prints as %q", text, c)
		}
		if arg == "" || arg == "--" || strings.ContainsAny(arg, "\"") || strings.TrimSpace(arg) != arg {
			return
		}
		with := c.With(arg)
		if !with.Has(arg) {
			t.Fatalf("%q with %q is %q, which lacks it", text, arg, with)
		}
		back := iommu.ParseCmdline(with.String())
		if !back.Has(arg) || back.With(arg).String() != with.String() {
			t.Fatalf("%q with %q: adding again gives %q", text, arg, back.With(arg))
		}
		if !slices.Equal(slices.Sorted(slices.Values(back.Args())), slices.Sorted(slices.Values(with.Args()))) {
			t.Fatalf("%q reads as %q", with, back.Args())
		}
		if !c.Has(arg) {
			if gone := with.Without(arg).Args(); !slices.Equal(gone, c.Args()) {
				t.Fatalf("%q with and without %q: %q", text, arg, gone)
			}
		}
	})
}
