package qmconf

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

var slotFormat = regexp.MustCompile(`^(ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|efidisk0|tpmstate0)$`)

// IsSlot reports whether a configuration key holds a drive (qemu-server
// PVE/QemuServer/Drive.pm).
func IsSlot(key string) bool { return slotFormat.MatchString(key) }

// BuiltWith holds the options that describe how a firmware volume was made,
// each with its default. In PVE these options only describe the volume: a
// changed option does not change the volume (qemu-server
// PVE/QemuServer/OVMF.pm, PVE/QemuServer/Drive.pm).
var BuiltWith = map[string]string{"efitype": "2m", "pre-enrolled-keys": "0", "version": "v1.2"}

// Satisfies compares two values of a key. It reports whether have contains the
// settings in want. If want asks for a new disk, any disk on the same storage
// satisfies it.
func Satisfies(key, have, want string) bool {
	drive, err := storage.ParseDrive(want)
	if !IsSlot(key) || err != nil {
		_, same := Merge(key, have, want)
		return same
	}
	if IsCloudInit(want) {
		return SameDrive(have, want)
	}
	existing, err := storage.ParseDrive(have)
	if err != nil {
		return false
	}
	pool, _ := drive.Pool()
	havePool, _ := existing.Pool()
	if _, amount, _ := strings.Cut(drive.Volume, ":"); amount != "" && strings.Trim(amount, "0123456789.") == "" {
		if pool != havePool {
			return false
		}
	} else if drive.Volume != existing.Volume {
		return false
	}
	for _, o := range drive.Options {
		if o.Key != "import-from" && o.Key != "size" && o.Key != "format" && Normal(existing.Get(o.Key)) != Normal(o.Value) {
			return false
		}
	}
	return true
}

// SameDrive reports whether two drive values mean the same drive. It ignores
// the size, which PVE itself sets. Two cloud-init drives on the same storage
// count as the same drive.
func SameDrive(a, b string) bool {
	one, errOne := storage.ParseDrive(a)
	two, errTwo := storage.ParseDrive(b)
	if errOne != nil || errTwo != nil {
		return a == b
	}
	if IsCloudInit(a) && IsCloudInit(b) {
		onePool, _ := one.Pool()
		twoPool, _ := two.Pool()
		return onePool == twoPool
	}
	lacks := func(x, y storage.Drive) bool {
		return slices.ContainsFunc(x.Options, func(o storage.DriveOption) bool {
			return o.Key != "size" && Normal(y.Get(o.Key)) != Normal(o.Value)
		})
	}
	return one.Volume == two.Volume && !lacks(one, two) && !lacks(two, one)
}

// IsFirmware reports whether a slot holds the state of the firmware or of the
// TPM.
func IsFirmware(slot string) bool { return slot == "efidisk0" || slot == "tpmstate0" }

// IsCD reports whether a drive value describes a CD drive.
func IsCD(value string) bool {
	drive, err := storage.ParseDrive(value)
	return err == nil && drive.IsCDROM()
}

// cloudInitVolume matches a cloud-init drive that exists or is requested
// (qemu-server PVE/QemuServer/Drive.pm, drive_is_cloudinit).
var cloudInitVolume = regexp.MustCompile(`[:/](vm-\d+-)?cloudinit(\.(raw|qcow2|vmdk))?$`)

// IsCloudInit reports whether a drive value is the drive of cloud-init.
func IsCloudInit(value string) bool {
	drive, err := storage.ParseDrive(value)
	return err == nil && cloudInitVolume.MatchString(drive.Volume)
}

// CutVolume splits the volume in a drive value into the storage and the name.
func CutVolume(value string) (pool, volume string, ok bool) {
	first, _, _ := strings.Cut(value, ",")
	return strings.Cut(first, ":")
}

// MiB writes a size as a number of MiB, which is the unit of the keys memory
// and balloon. A size that is not a whole number of MiB is written with its
// unit. PVE refuses such a value, and a finding can show it.
func MiB(size storage.Size) string {
	if size%storage.MiB != 0 {
		return fmt.Sprintf("%d bytes", int64(size))
	}
	return strconv.FormatInt(int64(size/storage.MiB), 10)
}

// CloudInitDrive takes the place of a volume in a request for a cloud-init
// drive. PVE makes the volume.
const CloudInitDrive = "cloudinit"
