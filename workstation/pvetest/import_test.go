package pvetest_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Only root@pam with a password may import from a path on the node. Nobody may
// import from a volume of content type iso.
func TestImportFromAPath(t *testing.T) {
	t.Parallel()
	const there = "/var/lib/vz/template/iso/recovery.iso"
	tests := map[string]struct{ source, login, says string }{
		"a file of the node":   {there, "", ""},
		"one that is not":      {"/root/none.iso", "", "can't find file '/root/none.iso'"},
		"by a token":           {there, "token", "Only root can pass arbitrary filesystem paths."},
		"an image for CDs":     {"local:iso/virtio-win-0.1.285.iso", "", "has wrong type 'iso' - needs to be 'images' or 'import'"},
		"an image for imports": {"local:import/recovery-sequoia.raw", "token", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pvetest.Reference()
			host.Files = map[string]int64{there: 1 << 30}
			inBubble(t, host, func(l *lab) {
				if tt.login == "" {
					l.asRoot()
				}
				got := l.task("POST", "/nodes/pve/qemu", "vmid", "150", "sata0", "local-lvm:0,import-from="+tt.source+",media=disk")
				if tt.says == "" && got != "OK" || !strings.Contains(got, tt.says) {
					t.Fatalf("%q, want %q", got, tt.says)
				}
				if _, made := l.VM(150); made != (tt.says == "") {
					t.Errorf("the VM is there: %v", made)
				}
			})
		})
	}
}
