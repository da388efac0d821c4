package iommu_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

// Read finds the devices on which a host depends in a rare way. It leaves out
// devices on which the host only seems to depend.
func TestUsesThatHide(t *testing.T) {
	t.Parallel()
	const nvme, nic = "0000:0e:00.0", "0000:0f:00.0"
	for name, test := range map[string]struct {
		address string
		want    string // the reason for the refusal; "" if the function is free
		seen    string
		lines   []string
	}{
		"a disk of an NVMe subsystem": {nvme, "iommu.in-use", "/mnt/data", []string{
			"function 0000:0e:00.0 class=010802 id=144d:a80a driver=nvme group=40",
			"dir sys/devices/pci0000:00/0000:0e:00.0/nvme/nvme9", "dir sys/devices/virtual/nvme-subsystem/nvme-subsys9/nvme9n1",
			`file sys/devices/virtual/nvme-subsystem/nvme-subsys9/nvme9n1/dev "259:90\n"`,
			"link sys/devices/virtual/nvme-subsystem/nvme-subsys9/nvme9 ../../../pci0000:00/0000:0e:00.0/nvme/nvme9",
			"link sys/class/block/nvme9n1 ../../devices/virtual/nvme-subsystem/nvme-subsys9/nvme9n1",
			`file proc/self/mountinfo "30 1 252:1 / / rw - ext4 /dev/mapper/pve-root rw\n61 30 259:90 / /mnt/data rw - ext4 /dev/nvme9n1 rw\n"`}},
		"a boot partition that is not mounted": {nvme, "iommu.in-use", "boot partition 1A2B-3C4D", []string{
			"function 0000:0e:00.0 class=010802 id=144d:a80a driver=nvme group=40", "block nvme9n1 at=0000:0e:00.0/nvme/nvme9 size=1024 dev=259:90",
			`file run/udev/data/b259:90 "E:ID_FS_UUID=1A2B-3C4D\n"`, `file etc/kernel/proxmox-boot-uuids "9999-0000\n1A2B-3C4D\n"`}},
		"a second network card in a bridge": {nic, "iommu.in-use", "port enp9 of bridge vmbr9", []string{
			"function 0000:0f:00.0 class=020000 id=8086:1539 driver=igb group=41", "net enp9 at=0000:0f:00.0", "net vmbr9 ports=enp9"}},
		"a second network card": {nic, "", "", []string{
			"function 0000:0f:00.0 class=020000 id=8086:1539 driver=igb group=41", "net enp9 at=0000:0f:00.0"}},
		"a card of virtual functions": {nic, "iommu.virtual-functions", "has vfio-pci", []string{
			"function 0000:0f:00.0 class=020000 id=8086:1521 driver=igb group=41", "function 0000:0f:10.0 class=020000 id=8086:1520 driver=vfio-pci group=42",
			"link sys/bus/pci/devices/0000:0f:10.0/physfn ../0000:0f:00.0"}},
	} {
		facts := read(t, "reference", test.lines...)
		_, err := facts.Bind(addresses(t, test.address), nil)
		if got := refusedFor(err); test.want != "" && got != test.want || test.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), test.seen) {
			t.Errorf("%s: %v, want %s and %q", name, err, test.want, test.seen)
		}
	}
}

// The plan lets vfio-pci come first, even if other authors wrote softdeps for
// the same drivers. These softdeps keep the order of their modules.
func TestOrderBesideOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file      string
		want, not []string
	}{
		"nothing of others": {"", []string{"softdep nouveau pre: vfio-pci", "softdep nvidia pre: vfio-pci"}, nil},
		"Debian's nvidia": {"install nvidia modprobe -i nvidia-current $CMDLINE_OPTS\nalias nvidia-drm nvidia-current-drm\n",
			[]string{"softdep nvidia_current pre: vfio-pci", "softdep nouveau pre: vfio-pci"}, []string{"softdep nvidia pre"}},
		"nouveau kept away":     {"install nouveau /bin/false\n", []string{"softdep nvidia pre: vfio-pci"}, []string{"softdep nouveau"}},
		"a command with more":   {"install nouveau modprobe -i nouveau 2>/dev/null\n", []string{"softdep nvidia pre: vfio-pci"}, []string{"softdep 2", "softdep nouveau"}},
		"a command with a path": {"install nouveau /sbin/modprobe -C /etc/x.conf -i nouveau; modprobe other\n", []string{"softdep nvidia pre: vfio-pci"}, []string{"softdep /etc", "softdep other"}},
		"a softdep of others":   {"softdep nvidia post: nvidia-uvm nvidia-drm\n", []string{"softdep nvidia pre: vfio-pci post: nvidia-uvm nvidia-drm"}, nil},
		"over two lines":        {"softdep nvidia \\\n pre: drm post: nvidia-uvm\n", []string{"softdep nvidia pre: vfio-pci drm post: nvidia-uvm"}, nil},
	} {
		lines := []string{}
		if test.file != "" {
			lines = append(lines, "file etc/modprobe.d/nvidia.conf "+strconv.Quote(test.file))
		}
		plan, err := read(t, "two-identical-cards", lines...).Prepare(addresses(t, "0000:0b:00.0", "0000:0b:00.1"), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range test.want {
			if !strings.Contains(plan.String(), "+"+want+"\n") {
				t.Errorf("%s: no %q in\n%s", name, want, plan)
			}
		}
		for _, not := range test.not {
			if strings.Contains(plan.String(), not) {
				t.Errorf("%s: %q in\n%s", name, not, plan)
			}
		}
	}
	_, err := read(t, "two-identical-cards", `file etc/modprobe.d/x.conf "softdep vfio-pci post: vfio_iommu_type1\n"`).Prepare(addresses(t, "0000:0b:00.0"), nil)
	if refusedFor(err) != "iommu.foreign-order" {
		t.Errorf("a softdep of vfio-pci, and a card by its address: %v", err)
	}
}

// If a prepared host is prepared again after a restart, it stays prepared.
func TestPreparedAgainAfterARestart(t *testing.T) {
	t.Parallel()
	host := func(driver string) string {
		return "function 0000:0e:00.0 class=010802 id=144d:a80a driver=" + driver + " group=40"
	}
	plan, err := read(t, "reference", "file etc/modprobe.d/vfio.conf", host("nvme")).Prepare(addresses(t, "0000:0e:00.0"), nil)
	if err != nil || !strings.Contains(plan.String(), "+softdep nvme pre: vfio-pci\n") || plan.Reboot == "" {
		t.Fatalf("%v, %s", err, plan)
	}
	lines := []string{"file etc/modprobe.d/vfio.conf", host("vfio-pci")}
	for _, change := range plan.Changes {
		lines = append(lines, "file "+change.Path+" "+strconv.Quote(*change.After))
	}
	again, err := read(t, "reference", lines...).Prepare(addresses(t, "0000:0e:00.0"), nil)
	if err != nil || !again.Empty() || again.Reboot != "" {
		t.Errorf("again: %v, %s", err, again)
	}
}

func TestModprobeFilesAsKmodReadsThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"options over two lines":    {`file etc/modprobe.d/x.conf "options vfio-pci \\\n ids=8086:1234\n"`, "iommu.foreign-ids"},
		"a file that is not read":   {`file etc/modprobe.d/.x.conf "options vfio-pci ids=8086:1234\n"`, "<nil>"},
		"ids of the running kernel": {"cmdline quiet vfio-pci.ids=8086:1234", "iommu.foreign-ids"},
	} {
		lines := []string{test.line}
		if strings.HasPrefix(test.line, "cmdline") {
			lines = append(lines, "dir sys/firmware/efi") // with this line, no boot loader is known
		}
		_, err := read(t, "two-identical-cards", lines...).Prepare(addresses(t, "0000:0b:00.0"), nil)
		if got := refusedFor(err); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	facts := read(t, "reference", `file etc/modules-load.d/x.conf "# vfio_virqfd\n"`)
	if got := ids(facts.Check()); slices.Contains(got, "iommu.virqfd-gone") {
		t.Errorf("a comment: %v", got)
	}
	_, err := read(t, "amd-desktop", `file etc/kernel/cmdline "# ours\nroot=ZFS=rpool/ROOT/pve-1\n"`).Prepare(addresses(t, "0000:0c:00.0"),
		&iommu.PrepareOptions{Args: []string{"iommu=pt"}, Allow: []iommu.UseKind{iommu.UseConsole}})
	_, dracutErr := read(t, "two-identical-cards", "dir etc/dracut.conf.d").Prepare(addresses(t, "0000:0b:00.0"), nil)
	if !errors.Is(dracutErr, iommu.ErrLoader) || !strings.Contains(fmt.Sprint(dracutErr), "dracut") {
		t.Errorf("dracut: %v", dracutErr)
	}
	if plan, err := read(t, "two-identical-cards", "dir etc/dracut.conf.d").GiveBack(addresses(t, "0000:0b:00.0")); err != nil || !plan.Empty() {
		t.Errorf("dracut, given back what is not kept: %v, %s", err, plan)
	}
	if !strings.Contains(fmt.Sprint(err), "has no root=") {
		t.Errorf("a command line that begins with a comment: %v", err)
	}
}
