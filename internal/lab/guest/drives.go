package guest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// drive adds a drive, a sparse file of the drive's size, and the drive's
// controller.
func (k *kvm) drive(key, value string) {
	drive, err := storage.ParseDrive(value)
	if err != nil {
		k.fail("%w", err)
	}
	size, err := storage.ParseSize(drive.Get("size"))
	if err != nil {
		size = 4 * storage.MiB // cloud-init's drive has no size in the configuration
	}
	model, readOnly := "hd", ""
	if drive.IsCDROM() {
		model, readOnly = "cd", ",readonly=on"
	}
	discard := "ignore"
	if drive.Get("discard") == "on" {
		discard = "unmap"
	}
	if !empty(drive) {
		k.add("-drive", "if=none,id=drive-%s,file=%s,format=raw,cache=unsafe,discard=%s%s", key, k.image(key, int64(size)), discard, readOnly)
	}
	k.diskDevice(key, model, drive)
}

// empty reports whether a CD drive has no medium.
func empty(drive storage.Drive) bool { return drive.Volume == "none" || drive.Volume == "cdrom" }

// image returns the path of a volume's file. It makes sure that the file has at
// least the given size.
func (k *kvm) image(name string, size int64) string {
	file := filepath.Join(k.dir, name)
	if err := enlarge(file, size); err != nil {
		k.fail("%w", err)
	}
	return file
}

// enlarge makes sure that a file has at least the given size. It creates a file
// that does not exist.
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
	options, from := k.bootIndex(key), ",drive=drive-"+key
	if empty(drive) {
		from = ""
	}
	if drive.Get("ssd") == "1" {
		options += ",rotation_rate=1"
	}
	if serial := drive.Get("serial"); serial != "" {
		options += ",serial=" + serial
	}
	thread := ""
	if drive.Get("iothread") == "1" && (kind == "virtio" || k.config["scsihw"] == "virtio-scsi-single") { // with any other controller, PVE warns and omits the thread
		k.add("-object", "iothread,id=iothread-%s", key)
		thread = ",iothread=iothread-" + key
	}
	switch kind {
	case "virtio":
		at := place(10 + n)
		if n > 5 {
			at = place(0x200 + n - 5)
		}
		k.device("virtio-blk-pci%s,id=%s,%s%s%s", from, key, at, thread, options)
	case "scsi":
		k.scsi(n, model, fmt.Sprintf("%s,id=%s,device_id=drive-%s%s", from, key, key, options), thread)
	case "sata":
		if !slices.Contains(k.args, "ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7") {
			k.device("ahci,id=ahci0,multifunction=on,bus=pci.0,addr=0x7")
		}
		k.device("ide-%s,bus=ahci0.%d%s,id=%s%s", model, n, from, key, options)
	case "ide":
		controller, unit := n/2, n%2
		if k.q35 {
			controller, unit = controller+2*unit, 0
		}
		k.device("ide-%s,bus=ide.%d,unit=%d%s,id=%s%s", model, controller, unit, from, key, options)
	}
}

// place returns a bus and an address as properties for QEMU. 0x203 stands for
// the address 3 on the bus pci.2.
func place(at int) string { return fmt.Sprintf("bus=pci.%d,addr=0x%x", at>>8, at&0xff) }

// scsi adds a SCSI drive and its controller (qemu-server
// PVE/QemuServer/DriveDevice.pm, scsihw_infos).
func (k *kvm) scsi(n int, model, rest, thread string) {
	hardware, most, name := cmp.Or(k.config["scsihw"], "lsi"), 256, "scsihw"
	switch {
	case k.bootable && k.config["bios"] == "ovmf" && hardware != "virtio-scsi-single":
		hardware = "virtio-scsi-pci"
	case strings.HasPrefix(hardware, "lsi"):
		most = 7
	case hardware == "virtio-scsi-single":
		hardware, most, name = "virtio-scsi-pci", 1, "virtioscsi"
	}
	controller := n / most
	at := place(5 + controller)
	if name == "virtioscsi" {
		at = place(0x300 + n + 1)
	}
	device := fmt.Sprintf("%s,id=%s%d,%s", hardware, name, controller, at)
	if !slices.ContainsFunc(k.args, func(arg string) bool { return strings.HasPrefix(arg, device) }) {
		k.device("%s%s", device, thread)
	}
	address := fmt.Sprintf("channel=0,scsi-id=0,lun=%d", n)
	if most == 7 || hardware == "pvscsi" {
		address = fmt.Sprintf("scsi-id=%d", n%most)
	}
	k.device("scsi-%s,bus=%s%d.0,%s%s", model, name, controller, address, rest)
}
