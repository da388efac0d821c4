package pvetest_test

import (
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A VM's configuration may name a disk of the host by its path. The VM then
// starts, and the disk takes no space on a storage.
func TestVMWithADiskOfTheHost(t *testing.T) {
	t.Parallel()
	vm := pvetest.VM{ID: 150, Config: config("name:=files scsi0:=local-lvm:vm-150-disk-0,size=8G scsi1:=/dev/disk/by-id/ata-WDC_WD40EFRX,size=3907018584K")}
	inBubble(t, machines(vm), func(l *lab) {
		if end := l.task("POST", "/nodes/pve/qemu/150/status/start"); end != "OK" {
			t.Errorf("the start ends with %q", end)
		}
	})
}
