package guest

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// Bootable returns the arguments for a machine that prints the volume from
// which it starts. Each volume is replaced by a [Payload] in dir, which writes
// [Said] and the volume's name to QEMU's standard output. A new disk
// ("local-lvm:64"), an empty drive and cloud-init's drive have no payload. An
// NVMe disk of the host has a payload with the name "host:" and the disk's
// address. If the machine has a boot order, Bootable adds a last disk to it,
// with the name [Nothing].
//
// Bootable makes the same replacements as [Arguments]. In addition, the machine
// has firmware without Secure Boot (which would refuse the payloads), 512 MiB
// of memory and no TPM. It has VirtIO SCSI in place of controllers for which
// OVMF has no driver. It does not start from networks.
func Bootable(config map[string]string, dir string, host Host) ([]string, error) {
	k := &kvm{config: config, dir: dir, network: "hubport,hubid=0", host: host, bootable: true}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		drive, err := storage.ParseDrive(config[key])
		if _, name, _ := strings.Cut(drive.Volume, ":"); driveKey.MatchString(key) && err == nil && strings.Trim(name, "0123456789.") != "" && !strings.Contains(name, "cloudinit") {
			k.write(key, drive.Volume, drive.IsCDROM())
		}
		if strings.HasPrefix(key, "hostpci") {
			for _, f := range host(config[key]) {
				k.write("on-"+key, "host:"+f.Address.String(), false)
			}
		}
	}
	args, err := k.line()
	if len(k.start) > 0 {
		k.write("last", Nothing, false)
		args = append(args, "-drive", "if=none,id=last,format=raw,file="+filepath.Join(dir, "last"), "-device", "virtio-blk-pci,drive=last,bootindex=99999")
	}
	return args, cmp.Or(err, k.err)
}

// Nothing is the volume from which a bootable machine starts if it starts from
// no other volume.
const Nothing = "nothing"

func (k *kvm) write(file, volume string, isCD bool) {
	path := filepath.Join(k.dir, file)
	err := os.WriteFile(path, Payload(volume, isCD), 0o600)
	if err == nil {
		err = enlarge(path, 1<<20) // SeaBIOS does not read disks that are smaller than a cylinder
	}
	if err != nil {
		k.fail("%w", err)
	}
}

var driveKey = regexp.MustCompile(`^(virtio|scsi|sata|ide)\d+$`)

// bootIndexes returns each device's position in the firmware's boot order
// (qemu-server PVE/QemuServer.pm, device_bootorder and bootorder_from_legacy).
func bootIndexes(config map[string]string) map[string]int {
	start := map[string]int{}
	if order, ordered := strings.CutPrefix(config["boot"], "order="); ordered {
		for i, key := range strings.FieldsFunc(order, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			start[key] = 100 + i
		}
		return start
	}
	letters := strings.TrimPrefix(cmp.Or(config["boot"], "cdn"), "legacy=")
	disks, media := 100*(1+strings.IndexByte(letters, 'c')), 100*(1+strings.IndexByte(letters, 'd'))
	for _, key := range slices.Sorted(maps.Keys(config)) {
		switch {
		case !driveKey.MatchString(key):
		case strings.Contains(config[key], "media=cdrom"):
			if media > 0 {
				start[key], media = media, media+1
			}
		case disks > 0 && key == config["bootdisk"]:
			start[key] = disks
		}
	}
	return start
}
