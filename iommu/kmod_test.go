package iommu

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The parser agrees with kmod, whose configuration is printed by modprobe -c.
// The names of the modules in these tests begin with "px", so that they differ
// from the modules in the machine's own kernel arguments.
func TestModprobeReadsTheSame(t *testing.T) {
	t.Parallel()
	modprobe, err := exec.LookPath("modprobe")
	if err != nil {
		modprobe, err = exec.LookPath("/usr/sbin/modprobe")
	}
	if err != nil {
		if os.Getenv("PROXSTATION_LAB") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, text := range []string{
		"options px-pci ids=10de:2504, 10de:228e disable_vga=1\n", "options px_pci\n", "options px.ids=1\n", "Options px a=1\n", "\toptions px a=1\n",
		"# px \\\nblacklist pxa\nblacklist pxb\n", "blacklist pxa pxb\n", "blacklist pxa\r\n", "blacklist=pxa\n", "blacklist px*\n", "blacklist\n",
		"softdep pxa pre: px-b post: pxc\n", "softdep pxa pre pxb\n", "softdep pxa pre:pxb\n", "softdep pxa pre: pxb,\n", "softdep pxa pxb\n",
		"install pxa /bin/false\n", "install pxa\n", "options pxa ids=\\\n  10de:1,\\\n  10de:2\n", "options pxa a=1 \\ \nb=2\n", "\ufeffblacklist pxa\nblacklist pxb\n",
		"include /etc/px\n", "alias pxa pxb\n", "options pxa a=1 # note\n", "blacklist pxa", "\\\nblacklist pxa\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		output, err := exec.CommandContext(t.Context(), modprobe, "-C", dir, "-c").Output()
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range strings.Lines(string(output)) {
			if words := strings.Fields(line); len(words) > 1 && verbs[words[0]] > 0 && words[0] != "alias" && strings.HasPrefix(words[1], "px") {
				want = append(want, squash(line))
			}
		}
		directives, _ := parseModprobe(HostFile{Path: "etc/modprobe.d/x.conf", Text: text})
		for _, d := range directives {
			switch d.verb {
			case "alias":
			case "blacklist":
				got = append(got, squash("blacklist"+d.module))
			case "softdep":
				line := "softdep" + d.module
				if pre := d.softdep(); len(pre) > 0 {
					line += "pre:" + strings.Join(pre, "")
				}
				got = append(got, strings.ReplaceAll(squash(line), "-", "_"))
			default:
				got = append(got, squash(d.verb+d.module+d.rest))
			}
		}
		for i, line := range want { // the parser ignores the part of a softdep after "post:"
			if strings.HasPrefix(line, "softdep") {
				before, _, _ := strings.Cut(line, "post:")
				want[i] = strings.ReplaceAll(before, "-", "_")
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q is read as %q, by kmod as %q", text, got, want)
		}
	}
}

// squash removes all blanks from a line, because kmod and this package keep
// different blanks.
func squash(line string) string { return strings.Join(strings.Fields(line), "") }
