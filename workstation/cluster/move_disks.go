package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// The variable "copied" holds the types of storage whose volumes PVE copies to
// another node (qemu-server PVE/QemuMigrate.pm, scan_local_volumes).
var copied = []string{"dir", "btrfs", "zfspool", "lvmthin", "lvm"}

// Judges the volumes that the nodes do not share, and estimates the time.
func (j *mover) disks() {
	for _, volume := range j.facts.CDs {
		key := j.slot(volume)
		j.block("cluster.move-cd", key+": "+volume, "PVE moves no VM with a CD of its node", fmt.Sprintf("take it out: qm set %d --%s none,media=cdrom", j.move.VMID, key))
	}
	for _, name := range j.facts.Storages {
		j.block("cluster.move-storage", "storage "+name+" is not on node "+j.move.To, "its disks have no place there",
			fmt.Sprintf("first move the disks to a storage that both nodes have: qm disk move %d DISK STORAGE, on node %s", j.move.VMID, j.move.From))
	}
	var requests []storage.DiskRequest
	for _, disk := range j.facts.Disks {
		pool, _, _ := qmconf.CutVolume(disk.Volume)
		if slices.Contains(j.facts.Storages, pool) {
			continue
		}
		disk.Replicated = j.replicates(pool)
		disk = j.size(disk)
		j.disk(disk, pool)
		j.move.Disks = append(j.move.Disks, disk)
		switch {
		case disk.Replicated:
		case disk.Size == 0:
			j.move.Unsized++
		default:
			j.move.Copied += disk.Size
			requests = append(requests, storage.DiskRequest{Name: disk.Volume, Purpose: storage.Data, Size: disk.Size, Storage: pool})
		}
	}
	j.room(requests)
	j.replication()
	if j.opts.Speed > 0 && j.move.Unsized == 0 {
		j.move.Estimate = (time.Duration(float64(j.move.Copied)/float64(j.opts.Speed)) * time.Second).Round(time.Second)
	}
}

// Judges whether PVE can copy a volume.
func (j *mover) disk(disk MoveDisk, pool string) {
	i := slices.IndexFunc(j.from.Pools, func(p storage.Pool) bool { return p.Name == pool })
	_, file, _ := qmconf.CutVolume(disk.Volume)
	switch key := j.slot(disk.Volume); {
	case strings.HasPrefix(disk.Volume, "/"):
		j.block("cluster.move-path", key+": "+disk.Volume, "PVE moves no VM with a disk of its node that is named by a path",
			fmt.Sprintf("bring the disk to a storage: qm disk move %d %s STORAGE; or detach it: qm set %d --delete %s", j.move.VMID, key, j.move.VMID, key))
	case i >= 0 && !slices.Contains(copied, j.from.Pools[i].Type):
		j.block("cluster.move-type", fmt.Sprintf("%s: %s, on a storage of type %s", key, disk.Volume, j.from.Pools[i].Type), "PVE copies no volumes of this type to another node",
			fmt.Sprintf("move the disk to another storage: qm disk move %d %s STORAGE", j.move.VMID, key))
	case strings.Contains(file, "base-") && strings.Contains(file, "/vm-"):
		j.block("cluster.move-clone", key+": "+disk.Volume, "it is a linked clone, which needs its template on the same node",
			fmt.Sprintf("make it a disk of its own: qm disk move %d %s STORAGE", j.move.VMID, key))
	case i >= 0 && j.vm.Config["parent"] != "" && !keepsSnapshots(j.from.Pools[i].Type, file):
		j.block("cluster.move-snapshot", fmt.Sprintf("snapshot %s, with %s on a storage of type %s", j.vm.Config["parent"], disk.Volume, j.from.Pools[i].Type), "PVE copies snapshots only from ZFS and of qcow2 files",
			fmt.Sprintf("delete the VM's snapshots: qm listsnapshot %d; qm delsnapshot %d NAME", j.move.VMID, j.move.VMID))
	}
}

// keepsSnapshots reports whether PVE copies a volume together with its
// snapshots.
func keepsSnapshots(kind, file string) bool {
	return kind == "zfspool" || strings.HasSuffix(file, ".qcow2") || kind == "btrfs" && strings.HasSuffix(file, ".raw")
}

// Returns the configuration key that names a volume.
func (j *mover) slot(volume string) string {
	for key, value := range j.vm.Config {
		if strings.HasPrefix(value+",", volume+",") {
			return key
		}
	}
	return "a snapshot"
}

// Reports whether the VM's replication job keeps copies of the storage's
// volumes on the target. PVE replicates only ZFS.
func (j *mover) replicates(pool string) bool {
	r := j.facts.Replication
	i := slices.IndexFunc(j.from.Pools, func(p storage.Pool) bool { return p.Name == pool })
	return r != nil && !r.Disabled && !r.LastSync.IsZero() && i >= 0 && j.from.Pools[i].Type == "zfspool"
}

// Fills in the size from PVE's list of volumes if the configuration does not
// contain the size. For example, it contains no size for a disk that is not
// attached.
func (j *mover) size(disk MoveDisk) MoveDisk {
	for _, pool := range j.from.Pools {
		for _, v := range pool.Volumes {
			if v.ID == disk.Volume && disk.Size == 0 {
				disk.Size = v.Size
			}
		}
	}
	return disk
}

// Judges whether the target has room for the copies.
func (j *mover) room(requests []storage.DiskRequest) {
	choices, err := storage.Place(requests, j.to.Pools, j.opts.Place)
	var full *storage.NoPlaceError
	for _, line := range parts(err) {
		if errors.As(line, &full) {
			j.block("cluster.move-room", errorWords(full)[0], "PVE would notice it only in the middle of the copy",
				"free space on node "+j.move.To+", or first move the disk to another storage that both nodes have: qm disk move")
		}
	}
	_, findings := storage.Forecast(choices, j.to.Pools)
	for _, f := range findings {
		f.Subject += " on node " + j.move.To
		j.findings = append(j.findings, f)
	}
}

// Reports the state of the replication to the target.
func (j *mover) replication() {
	r := j.facts.Replication
	if r == nil {
		return
	}
	seen := fmt.Sprintf("replication job %s, last copy %s", r.ID, r.LastSync.UTC().Format(time.DateTime+" MST"))
	switch {
	case r.Disabled:
		j.find(proxstation.Info, "cluster.move-replication", "replication job "+r.ID+" is disabled", "all disks are copied", "enable it some time before the move: pvesr enable "+r.ID)
	case r.LastSync.IsZero():
		j.find(proxstation.Info, "cluster.move-replication", "replication job "+r.ID+" has made no copy yet", "all disks are copied", "wait until it has run: pvesr status")
	case r.Failures > 0:
		j.find(proxstation.Warning, "cluster.move-replication", fmt.Sprintf("%s; failed %d times since: %s", seen, r.Failures, r.Error), "PVE runs it once more before the move, and moves nothing if it fails again", "see why it fails: pvesr status, on node "+j.move.From)
	default:
		j.move.LastSync, j.move.LastRun = r.LastSync, r.LastRun
	}
}

// gigabit is the number of bytes that a network of 1 Gbit/s copies in a second,
// without overhead.
const gigabit = 110 * storage.MiB

// The function "disks" returns a number of disks in words.
func disks(n int) string {
	if n == 1 {
		return "1 disk"
	}
	return fmt.Sprintf("%d disks", n)
}

// Describes how long the move takes.
func (m Move) time() string {
	var text string
	switch {
	case m.Copied == 0 && m.Unsized == 0 && len(m.Disks) == 0:
		text = "seconds: all its disks are on storages that both nodes share"
	case m.Copied == 0 && m.Unsized == 0:
		text = "short"
	case m.Unsized > 0:
		text = fmt.Sprintf("the time is not known, because the size of %s is not known; the other disks have %s", disks(m.Unsized), m.Copied.Human())
	case m.Estimate > 0:
		text = fmt.Sprintf("about %s for %s", m.Estimate, m.Copied.Human())
	default:
		text = fmt.Sprintf("the time is not known, because no speed is given: %s are copied, which takes about %s on a network of 1 Gbit/s", m.Copied.Human(),
			(time.Duration(m.Copied/gigabit) * time.Second).Round(time.Second))
	}
	if !m.LastSync.IsZero() {
		text += fmt.Sprintf("; of replicated disks only what changed since %s is copied", m.LastSync.UTC().Format(time.DateTime+" MST"))
		if m.LastRun > 0 {
			text += fmt.Sprintf(", which last took %s", m.LastRun)
		}
	}
	return text
}

func (m Move) change() workstation.StepChange {
	c := workstation.StepChange{Sign: workstation.SignModify, Object: fmt.Sprintf("VM %d %s", m.VMID, m.Name),
		Lines: []workstation.StepLine{{Sign: workstation.SignModify, Key: "node", Have: m.From, Want: m.To, Note: "it has to be off"}},
		Needs: []workstation.Privilege{{Path: fmt.Sprintf("/vms/%d", m.VMID), Name: "VM.Migrate"}}}
	for _, d := range m.Disks {
		note := "copied"
		if d.Replicated {
			note = "replicated: only changes are copied"
		}
		size := d.Size.Human()
		if d.Size == 0 {
			size = "of unknown size"
		}
		c.Lines = append(c.Lines, workstation.StepLine{Sign: workstation.SignModify, Key: "disk", Want: d.Volume + ", " + size, Note: note})
	}
	c.Lines = append(c.Lines, workstation.StepLine{Sign: workstation.SignModify, Key: "time", Want: m.time()})
	return c
}
