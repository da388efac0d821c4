package iommu_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestBootLoader(t *testing.T) {
	t.Parallel()
	const grub, stub = "BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1", `initrd=\EFI\proxmox\6.8\initrd.img root=ZFS=rpool`
	yes, no, unknown := proxstation.Yes, proxstation.No, proxstation.Unknown
	for name, test := range map[string]struct {
		running      string
		info         string
		uefi, synced proxstation.Answer
		want         iommu.Loader
		says         string
	}{
		"GRUB on UEFI":                 {grub, "", yes, no, iommu.GRUB, "BOOT_IMAGE=/boot/vmlinuz"},
		"GRUB on BIOS":                 {grub, "", no, no, iommu.GRUB, "BOOT_IMAGE"},
		"ZFS on BIOS, or Secure Boot":  {grub, "", yes, yes, iommu.SyncedGRUB, "proxmox-boot-uuids lists"},
		"ZFS on UEFI":                  {stub, "", yes, yes, iommu.SystemdBoot, "initrd="},
		"systemd-boot by its variable": {"root=ZFS=rpool", "systemd-boot 252.1", yes, yes, iommu.SystemdBoot, "LoaderInfo"},
		"GRUB 2.12 by its variable":    {"root=/dev/sda1", "GRUB 2.12", yes, no, iommu.GRUB, "LoaderInfo"},
		"systemd-boot of its own":      {stub, "", yes, no, iommu.LoaderUnknown, "not by proxmox-boot-tool"},
		"contradiction":                {grub, "systemd-boot 252", yes, yes, iommu.LoaderUnknown, "contradiction"},
		"no trace on UEFI":             {"root=/dev/sda1", "", yes, yes, iommu.LoaderUnknown, "neither"},
		"no trace on BIOS":             {"root=/dev/sda1", "", no, no, iommu.GRUB, "BIOS machine"},
		"no trace, BIOS, ZFS":          {"root=/dev/sda1", "", no, yes, iommu.SyncedGRUB, "BIOS machine"},
		"no etc":                       {grub, "", yes, unknown, iommu.LoaderUnknown, "cannot be read"},
		"nothing":                      {"", "", unknown, unknown, iommu.LoaderUnknown, "neither"},
	} {
		facts := iommu.Facts{Running: cmdline(test.running),
			Loader: iommu.LoaderFacts{UEFI: test.uefi, Info: test.info, Synced: test.synced}}
		if got, why := facts.BootLoader(); got != test.want || !strings.Contains(why, test.says) {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, why, test.want, test.says)
		}
	}
}

func TestBootLoaderOfHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]struct {
		loader     iommu.Loader
		configured string
	}{
		"reference":           {iommu.GRUB, "quiet intel_iommu=on iommu=pt"},
		"amd-desktop":         {iommu.SystemdBoot, "root=ZFS=rpool/ROOT/pve-1 boot=zfs"},
		"two-identical-cards": {iommu.SyncedGRUB, "root=ZFS=rpool/ROOT/pve-1 boot=zfs quiet iommu=pt"},
		"no-iommu":            {iommu.GRUB, "quiet intel_iommu=on"},
	} {
		facts := read(t, host)
		loader, why := facts.BootLoader()
		if loader != want.loader {
			t.Errorf("%s: %v: %s", host, loader, why)
		}
		if got, err := facts.Configured(); err != nil || got.String() != want.configured {
			t.Errorf("%s: %q, %v; want %q", host, got, err, want.configured)
		}
	}
	if facts := read(t, "amd-desktop", "remove etc/kernel/cmdline"); facts.Loader.KernelCmdline != nil {
		t.Error("a file that is gone was read")
	} else if _, err := facts.Configured(); !errors.Is(err, iommu.ErrLoader) {
		t.Errorf("got %v", err)
	}
}

// plainDefaults holds files of plain assignments, with the arguments that they
// configure.
var plainDefaults = map[string]string{
	"GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"a\"":                             "a quiet",
	"GRUB_CMDLINE_LINUX_DEFAULT='quiet  x'  # why":                                               "quiet  x",
	"GRUB_CMDLINE_LINUX_DEFAULT=quiet\r":                                                         "quiet",
	"export GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"":                                                "quiet",
	"GRUB_CMDLINE_LINUX_DEFAULT=a\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT b\"": "a b",
	"A=x\nGRUB_CMDLINE_LINUX_DEFAULT=\"${A}y\"'$A'":                                              "xy$A",
	`GRUB_CMDLINE_LINUX_DEFAULT="dyndbg=\"file x\" \n"`:                                          `dyndbg="file x" \n`,
	"GRUB_DISTRIBUTOR=`lsb_release -i`\nGRUB_CMDLINE_LINUX_DEFAULT=quiet":                        "quiet",
	"#GRUB_CMDLINE_LINUX_DEFAULT=\"a\"\nGRUB_CMDLINE_LINUX_RECOVERY=$(x)":                        "",
	"if [ -e /x ]; then\n GRUB_TIMEOUT=1\nfi":                                                    "",
	"A=$(x)\nA=b\nGRUB_CMDLINE_LINUX_DEFAULT=\"a $A $B\"":                                        "a b",
}

func TestGRUBDefaults(t *testing.T) {
	t.Parallel()
	for text, want := range plainDefaults {
		got, err := configured(text)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"GRUB_CMDLINE_LINUX_DEFAULT=\"$(cat /x)\"":         "line 1: runs a program",
		"GRUB_CMDLINE_LINUX_DEFAULT=`x`":                   "runs a program",
		"\nGRUB_CMDLINE_LINUX_DEFAULT=\"a\nb\"":            "line 2: quote goes on",
		"GRUB_CMDLINE_LINUX_DEFAULT=a\\":                   "goes on in the next line",
		"GRUB_CMDLINE_LINUX_DEFAULT=\"${A:-b}\"":           "needs a shell",
		"GRUB_CMDLINE_LINUX_DEFAULT=a b":                   "more than one word",
		"GRUB_CMDLINE_LINUX_DEFAULT=a;b":                   "more than an assignment",
		"GRUB_CMDLINE_LINUX_DEFAULT+=a":                    "not a plain assignment",
		"if true; then\nGRUB_CMDLINE_LINUX_DEFAULT=a\nfi":  "is a program",
		"[ -e /x ] && GRUB_CMDLINE_LINUX_DEFAULT=a":        "not a plain assignment",
		"A=$(cat /x)\nGRUB_CMDLINE_LINUX_DEFAULT=\"a $A\"": "uses A, whose value needs a shell",
		"A=\"a\nGRUB_CMDLINE_LINUX_DEFAULT=evil\n\"":       "is a program",
		"cat <<E\nGRUB_CMDLINE_LINUX_DEFAULT=evil\nE":      "is a program",
		"false && \\\nGRUB_CMDLINE_LINUX_DEFAULT=evil":     "is a program",
	} {
		if got, err := configured(text); !errors.Is(err, iommu.ErrLoader) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// The files are evaluated in the same way as by the shell when grub-mkconfig
// reads them.
func TestGRUBDefaultsAsTheShellReadsThem(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	for text, want := range plainDefaults {
		file := filepath.Join(t.TempDir(), "grub")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "\r", "")), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(sh, "-c", `. "$0" 2>/dev/null; printf '%s %s' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"`, file).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: the shell says %q, %v; want %q", text, got, err, want)
		}
	}
}

// The function "configured" returns the arguments that a text configures if it is
// the content of /etc/default/grub.
func configured(text string) (string, error) {
	facts := iommu.Facts{Running: cmdline("BOOT_IMAGE=/x"),
		Loader: iommu.LoaderFacts{Synced: proxstation.No, Defaults: []iommu.HostFile{{Path: "etc/default/grub", Text: text}}}}
	c, err := facts.Configured()
	return c.String(), err
}

func TestSnippetsAreReadAfterTheDefaults(t *testing.T) {
	t.Parallel()
	facts := read(t, "reference", `file etc/default/grub.d/b.cfg "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT b\"\n"`,
		`file etc/default/grub.d/a.cfg "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT a\"\n"`,
		`file etc/default/grub.d/c.conf "GRUB_CMDLINE_LINUX_DEFAULT=c\n"`)
	if got, err := facts.Configured(); err != nil || got.String() != "quiet intel_iommu=on iommu=pt a b" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMenuIsWhatUpdateGRUBMade(t *testing.T) {
	t.Parallel()
	menu := read(t, "reference").Loader.Menu
	if menu == nil || menu.String() != "root=/dev/mapper/pve-root ro quiet intel_iommu=on iommu=pt" {
		t.Errorf("got %v", menu)
	}
	if menu := read(t, "reference", `file boot/grub/grub.cfg "set linux=1\n"`).Loader.Menu; menu != nil {
		t.Errorf("got %v", menu)
	}
}

func TestLoaderText(t *testing.T) {
	t.Parallel()
	for loader := iommu.LoaderUnknown; loader <= iommu.SystemdBoot; loader++ {
		text, err := json.Marshal(loader)
		var back iommu.Loader
		if err != nil || json.Unmarshal(text, &back) != nil || back != loader {
			t.Errorf("%v became %s and %v", loader, text, back)
		}
	}
	var l iommu.Loader
	if json.Unmarshal([]byte(`"lilo"`), &l) == nil || iommu.Loader(9).String() != "Loader(9)" {
		t.Error("lilo is no boot loader of PVE")
	}
}

func FuzzGRUBDefaults(f *testing.F) {
	f.Add("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX='a b'\n")
	f.Add("if x; then\nA=\"$B ${C}\"\nfi")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := configured(text)
		if err != nil && !errors.Is(err, iommu.ErrLoader) {
			t.Fatalf("%q: %v", text, err)
		}
		// Our snippet adds an argument and leaves everything else of a plain
		// file unchanged.
		if err != nil {
			return
		}
		with, err := configured(text + "\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT iommu=pt\"\n")
		if err != nil {
			return // the last line of the file had no newline at its end
		}
		if strings.TrimSuffix(with, "iommu=pt") == with || strings.Join(iommu.ParseCmdline(with).Args(), " ") == strings.Join(iommu.ParseCmdline(got).Args(), " ") {
			t.Fatalf("%q: %q, then %q", text, got, with)
		}
	})
}

// If a configuration of the boot loader cannot be read, a finding says so. The
// test also checks that the file does not count as missing.
func TestAnUnreadConfigurationIsTold(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"etc/default/grub", "etc/kernel/cmdline", "etc/default/grub.d/x.cfg"} {
		facts := read(t, "reference", "file "+file+" x", "deny "+file)
		told := slices.ContainsFunc(facts.Findings, func(f proxstation.Finding) bool { return f.ID == "iommu.unread" && f.Subject == "/"+file })
		if !told {
			t.Errorf("/%s: %v", file, facts.Findings)
		}
	}
}

// Facts from the API have no traces of a loader. BootLoader then says that the
// traces were not read. It does not say that the host has no traces.
func TestLoaderOfFactsWithoutTheHost(t *testing.T) {
	t.Parallel()
	loader, why := iommu.Facts{}.BootLoader()
	if loader != iommu.LoaderUnknown || !strings.Contains(why, "were not read") {
		t.Errorf("%s: %s", loader, why)
	}
}

// If the loader's file of arguments is missing, the fix names the missing file
// and how to make it. There is no line that could be corrected.
func TestFixOfAMissingConfiguration(t *testing.T) {
	t.Parallel()
	const grub, systemd = "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet", `initrd=\EFI\proxmox\initrd.img root=/dev/sda1 quiet`
	broken := []iommu.HostFile{{Path: "etc/default/grub", Text: "GRUB_CMDLINE_LINUX_DEFAULT = quiet\n"}}
	for name, test := range map[string]struct {
		running   string
		synced    proxstation.Answer
		defaults  []iommu.HostFile
		unread    string // a file that could not be read
		seen, fix string
	}{
		"GRUB":             {grub, proxstation.No, nil, "", "/etc/default/grub is not there (/proc/cmdline: BOOT_IMAGE=/vmlinuz", `write GRUB_CMDLINE_LINUX_DEFAULT="quiet" in /etc/default/grub, and run update-grub.`},
		"synced GRUB":      {grub, proxstation.Yes, nil, "", "/etc/default/grub is not there (", "run proxmox-boot-tool refresh."},
		"systemd-boot":     {systemd, proxstation.Yes, nil, "", "/etc/kernel/cmdline is not there (", "/proc/cmdline > /etc/kernel/cmdline, and then proxmox-boot-tool refresh."},
		"not read":         {grub, proxstation.No, nil, "/etc/default/grub", "/etc/default/grub was not read (", "as root"},
		"another not read": {grub, proxstation.No, nil, "/etc/kernel/cmdline", "/etc/default/grub is not there (", "proxmox-boot-tool status"},
		"no loader":        {"quiet", proxstation.Unknown, nil, "", "unknown", "proxmox-boot-tool status"},
		"a broken line":    {grub, proxstation.No, broken, "", "/etc/default/grub line 1", "Correct the line"},
	} {
		facts := iommu.Facts{Running: cmdline(test.running), Loader: iommu.LoaderFacts{Synced: test.synced, Defaults: test.defaults}}
		if test.unread != "" {
			facts.Findings = []proxstation.Finding{{ID: "iommu.unread", Subject: test.unread}}
		}
		if _, err := facts.Configured(); !errors.Is(err, iommu.ErrLoader) {
			t.Errorf("%s: %v", name, err)
		}
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.loader-unknown" })
		if len(found) != 1 || !strings.Contains(found[0].Seen, test.seen) || !strings.Contains(found[0].Fix, test.fix) ||
			strings.Contains(found[0].Fix, "Correct the line") != (test.defaults != nil) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
