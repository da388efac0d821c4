package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// The method "drive" restores a key that holds a drive. It never takes a disk
// out of its slot.
func (r *restoring) drive(key string) {
	old, oldErr := storage.ParseDrive(r.Old[key])
	have, haveErr := storage.ParseDrive(r.Have[key])
	_, had := r.Old[key]
	_, has := r.Have[key]
	switch {
	case had && oldErr != nil || has && haveErr != nil:
		r.keptDisk("restore.unread", key, "its value cannot be read as a drive")
	case !had && have.IsCDROM():
		r.remove(key)
	case !had:
		r.keptDisk("restore.disk-added", key, "it was added since the snapshot")
	case !has:
		r.lostDrive(key, old)
	case old.IsCDROM() && have.IsCDROM():
		if !qmconf.SameDrive(r.Old[key], r.Have[key]) {
			r.set(key, asked(old).String())
		}
	case old.Volume == have.Volume:
		r.options(key, old, have)
	default:
		r.keptDisk("restore.disk-replaced", key, "the snapshot has "+old.Volume+" there")
	}
}

// The function "asked" returns the value that requests an old drive from PVE.
// For a cloud-init drive, the value requests a new drive, because PVE makes the
// drive anew. The size is left out, because PVE determines it.
func asked(old storage.Drive) storage.Drive {
	if pool, ok := old.Pool(); ok && qmconf.IsCloudInit(old.String()) {
		old.Volume = pool + ":" + qmconf.CloudInitDrive
	}
	var options []storage.DriveOption
	for _, o := range old.Options {
		if o.Key != "size" {
			options = append(options, o)
		}
	}
	old.Options = options
	return old
}

// asBuilt returns the old firmware drive, but takes the options that describe
// its volume from the present drive. PVE has written to the volume, and this
// cannot be undone. If ms-cert were set again, PVE would write to the volume
// once more (qemu-server PVE/QemuServer/OVMF.pm, drive_change).
func asBuilt(old, have storage.Drive) storage.Drive {
	keys := append(slices.Collect(maps.Keys(qmconf.BuiltWith)), "ms-cert")
	old.Options = slices.DeleteFunc(slices.Clone(old.Options), func(o storage.DriveOption) bool { return slices.Contains(keys, o.Key) })
	for _, o := range have.Options {
		if slices.Contains(keys, o.Key) {
			old.Options = append(old.Options, o)
		}
	}
	return old
}

// The method "options" restores the options of a disk that is still in its
// slot. The disk keeps its present size.
func (r *restoring) options(key string, old, have storage.Drive) {
	size, sized := have.Size()
	if before, known := old.Size(); known && sized && before < size {
		r.tell("restore.disk-grown", proxstation.Finding{Severity: proxstation.Info, Seen: fmt.Sprintf("%s has %s, in the snapshot %s", key, size, before),
			Why: "A disk is never made smaller."})
	}
	if qmconf.IsFirmware(key) {
		old = asBuilt(old, have)
	}
	if !qmconf.SameDrive(old.String(), r.Have[key]) {
		value := asked(old)
		if sized {
			value = value.With("size", have.Get("size"))
		}
		r.set(key, value.String())
	}
}

// lostDrive restores a drive whose slot is empty now: a CD drive, a detached
// disk that PVE kept as unused, or a disk of the host itself.
func (r *restoring) lostDrive(key string, old storage.Drive) {
	unused := false
	for other, value := range r.Have {
		unused = unused || qmconf.Family(other) == "unused" && value == old.Volume
	}
	if old.IsCDROM() || unused || strings.HasPrefix(old.Volume, "/") {
		r.set(key, asked(old).String())
		return
	}
	r.tell("restore.disk-gone", proxstation.Finding{Severity: proxstation.Warning, Seen: fmt.Sprintf("%s is empty, and %s is not among the unused disks", key, old.Volume),
		Why: "It was moved or destroyed since the snapshot.", Fix: "Attach it by hand, or restore it from a backup."})
}

func (r *restoring) keptDisk(id, key, why string) {
	r.tell(id, proxstation.Finding{Severity: proxstation.Info, Seen: key + ": " + r.Have[key], Why: why + "; restoring takes no disk away.",
		Fix: fmt.Sprintf("To detach the disk, shut the VM down and run qm disk unlink %d --idlist %s, which keeps the disk as unused.", r.ID, key)})
}
