package pvetest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// The method "scan" finds the local volumes of the VM, and returns how long it
// takes to copy them (PVE/QemuMigrate.pm, scan_local_volumes).
func (m *migration) scan(t *task) (takes time.Duration, err error) {
	n, problems := m.from, 0
	replicated := map[string]bool{}
	if n.jobTo(m.v.id, m.to.host.Name) != nil {
		replicated = n.replicatable(m.v)
	}
	for _, use := range m.uses() {
		s, name, there := n.volume(use.volume)
		if s != nil && s.Shared {
			continue
		}
		problem := m.cannotCopy(s, name, there, use)
		if problem != nil {
			t.say("%s can't migrate local disk '%s': %v", n.stamp(), use.volume, problem)
			problems++
			continue
		}
		moved := movedVolume{id: use.volume, volume: s.volumes[name], pool: m.poolFor(s.Name), replicated: replicated[use.volume]}
		m.volumes = append(m.volumes, moved)
		if moved.replicated {
			t.say("%s found local, replicated disk '%s' (attached)", n.stamp(), use.volume)
			takes += 2 * time.Second // for a replicated volume, only the data written since the last replication is copied
			continue
		}
		t.say("%s found local disk '%s' (attached)", n.stamp(), use.volume)
		takes += m.copying(moved.volume.Size)
	}
	if problems > 0 {
		return 0, refuse("Problem found while scanning volumes - can't migrate VM - check log")
	}
	if m.v.running {
		takes += m.copying(m.v.memory)
	}
	return takes + time.Second, nil
}

func (m *migration) copying(size int64) time.Duration {
	speed := int64(networkSpeed)
	if m.limit > 0 {
		speed = min(speed, int64(m.limit)<<10)
	}
	return time.Duration(float64(size) / float64(speed) * float64(time.Second))
}

// poolFor returns the storage on the target that gets the volumes of a local
// storage.
func (m *migration) poolFor(pool string) string {
	return cmp.Or(m.storages[pool], m.storages[""], pool)
}

// A volumeUse is a volume that a VM's configuration names.
type volumeUse struct {
	volume   string
	attached bool
	cdrom    bool
	snapshot bool
}

// The method "uses" returns the volumes that the VM names, in order.
func (m *migration) uses() []volumeUse {
	all := map[string]*volumeUse{}
	note := func(config map[string]string, snapshot, attached bool) {
		for _, key := range sorted(config) {
			d := parseDrive(config[key])
			if !isDrive(key) && !strings.HasPrefix(key, "unused") || d.volume == "none" || d.volume == "" || d.options["shared"] == "1" {
				continue
			}
			if all[d.volume] == nil {
				all[d.volume] = &volumeUse{volume: d.volume, cdrom: d.media() == "cdrom" && !d.cloudinit()}
			}
			all[d.volume].snapshot = all[d.volume].snapshot || snapshot
			all[d.volume].attached = all[d.volume].attached || attached && isDrive(key)
		}
	}
	note(m.v.config, false, true)
	note(m.v.pending, false, false)
	for _, s := range m.v.snaps {
		note(s.config, true, false)
	}
	list := []volumeUse{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		list = append(list, *all[id])
	}
	return list
}

// cannotCopy returns an error if a volume cannot be copied to the target.
func (m *migration) cannotCopy(s *storage, name string, there bool, use volumeUse) error {
	pool, _, _ := strings.Cut(use.volume, ":")
	switch {
	case strings.HasPrefix(use.volume, "/"):
		return refuse("local file/device")
	case use.volume == "cdrom":
		return refuse("can't migrate local cdrom drive")
	case s == nil:
		return refuse("storage '%s' does not exist", pool)
	}
	if err := m.to.holdsVolume(m.poolFor(s.Name), use.volume); err != nil {
		return err
	}
	switch {
	case use.cdrom:
		return refuse("local cdrom image")
	case !there:
		return s.missing(name)
	case s.volumes[name].VMID != m.v.id:
		return refuse("owned by other VM (owner = VM %d)", s.volumes[name].VMID)
	case use.snapshot && s.Type != "zfspool" && !strings.HasSuffix(name, ".qcow2"):
		return refuse("non-migratable snapshot exists")
	case strings.Contains(name, "base-"):
		_, rest, _ := strings.Cut(name, "base-")
		return refuse("can't migrate '%s' as it's a clone of 'base-%s'", use.volume, rest)
	case m.v.running && use.attached && !m.withDisks:
		return refuse("can't live migrate attached local disks without with-local-disks option")
	case !slices.Contains([]string{"dir", "btrfs", "zfspool", "lvmthin", "lvm"}, s.Type):
		return refuse("can't migrate '%s' - storage type '%s' not supported", use.volume, s.Type)
	}
	if target := m.to.storages[m.poolFor(s.Name)]; target.noSpace(name, s.volumes[name].Size) != nil {
		return target.noSpace(name, s.volumes[name].Size)
	}
	return nil
}

// The method "finish" copies the volumes and moves the configuration to the
// target. A migration that fails leaves no copies on the target. In PVE itself,
// a failed migration may leave copies.
func (m *migration) finish(t *task, began time.Time) {
	n, v := m.from, m.v
	var err error
	switch {
	case !n.sees(m.to):
		err = refuse("command '/usr/bin/ssh ... root@%s ...' failed: exit code 255", m.to.host.address())
	case !n.quorate():
		err = refuse("unable to open file '/etc/pve/nodes/%s/qemu-server/%d.conf.tmp' - Permission denied", n.host.Name, v.id)
	case v.running:
		err = m.goLive()
	}
	if err != nil {
		m.abort(t, began, err)
		return
	}
	renamed := map[string]string{}
	for _, moved := range m.volumes {
		renamed[moved.id] = m.copy(moved)
	}
	for _, section := range append([]map[string]string{v.config, v.pending}, configsOf(v.snaps)...) {
		for key, value := range section {
			if d := parseDrive(value); renamed[d.volume] != "" && (isDrive(key) || strings.HasPrefix(key, "unused")) {
				section[key] = strings.Replace(value, d.volume, renamed[d.volume], 1)
			}
		}
	}
	delete(v.config, "lock")
	t.cancel = nil
	n.unreserve(v.id)
	v.moveTo(n, m.to)
	n.switchJobs(v.id, m.to.host.Name, n.host.Name)
	t.say("%s migration finished successfully (duration %s)", n.stamp(), duration(n.now.Sub(began)))
	n.finish(t, nil)
}

func configsOf(snaps []snapshot) (configs []map[string]string) {
	for _, s := range snaps {
		configs = append(configs, s.config)
	}
	return configs
}

// The method "copy" moves a volume to the target, and returns its name there. A
// replicated volume also stays on the source. A later migration back to the
// source then takes less time.
func (m *migration) copy(moved movedVolume) string {
	source, name, _ := m.from.volume(moved.id)
	target := m.to.storages[moved.pool]
	made := *moved.volume
	if !moved.replicated {
		for i := 0; target.volumes[made.Name] != nil; i++ {
			made.Name = strings.Replace(name, name[strings.LastIndex(name, "disk-"):], "disk-"+text(i), 1)
		}
	}
	target.put(&made)
	if !moved.replicated {
		source.drop(name)
	}
	return moved.pool + ":" + made.Name
}

// goLive moves the process of a running VM to the target.
func (m *migration) goLive() error {
	v, from, to := m.v, m.from, m.to
	if v.memory > to.freeMemory() {
		return refuse("kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory")
	}
	if len(v.devices) > 0 {
		return refuse("online migrate failure - VM %d qmp command 'migrate' failed - VFIO migration is not supported in kernel", v.id)
	}
	from.inUse -= v.memory
	to.inUse += v.memory
	v.pid = to.pid()
	return nil
}
