package storage

import (
	"errors"
	"fmt"
	"strings"
)

// ErrDrive reports a text that is not a drive value.
var ErrDrive = errors.New("not a drive value")

// A Drive is the value of a drive key of a VM's configuration: scsi0, sata0,
// virtio0, ide0, efidisk0, tpmstate0 (qm.conf manual page). Options that this
// package does not know are kept as they are.
type Drive struct {
	// Volume is a volume ID ("local-lvm:vm-140-disk-0"), a device path, "none"
	// or "cdrom". In a request it can also be "local-lvm:64", for a new disk of
	// 64 GiB.
	Volume string
	// Options holds the parts after the volume, in the order in which they were
	// written.
	Options []DriveOption
}

// A DriveOption is one option of a [Drive].
type DriveOption struct{ Key, Value string }

// NewDrive returns the value that asks PVE for a new disk. PVE accepts
// gibibytes with a fraction. The size is rounded up to a mebibyte.
func NewDrive(pool string, size Size) Drive {
	mib := (size + MiB - 1) / MiB
	amount := fmt.Sprint(int64(mib) / 1024)
	if mib%1024 != 0 {
		amount = strings.TrimRight(fmt.Sprintf("%.10f", float64(mib)/1024), "0")
	}
	return Drive{Volume: pool + ":" + amount}
}

// ParseDrive parses a drive value. The error matches [ErrDrive].
func ParseDrive(s string) (Drive, error) {
	var d Drive
	for i, field := range strings.Split(s, ",") {
		key, value, found := strings.Cut(field, "=")
		switch {
		case !found && i == 0 && field != "":
			d.Volume = field
		case found && key == "file" && d.Volume == "":
			d.Volume = value
		case found && key != "" && value != "" && key != "file" && !d.Has(key):
			d.Options = append(d.Options, DriveOption{key, value})
		default:
			return Drive{}, fmt.Errorf("storage: drive %q: %q: %w", s, field, ErrDrive)
		}
	}
	if d.Volume == "" {
		return Drive{}, fmt.Errorf("storage: drive %q: no volume: %w", s, ErrDrive)
	}
	return d, nil
}

// String returns the value in PVE's notation.
func (d Drive) String() string {
	fields := []string{d.Volume}
	if strings.Contains(d.Volume, "=") {
		fields[0] = "file=" + d.Volume
	}
	for _, o := range d.Options {
		fields = append(fields, o.Key+"="+o.Value)
	}
	return strings.Join(fields, ",")
}

// Get returns the value of an option, or "" if the option is not set.
func (d Drive) Get(key string) string {
	for _, o := range d.Options {
		if o.Key == key {
			return o.Value
		}
	}
	return ""
}

// Has reports whether an option is set.
func (d Drive) Has(key string) bool { return d.Get(key) != "" }

// With sets an option in a copy of the drive, and returns the copy.
func (d Drive) With(key, value string) Drive {
	options := make([]DriveOption, 0, len(d.Options)+1)
	set := false
	for _, o := range d.Options {
		if o.Key == key {
			o.Value, set = value, true
		}
		options = append(options, o)
	}
	if !set {
		options = append(options, DriveOption{key, value})
	}
	d.Options = options
	return d
}

// Pool returns the storage that holds the volume. ok is false for a device
// path, for an empty drive and for the host's own CD drive.
func (d Drive) Pool() (name string, ok bool) {
	name, _, ok = strings.Cut(d.Volume, ":")
	return name, ok && !strings.HasPrefix(d.Volume, "/")
}

// IsCDROM reports whether the drive is a CD drive.
func (d Drive) IsCDROM() bool { return d.Get("media") == "cdrom" || d.Volume == "cdrom" }

// Size returns the size of the disk. ok is false for a drive value without a
// size.
func (d Drive) Size() (size Size, ok bool) {
	size, err := ParseSize(d.Get("size"))
	return size, err == nil
}

// Suit returns the drive with the options that suit the media under it, and the
// reasons for these options. Options that are set already stay.
//
//   - discard=on if the pool gets back the space of data that the guest deletes
//     (PVE manual, Trim/Discard).
//   - ssd=1 on SSD and NVMe, so that the guest trims and does not defragment.
//     On virtio there is no such option.
//   - iothread=1 on scsi and virtio, so that one busy disk does not hold up
//     the VM. On scsi this option needs the controller virtio-scsi-single. PVE
//     warns at each start without this controller (PVE manual, IO Thread).
//
// scsihw is the VM's SCSI controller, as in its configuration. Cache and aio
// keep PVE's defaults (none, io_uring), which suit all media.
func (d Drive) Suit(slot, scsihw string, pool Pool) (Drive, string) {
	bus := strings.TrimRight(slot, "0123456789")
	var reasons []string
	add := func(key, value, why string) {
		if !d.Has(key) {
			d, reasons = d.With(key, value), append(reasons, why)
		}
	}
	if bus == "efidisk" || bus == "tpmstate" || d.IsCDROM() {
		return d, ""
	}
	if pool.Overcommits() {
		add("discard", "on", pool.Type+" gets deleted blocks back")
	}
	if bus == "scsi" && scsihw == "virtio-scsi-single" || bus == "virtio" {
		add("iothread", "1", "its own I/O thread")
	}
	if bus != "virtio" && (pool.Tier == Tier1 || pool.Tier == Tier2) {
		add("ssd", "1", "the guest sees an SSD")
	}
	return d, strings.Join(reasons, ", ")
}
