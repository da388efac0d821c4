package storage_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/proxstation/proxstation/storage"
)

func TestParseDrive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, print string // print is empty if it is the same as text
		pool        string
		size        storage.Size
		cdrom       bool
	}{
		{text: "local-lvm:vm-140-disk-0,discard=on,iothread=1,size=64G", pool: "local-lvm", size: 64 * storage.GiB},
		{text: "local:140/vm-140-disk-0.qcow2,size=528K", pool: "local", size: 528 * storage.KiB},
		{text: "local:iso/virtio-win.iso,media=cdrom,size=790M", pool: "local", size: 790 * storage.MiB, cdrom: true},
		{text: "none,media=cdrom", cdrom: true},
		{text: "cdrom", cdrom: true},
		{text: "/dev/disk/by-id/ata-X", pool: ""},
		{text: "file=local-lvm:64,ssd=1", print: "local-lvm:64,ssd=1", pool: "local-lvm"},
		{text: "local-lvm:0,import-from=local:import/a.raw", pool: "local-lvm"},
		{text: "local-lvm:vm-1-disk-0,a-key-of-tomorrow=7", pool: "local-lvm"},
	}
	for _, test := range tests {
		d, err := storage.ParseDrive(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if want := test.print; d.String() != want && (want != "" || d.String() != test.text) {
			t.Errorf("%s prints as %s", test.text, d)
		}
		pool, ok := d.Pool()
		size, sized := d.Size()
		if ok != (test.pool != "") || ok && pool != test.pool || size != test.size || sized != (test.size > 0) || d.IsCDROM() != test.cdrom {
			t.Errorf("%s: pool %q, %v, size %s, cdrom %v", test.text, pool, ok, size, d.IsCDROM())
		}
	}
	for _, text := range []string{"", ",", "ssd=1", "a:b,c", "a:b,ssd=", "a:b,=1", "a:b,ssd=1,ssd=0", "a:b,file=c:d"} {
		if d, err := storage.ParseDrive(text); !errors.Is(err, storage.ErrDrive) {
			t.Errorf("ParseDrive(%q) = %v, %v, want ErrDrive", text, d, err)
		}
	}
}

func FuzzParseDrive(f *testing.F) {
	for _, seed := range []string{"local-lvm:vm-140-disk-0,size=64G", "file=a:b", "none,media=cdrom", "a,b=c=d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := storage.ParseDrive(text)
		if err != nil {
			return
		}
		again, err := storage.ParseDrive(d.String())
		if err != nil || again.String() != d.String() || again.Volume != d.Volume {
			t.Errorf("%q prints as %q, which is %v, %v", text, d, again, err)
		}
	})
}

func TestNewDrive(t *testing.T) {
	t.Parallel()
	for size, want := range map[storage.Size]string{64 * storage.GiB: "p:64", 1536 * storage.MiB: "p:1.5", 512 * storage.MiB: "p:0.5", 1: "p:0.0009765625", 2 * storage.TiB: "p:2048"} {
		if got := storage.NewDrive("p", size).String(); got != want {
			t.Errorf("NewDrive(%s) = %s, want %s", size, got, want)
		}
	}
}

func TestSuit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		slot, kind, scsihw string
		tier               storage.Tier
		drive              string
		want               string
	}{
		{"scsi0", "lvmthin", "virtio-scsi-single", storage.Tier1, "p:64", "p:64,discard=on,iothread=1,ssd=1"},
		{"scsi1", "lvm", "virtio-scsi-single", storage.Tier3, "p:64", "p:64,iothread=1"},
		{"virtio0", "zfspool", "virtio-scsi-single", storage.Tier1, "p:64", "p:64,iothread=1"},
		{"virtio0", "dir", "virtio-scsi-single", storage.Tier2, "p:64", "p:64,discard=on,iothread=1"},
		{"sata0", "lvmthin", "virtio-scsi-single", storage.Tier2, "p:64", "p:64,discard=on,ssd=1"},
		{"scsi0", "lvmthin", "virtio-scsi-single", storage.TierUnknown, "p:64", "p:64,discard=on,iothread=1"},
		{"scsi0", "lvmthin", "virtio-scsi-single", storage.Tier1, "p:64,discard=ignore,ssd=0", "p:64,discard=ignore,ssd=0,iothread=1"},
		{"scsi2", "lvm", "virtio-scsi-pci", storage.Tier3, "p:64", "p:64"},
		{"scsi2", "lvm", "", storage.Tier2, "p:64", "p:64,ssd=1"},
		{"virtio0", "lvm", "lsi", storage.Tier2, "p:64", "p:64,iothread=1"},
		{"efidisk0", "lvmthin", "virtio-scsi-single", storage.Tier1, "p:1", "p:1"},
		{"ide2", "dir", "virtio-scsi-single", storage.Tier1, "none,media=cdrom", "none,media=cdrom"},
	}
	for _, test := range tests {
		d, err := storage.ParseDrive(test.drive)
		if err != nil {
			t.Fatal(err)
		}
		got, why := d.Suit(test.slot, test.scsihw, storage.Pool{Storage: storage.Storage{Type: test.kind}, Tier: test.tier})
		if got.String() != test.want || (why == "") != (test.want == test.drive) {
			t.Errorf("%s on %s, tier %s: %s (%s), want %s", test.slot, test.kind, test.tier, got, why, test.want)
		}
		if again, _ := got.Suit(test.slot, test.scsihw, storage.Pool{Storage: storage.Storage{Type: test.kind}, Tier: test.tier}); again.String() != got.String() {
			t.Errorf("suited again: %s", again)
		}
		if d.String() != test.drive {
			t.Errorf("Suit changed its receiver to %s", d)
		}
	}
}

func ExampleDrive() {
	d, err := storage.ParseDrive("local-lvm:vm-140-disk-0,size=64G")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.With("cache", "writeback"))
	fmt.Println(storage.NewDrive("service-pool", 100*storage.GiB))
	// Output:
	// local-lvm:vm-140-disk-0,size=64G,cache=writeback
	// service-pool:100
}
