package iommu

import (
	"strings"
	"testing"
)

func TestKeptIsReadBack(t *testing.T) {
	t.Parallel()
	for _, k := range []kept{
		{},
		{args: []string{"iommu=pt"}},
		{functions: []keptFunction{{address: mustAddress("10000:01:00.0"), model: Model{0x10de, 0x2c05}}}},
		{functions: []keptFunction{{address: mustAddress("0000:01:00.1"), model: Model{1, 2}, drivers: []string{"nouveau", "nvidia"}}},
			args: []string{"intel_iommu=on", "x=a b"}, override: true},
		{functions: []keptFunction{{address: mustAddress("0000:01:00.0"), model: Model{0x10de, 0x2c05}, drivers: []string{"nouveau"}}},
			args: []string{"vfio-pci.ids=10de:2c05"}, builtIn: true},
	} {
		back, err := parseKept(k.String())
		if err != nil || back.String() != k.String() {
			t.Errorf("%q became %q, %v", k, back, err)
		}
	}
}

func TestKeptRefusesEdits(t *testing.T) {
	t.Parallel()
	ours := kept{functions: []keptFunction{{address: mustAddress("0000:01:00.0"), model: Model{0x10de, 0x2c05}, drivers: []string{"nouveau"}}}}.String()
	for _, text := range []string{
		"\n", "# a comment\n", ours + "options vfio-pci disable_vga=1\n", strings.TrimSuffix(ours, "\n"),
		strings.Replace(ours, "10de:2c05", "10DE:2C05", 1), strings.Replace(ours, "0000:01:00.0", "01:00.0", 1),
		"# function 0000:01:00.0 10de:2c05\n", "# function x 10de:2c05 a\n", "# function 0000:01:00.0 10de a\n",
	} {
		if k, err := parseKept(text); err == nil {
			t.Errorf("%q was taken for %q", text, k)
		}
	}
}

func FuzzKept(f *testing.F) {
	f.Add(kept{functions: []keptFunction{{address: mustAddress("0000:01:00.0"), model: Model{0x10de, 0x2c05}, drivers: []string{"a", "b"}}},
		args: []string{"iommu=pt"}}.String())
	f.Add(keptHead + "# function 0000:0b:00.0 10de:2504 \n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKept(text)
		if err == nil && k.String() != text {
			t.Fatalf("%q prints as %q", text, k)
		}
	})
}

// A shell that reads the snippet for GRUB gets exactly the arguments of the
// plan.
func FuzzGRUBSnippet(f *testing.F) {
	f.Add("quiet", "iommu=pt")
	f.Add("a $b", "x=\"y z\"")
	f.Add("a", "b\\<<0")
	f.Fuzz(func(t *testing.T, before, arg string) {
		if arg == "" || arg == "--" || strings.ContainsAny(before+arg, "\n\r'\"") || strings.TrimSpace(arg) != arg || strings.ContainsFunc(arg, isSpace) {
			return
		}
		defaults := HostFile{Path: "etc/default/grub", Text: grubDefault + "='" + before + "'\n"}
		got, err := grubCmdline([]HostFile{defaults, {Path: grubFile, Text: grubSnippet([]string{arg})}})
		if err != nil || !got.Has(arg) && !strings.Contains(before, "--") {
			t.Fatalf("%q with %q: %q, %v", before, arg, got, err)
		}
	})
}
