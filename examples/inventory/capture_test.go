package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/workstation/inventory"
)

func jsonOf(t *testing.T, machine fs.FS) string {
	t.Helper()
	inventory, err := inventory.Read(machine)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(inventory, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// An inventory of a capture equals the inventory of its host.
func TestACaptureSaysWhatTheHostSays(t *testing.T) {
	t.Parallel()
	for _, name := range hosttree.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// An absolute link of the host has to stay within the capture.
			tree, err := hosttree.Load(name, "file etc/default/elsewhere quiet", "link etc/modprobe.d/far.conf /etc/default/elsewhere")
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "captured")
			denied, err := capture(t.Context(), tree, dir)
			if err != nil || len(denied) > 0 {
				t.Fatalf("denied %v, %v", denied, err)
			}
			if want, have := jsonOf(t, tree), jsonOf(t, os.DirFS(dir)); have != want {
				t.Errorf("the capture says\n%s\nthe host\n%s", have, want)
			}
			opened, err := hosttree.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if want, have := jsonOf(t, tree), jsonOf(t, opened); have != want {
				t.Errorf("opened, the capture says\n%s\nthe host\n%s", have, want)
			}
		})
	}
}

// secretive is a VM's configuration with secrets that a capture must not
// contain.
const secretive = `#a note
args: -device isa-applesmc,osk="ourhardwork" -cpu host,-hypervisor
cipassword: $5$hash
hostpci0: 0000:01:00,pcie=1
machine: q35
sshkeys: ssh-ed25519
[PENDING]
delete: cipassword
`

func TestACaptureKeepsNoSecretOfAVM(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("amd-desktop", "file etc/pve/nodes/pve/qemu-server/140.conf "+strconv.Quote(secretive), "link etc/pve/qemu-server nodes/pve/qemu-server",
		`file etc/pve/lxc/105.conf "dev0: /dev/dri/renderD128\nlxc.environment: PASSWORD=x\n"`)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "captured")
	if _, err := capture(t.Context(), tree, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "etc/pve/qemu-server/140.conf"))
	want := "args: -device isa-applesmc,osk=... -cpu host,-hypervisor\nhostpci0: 0000:01:00,pcie=1\nmachine: q35\n[PENDING]\ndelete: cipassword\n"
	if err != nil || string(text) != want {
		t.Errorf("captured %q, %v; want %q", text, err, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "etc/pve/lxc/105.conf")); err != nil || string(text) != "dev0: /dev/dri/renderD128\n" {
		t.Errorf("of a container %q, %v", text, err)
	}
}

func TestACaptureNamesWhatOnlyRootMayRead(t *testing.T) {
	t.Parallel()
	const table = "sys/firmware/acpi/tables/DMAR"
	tree, err := hosttree.Load("reference", "deny "+table)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "captured")
	denied, err := capture(t.Context(), tree, dir)
	if err != nil || len(denied) != 1 || denied[0] != table {
		t.Errorf("denied %v, %v; want %s", denied, err, table)
	}
	if info, err := os.Stat(filepath.Join(dir, table)); err != nil || info.Mode().Perm() != 0 {
		t.Errorf("%s in the capture: %v, %v; want mode 0", table, info, err)
	}
	var out bytes.Buffer
	if tell(&out, dir, denied); !strings.Contains(out.String(), table) {
		t.Errorf("it is not told: %s", &out)
	}
}

func TestCapturingThisMachine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "captured")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-capture", dir}, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), dir) {
		t.Errorf("it says %q", &out)
	}
	if have, want := readBack(t, "-root", dir).IOMMU.State, readBack(t).IOMMU.State; have != want {
		t.Errorf("IOMMU %s in the capture, %s here", have, want)
	}
	if err := run(t.Context(), []string{"-capture", dir}, &out); err == nil {
		t.Error("a directory that is there is written into")
	}
}

// An interrupted or incomplete capture is not accepted as a machine.
func TestACaptureThatIsNotCompleteSaysSo(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("reference")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "captured")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := capture(ctx, tree, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := hosttree.Open(dir); !errors.Is(err, hosttree.ErrIncomplete) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("cut off: %v", err)
	}
	whole := filepath.Join(t.TempDir(), "captured")
	if _, err := capture(t.Context(), tree, whole); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(whole, "proc/cmdline"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), []string{"-root", whole}, io.Discard)
	if !errors.Is(err, hosttree.ErrIncomplete) || !strings.Contains(err.Error(), "copy it again") {
		t.Errorf("copied in part: %v", err)
	}
}
