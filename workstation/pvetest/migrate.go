package pvetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// migrate serves POST migrate (qemu-server PVE/API2/Qemu.pm, migrate_vm). After
// a refusal, nothing has changed. If the request is accepted, its task can
// still fail.
func (n *Node) migrate(c *call, v *vm) (any, error) {
	target := c.get("target")
	if target == n.host.Name || target == "localhost" {
		return nil, wrong("target", "target is local node.")
	}
	to := n.member(target)
	if to == nil {
		return nil, refuse("no such cluster node '%s'", target)
	}
	for _, name := range []string{"force", "migration_type", "migration_network"} {
		if c.has(name) && c.get(name) != "0" && !c.who.root() {
			return nil, wrong(name, "Only root may use this option.")
		}
	}
	if err := locked(v); err != nil {
		return nil, err
	}
	m := &migration{from: n, to: to, v: v, online: v.running, force: c.get("force") == "1", withDisks: c.get("with-local-disks") == "1", limit: c.number("bwlimit")}
	if v.running && c.get("online") != "1" {
		return nil, refuse("can't migrate running VM without --online")
	}
	if jobs := n.jobsOf(v.id); v.running && !m.force && len(jobs) > 0 && n.jobTo(v.id, target) == nil {
		return nil, m.notReplicated()
	}
	if err := m.readStorages(c); err != nil {
		return nil, err
	}
	if n.ha.managed(v.id) {
		return n.migrateByHA(c, target)
	}
	return m.start(c.who.user).upid, nil
}

// A migration moves a VM to another node.
type migration struct {
	from, to  *Node
	v         *vm
	online    bool
	force     bool
	withDisks bool
	limit     int // limit of the bandwidth in KiB/s; 0 means no limit
	// storages maps each storage on the source to the storage on the target
	// that gets the volumes. The key "" stands for all other storages.
	storages map[string]string
	volumes  []movedVolume
}

// A movedVolume is a local volume of a VM that migrates.
type movedVolume struct {
	id         string
	volume     *Volume
	pool       string // storage on the target
	replicated bool
}

// networkSpeed is the number of bytes that a migration copies each second, by
// SSH over a link of 1 Gbit/s.
const networkSpeed = 110 << 20

// readStorages parses the parameter targetstorage. "1" keeps each volume on a
// storage with the same name. "fast" moves all volumes to the storage "fast".
// "slow:fast" moves the volumes of the storage "slow" to the storage "fast"
// (pve-common PVE/JSONSchema.pm, parse_idmap).
func (m *migration) readStorages(c *call) error {
	m.storages = map[string]string{}
	for _, entry := range pveschema.SplitList(c.get("targetstorage")) {
		from, to, pair := strings.Cut(entry, ":")
		if !pair {
			from, to = "", entry
		}
		if to == "1" && !pair {
			continue
		}
		if err := c.who.needs("/storage/"+to, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		if err := m.to.holdsVolume(to, ""); err != nil {
			return err
		}
		m.storages[from] = to
	}
	if len(m.storages) > 0 {
		return c.who.needs(vmPath(m.v.id), "VM.Config.Disk")
	}
	if err := m.from.available(m.v.config); err != nil {
		return err
	}
	return m.to.available(m.v.config)
}

func (m *migration) notReplicated() error {
	return refuse("Cannot live-migrate replicated VM to node '%s' - not a replication target. Use 'force' to override.", m.to.host.Name)
}

// The method "start" makes the migration's task on the node that has the VM
// (PVE/QemuMigrate.pm and pve-guest-common PVE/AbstractMigrate.pm).
func (m *migration) start(user string) *task {
	n := m.from
	t := n.fork("qmigrate", text(m.v.id), user)
	n.withLock(t, m.v.id, func() {
		began := n.now
		n.step(t, time.Second, func() {
			if err := m.prepare(t); err != nil {
				m.abort(t, began, err)
				return
			}
			t.say("%s starting migration of VM %d to node '%s' (%s)", n.stamp(), m.v.id, m.to.host.Name, m.to.host.address())
			m.v.config["lock"] = "migrate"
			t.cancel = func() { delete(m.v.config, "lock") }
			takes, err := m.scan(t)
			if err != nil {
				m.abort(t, began, err)
				return
			}
			n.step(t, takes, func() { m.finish(t, began) })
		})
	})
	return t
}

func (n *Node) stamp() string { return n.now.Format("2006-01-02 15:04:05") }

// The method "abort" lets the task of a migration fail. It is only for a
// migration that has moved nothing yet.
func (m *migration) abort(t *task, began time.Time, err error) {
	if t.cancel != nil {
		t.cancel()
	}
	t.say("%s ERROR: migration aborted (duration %s): %v", m.from.stamp(), duration(m.from.now.Sub(began)), err)
	m.from.finish(t, refuse("migration aborted"))
}

func duration(d time.Duration) string {
	seconds := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// The method "prepare" is a part of the task. It checks once more whether the
// VM can leave its node.
func (m *migration) prepare(t *task) error {
	n, v := m.from, m.v
	job := n.jobTo(v.id, m.to.host.Name)
	switch {
	case n.vms[v.id] != v:
		return n.noConfig(v.id)
	case job != nil && job.remove != "":
		return refuse("refusing to migrate replicated VM whose replication job is marked for removal")
	case locked(v) != nil:
		return locked(v)
	case v.running && !m.online:
		return refuse("can't migrate running VM without --online")
	case v.running && !m.force && len(n.jobsOf(v.id)) > 0 && job == nil:
		return m.notReplicated()
	}
	local, mapped := n.localResources(v)
	local = slices.DeleteFunc(local, func(key string) bool { return mapped[key] != nil })
	if len(local) > 0 && !m.force {
		return refuse("can't migrate VM which uses local devices: %s", strings.Join(local, ", "))
	}
	if missing := m.to.unmapped(v.config); len(missing) > 0 {
		return refuse("can't migrate to '%s': missing mapped devices %s", m.to.host.Name, strings.Join(missing, ", "))
	}
	var bound []string
	for _, key := range sorted(mapped) {
		if mapped[key]["live-migration"] == nil {
			bound = append(bound, fmt.Sprintf("%s:%s", key, mapped[key]["name"]))
		}
	}
	if v.running && len(bound) > 0 {
		return refuse("can't live migrate running VM which uses following mapped devices: %s", strings.Join(bound, ", "))
	}
	if len(mapped) > 0 {
		t.say("%s migrating VM which uses mapped local devices", n.stamp())
	}
	if !n.sees(m.to) {
		return refuse("Can't connect to destination address using public key")
	}
	return nil
}
