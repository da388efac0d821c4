package guest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// drive adds a drive and its controller, with a sparse file of its size.
func (k *kvm) drive(key, value string) {
	drive, err := storage.ParseDrive(value)
	if err != nil {
		k.fail("%w", err)
	}
	size, err := storage.ParseSize(drive.Get("size"))
	if err != nil {
		size = 4 * storage.MiB // of cloud-init's drive, which says none
	}
	file := filepath.Join(k.dir, key)
	if err := enlarge(file, int64(size)); err != nil {
		k.fail("%w", err)
	}
	model, readOnly := "hd", ""
	if drive.IsCDROM() {
		model, readOnly = "cd", ",readonly=on"
	}
	discard := "ignore"
	if drive.Get("discard") == "on" {
		discard = "unmap"
	}
	k.add("-drive", "if=none,id=drive-%s,file=%s,format=raw,discard=%s%s", key, file, discard, readOnly)
	k.diskDevice(key, model, drive)
}

// enlarge gives a file at least the size, in bytes, and makes it if need be.
func enlarge(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < size {
		err = file.Truncate(size)
	}
	return errors.Join(err, file.Close())
}

func (k *kvm) diskDevice(key, model string, drive storage.Drive) {
	kind := strings.TrimRight(key, "0123456789")
	n, err := strconv.Atoi(strings.TrimPrefix(key, kind))
	if err != nil {
		k.fail("%w", err)
	}
	options := k.bootIndex(key)
	if drive.Get("ssd") == "1" {
		options += ",rotation_rate=1"
	}
	if serial := drive.Get("serial"); serial != "" {
		options += ",serial=" + serial
	}
	thread := ""
	if drive.Get("iothread") == "1" {
		k.add("-object", "iothread,id=iothread-%s", key)
		thread = ",iothread=iothread-" + key
	}
	switch kind {
	case "virtio":
		k.device("virtio-blk-pci,drive=drive-%s,id=%s,bus=pci.0,addr=0x%x%s%s", key, key, 10+n, thread, options)
	case "scsi":
		if k.config["scsihw"] != "virtio-scsi-single" {
			k.fail("scsihw: %s", k.config["scsihw"])
		}
		k.device("virtio-scsi-pci,id=virtioscsi%d,bus=pci.3,addr=0x%x%s", n, n+1, thread)
		k.device("scsi-%s,bus=virtioscsi%d.0,channel=0,scsi-id=0,lun=%d,drive=drive-%s,id=%s,device_id=drive-%s%s", model, n, n, key, key, key, options)
	case "sata":
		if !slices.Contains(k.args, "ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7") {
			k.device("ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7")
		}
		k.device("ide-%s,bus=ahci0.%d,drive=drive-%s,id=%s%s", model, n, key, key, options)
	case "ide":
		controller, unit := n/2, n%2
		if k.q35 {
			controller, unit = controller+2*unit, 0
		}
		k.device("ide-%s,bus=ide.%d,unit=%d,drive=drive-%s,id=%s%s", model, controller, unit, key, key, options)
	}
}
