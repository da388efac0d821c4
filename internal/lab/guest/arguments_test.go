package guest_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/lab/guest"
)

// small is the configuration of a VM that is similar to the VMs of the
// profiles.
var small = map[string]string{"agent": "enabled=1", "balloon": "0", "bios": "ovmf", "boot": "order=scsi0", "cores": "2", "cpu": "host", "machine": "q35", "memory": "4096",
	"net0": "virtio=BC:24:11:6A:00:2F,bridge=vmbr0", "scsihw": "virtio-scsi-single", "sockets": "1", "vga": "std",
	"efidisk0": "local-lvm:vm-141-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M", "scsi0": "local-lvm:vm-141-disk-1,size=8G,ssd=1",
	"scsi1": "service-pool:vm-141-disk-0,serial=models,size=1G", "scsi2": "local:iso/seed.iso,media=cdrom,size=66K"}

func TestArguments(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(guest.OVMF); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "scsi2"), []byte("seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments, err := guest.Arguments(small, dir, "user")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(arguments, " ")
	for _, want := range []string{
		"-m 2048 -smp 2 ", "-netdev user,id=net0 -device virtio-net-pci,mac=BC:24:11:6A:00:2F,",
		"scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,drive=drive-scsi0,id=scsi0,device_id=drive-scsi0,bootindex=100,rotation_rate=1",
		"lun=1,drive=drive-scsi1,id=scsi1,device_id=drive-scsi1,serial=models",
		"scsi-cd,bus=virtioscsi2.0,channel=0,scsi-id=0,lun=2,", "readonly=on",
		"path=" + dir + "/qga,server=on,wait=off", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	for file, size := range map[string]int64{"scsi0": 8 << 30, "scsi1": 1 << 30} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "scsi2")); err != nil || !strings.HasPrefix(string(data), "seed") {
		t.Errorf("the CD that was there: %.10q, %v", data, err)
	}
}

func TestArgumentsThatNobodyKnows(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(guest.OVMF); err != nil {
		t.Skip(err)
	}
	for key, value := range map[string]string{"parallel0": "/dev/parport0", "vga": "cirrus", "memory": "much", "scsi1": "local:x,size=1G,size=2G"} {
		config := maps.Clone(small)
		config[key] = value
		if _, err := guest.Arguments(config, t.TempDir(), ""); err == nil || !strings.HasPrefix(err.Error(), "guest: ") {
			t.Errorf("%s: %s: %v", key, value, err)
		}
	}
}
