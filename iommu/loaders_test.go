package iommu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// setups holds ten ways in which a host gets its kernel arguments. Each key
// names a described host of this repository. The field "reported" names a file
// with a user's report of the same set-up.
var setups = map[string]struct {
	reported      string
	loader        iommu.Loader
	file, command string
	configured    string // a text with a blank is a list of arguments; "" means not known
	id, seen, fix string // parts of the finding on arguments; "" if there is no finding
	advice        string // the advice on how to add an argument
}{
	"loader-grub-snippet": {reported: "L1-grub-lvm-iommu.cfg", loader: iommu.GRUB, file: "/etc/default/grub", command: "update-grub",
		configured: "quiet intel_iommu=on", advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart"},
	"loader-grub-other-variable": {reported: "L10-grub-cmdline-linux", loader: iommu.GRUB, file: "/etc/default/grub", command: "update-grub",
		configured: "intel_iommu=on iommu=pt quiet", advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart"},
	"loader-grub-blank": {reported: "L6-grub-trailing-blank", loader: iommu.GRUB, file: "/etc/default/grub", command: "update-grub",
		configured: "initcall_blacklist=sysfb_init", advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart"},
	"loader-grub-crlf": {reported: "L7-grub-crlf", loader: iommu.GRUB, file: "/etc/default/grub", command: "update-grub",
		configured: "quiet intel_iommu=on", id: "iommu.not-booted", seen: "intel_iommu=on", fix: "Run update-grub and restart.",
		advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart"},
	"loader-grub-set-anew": {reported: "L9-grub-later-file-sets-anew", loader: iommu.GRUB, file: "/etc/default/grub.d/zz-custom.cfg", command: "update-grub",
		configured: "quiet nomodeset", id: "iommu.off", seen: "/etc/default/grub line 1 has intel_iommu=on, which does nothing: /etc/default/grub.d/zz-custom.cfg line 1 sets GRUB_CMDLINE_LINUX_DEFAULT anew",
		fix:    "Add intel_iommu=on to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub.d/zz-custom.cfg, run update-grub, and restart.",
		advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub.d/zz-custom.cfg, run update-grub, and restart"},
	"loader-grub-synced": {reported: "L4-zfs-secureboot-grub-pbt", loader: iommu.SyncedGRUB, file: "/etc/default/grub", command: "proxmox-boot-tool refresh",
		configured: "root=ZFS=rpool/ROOT/pve-1 boot=zfs quiet", advice: "add x=1 to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run proxmox-boot-tool refresh, and restart"},
	"loader-sdboot-no-newline": {reported: "L2-sdboot-no-newline", loader: iommu.SystemdBoot, file: "/etc/kernel/cmdline", command: "proxmox-boot-tool refresh",
		configured: "boot=zfs quiet iommu=pt", advice: "add x=1 to the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh, and restart"},
	"loader-sdboot-two-lines": {reported: "L3-sdboot-two-lines", loader: iommu.SystemdBoot, file: "/etc/kernel/cmdline", command: "proxmox-boot-tool refresh",
		configured: "root=ZFS=rpool/ROOT/pve-1 boot=zfs", id: "iommu.off", seen: "/etc/kernel/cmdline line 2 has intel_iommu=on iommu=pt",
		fix:    "Add intel_iommu=on iommu=pt to the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh, and restart.",
		advice: "add x=1 to the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh, and restart"},
	"loader-sdboot-quotes": {reported: "L5-sdboot-quotes", loader: iommu.SystemdBoot, file: "/etc/kernel/cmdline", command: "proxmox-boot-tool refresh",
		configured: `"quiet intel_iommu=on iommu=pt"`, id: "iommu.off", seen: "the quotes turn several arguments into one argument",
		fix:    `Remove the quotes around "quiet intel_iommu=on iommu=pt" in the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh, and restart.`,
		advice: "add x=1 to the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh, and restart"},
	"loader-entries": {reported: "L8-arch-sdboot-entries", loader: iommu.LoaderUnknown, file: "/boot/loader/entries/arch.conf",
		id: "iommu.loader-unknown", seen: "systemd-boot", fix: "the line options of the boot entry /boot/loader/entries/arch.conf",
		advice: "add x=1 to the line options of the boot entry /boot/loader/entries/arch.conf, and restart"},
}

func TestTenWaysToGiveAHostItsArguments(t *testing.T) {
	t.Parallel()
	for name := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantSetup(t, name, read(t, name))
		})
	}
}

func TestReportedLoaders(t *testing.T) {
	t.Parallel()
	for name, setup := range setups {
		t.Run(setup.reported, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join("..", "..", "shared", "cases", "loaders", setup.reported+".txt")
			if _, err := os.Stat(file); err != nil && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			tree, err := hosttree.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			facts, err := iommu.Read(tree)
			if err != nil {
				t.Fatal(err)
			}
			wantSetup(t, name, facts)
		})
	}
}

// wantSetup checks where a host's arguments are configured, and the finding on
// the arguments. In one set-up, a later file replaces the variable of an
// earlier file. The described host then loses the argument that turns the IOMMU
// on. The reported host lost another argument, so its IOMMU is on.
func wantSetup(t *testing.T, name string, facts iommu.Facts) {
	t.Helper()
	want := setups[name]
	place := facts.Place()
	if place.Loader != want.loader || place.File != want.file || place.Command != want.command {
		t.Errorf("loader %v, file %q, command %q (%s)", place.Loader, place.File, place.Command, place.Why)
	}
	if got, err := facts.Configured(); (err != nil) != (want.configured == "") || !strings.Contains(got.String(), want.configured) {
		t.Errorf("configured %q, %v; want %q", got, err, want.configured)
	}
	if got := facts.Advise("x=1"); got != want.advice {
		t.Errorf("to add an argument: %q, want %q", got, want.advice)
	}
	if state, _ := facts.State(); want.id == "iommu.off" && state == iommu.On {
		return
	}
	found := false
	for _, f := range facts.Check() {
		if f.ID == want.id {
			found = strings.Contains(f.Seen, want.seen) && strings.Contains(f.Fix, want.fix)
		}
		if f.Subject == "kernel arguments" && f.ID != want.id || f.ID == want.id && !found {
			t.Errorf("found %v", f)
		}
	}
	if found != (want.id != "") {
		t.Errorf("no %s", want.id)
	}
}
