package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A duplicate describes a clone whose checks have passed.
type duplicate struct {
	source *vm
	config map[string]string // configuration to copy, from the VM or from a snapshot
	full   bool
	lists  []string // keys of the drives with volumes, in order
}

// clone serves POST clone. PVE makes all checks before the task begins, and
// repeats them in the task (qemu-server PVE/API2/Qemu.pm, clone_vm).
func (n *Node) clone(c *call) (any, error) {
	if _, err := n.checkClone(c); err != nil {
		return nil, err
	}
	id := c.number("vmid")
	t := n.fork("qmclone", text(id), c.who.user)
	n.withLock(t, id, func() {
		what, err := n.checkClone(c)
		if err != nil {
			n.finish(t, err)
			return
		}
		made := newVM(c.number("newid"))
		made.config["lock"] = "clone"
		n.addVM(made)
		t.cancel = func() { n.erase(made, true) }
		t.say("creating a clone of VM %d with ID %d", id, made.id)
		n.step(t, 5*n.taskTime(), func() { n.finish(t, n.cloneNow(c, t, what, made)) })
	})
	return t.upid, nil
}

func (n *Node) checkClone(c *call) (what duplicate, err error) {
	id, newID, name := c.number("vmid"), c.number("newid"), c.get("snapname")
	storage := n.storages[c.get("storage")]
	v := n.vms[id]
	switch {
	case c.has("pool") && n.pools[c.get("pool")] == nil:
		return what, refuseWith(http.StatusForbidden, "Permission check failed (pool '%s' does not exist)", c.get("pool"))
	case n.cloneTarget(c) == nil:
		return what, refuse("no such cluster node '%s'", c.get("target"))
	case c.has("storage") && storage == nil:
		return what, refuse("storage '%s' does not exist", c.get("storage"))
	case c.has("storage") && !storage.holds("images"):
		return what, wrong("storage", "storage '%s' does not support vm images", storage.Name)
	case v == nil:
		return what, refuse("unable to find configuration file for VM %d on node '%s'", id, n.host.Name)
	case locked(v) != nil:
		return what, locked(v)
	case name != "" && v.snapshot(name) < 0:
		return what, refuse("snapshot '%s' does not exist", name)
	}
	what = duplicate{source: v, config: v.config, full: v.config["template"] != "1"}
	if c.has("full") {
		what.full = c.get("full") == "1"
	}
	for _, key := range []string{"storage", "format"} {
		if c.has(key) && !what.full {
			return what, refuse("parameter '%s' not allowed for linked clones", key)
		}
	}
	if name != "" {
		what.config = v.snaps[v.snapshot(name)].config
	}
	if err := n.mayClone(c, what.config); err != nil {
		return what, err
	}
	if err := n.mayCloneTo(c, what.config); err != nil {
		return what, err
	}
	if n.exists(newID) {
		return what, refuse("unable to create VM %d: config file already exists", newID)
	}
	what.lists, err = n.cloneable(what, name)
	return what, err
}

// The method "cloneable" returns the keys of the drives whose volumes the clone
// copies or links. If a storage cannot copy or link a volume, the error names
// the volume.
func (n *Node) cloneable(what duplicate, snapshot string) (drives []string, err error) {
	of := ""
	if snapshot != "" {
		of = " a snapshot of"
	}
	for _, key := range sorted(what.config) {
		d := parseDrive(what.config[key])
		if !isDrive(key) || d.media() == "cdrom" && !d.cloudinit() {
			continue
		}
		if key == "tpmstate0" && what.full && what.source.running && snapshot == "" {
			return nil, refuse("cannot clone TPM state while VM is running")
		}
		feature, kind := "clone", "Linked"
		if what.full || d.cloudinit() || key == "tpmstate0" {
			feature, kind = "copy", "Full"
		}
		if !n.hasFeature(feature, d.volume, snapshot != "") {
			return nil, refuse("%s clone feature is not supported for%s '%s' (%s)", kind, of, d.volume, key)
		}
		drives = append(drives, key)
	}
	return drives, nil
}

// notCopied matches the keys that are not copied from the source to a clone.
var notCopied = regexp.MustCompile(`^(unused\d+|parent|snaptime|vmstate|snapstate|runningcpu|runningmachine|lock|template)$`)

// cloneNow makes the copy. If a volume fails, it removes the VM and all its
// volumes.
func (n *Node) cloneNow(c *call, t *task, what duplicate, made *vm) error {
	config := maps.Clone(what.config)
	maps.DeleteFunc(config, func(key, _ string) bool { return notCopied.MatchString(key) })
	for _, key := range what.lists {
		volume, err := n.cloneVolume(c, what, made.id, key)
		if err != nil {
			n.erase(made, true)
			return refuse("clone failed: %v", err)
		}
		d := parseDrive(config[key])
		t.say("create full clone of drive %s (%s)", key, d.volume)
		d.volume = volume
		config[key] = d.String()
		made.config[key] = config[key]
	}
	for key, value := range config {
		if strings.HasPrefix(key, "net") {
			config[key] = n.newMAC(value)
		}
	}
	smbios := property(config["smbios1"], "uuid")
	config["smbios1"] = strings.Trim(strings.ReplaceAll(config["smbios1"], "uuid="+smbios, "")+",uuid="+n.uuid(), ",")
	if config["vmgenid"] != "" {
		config["vmgenid"] = n.uuid()
	}
	config["name"] = cmp.Or(c.get("name"), "Copy-of-VM-"+cmp.Or(what.config["name"], text(what.source.id)))
	if c.get("description") != "" {
		config["description"] = c.get("description")
	}
	made.config = config
	if target := n.cloneTarget(c); target != n {
		made.moveTo(n, target)
	}
	if pool := c.get("pool"); pool != "" {
		n.poolGuests[pool] = append(n.poolGuests[pool], made.id)
	}
	return nil
}

// cloneVolume copies the volume of a drive, or makes a new volume that is
// linked to it.
func (n *Node) cloneVolume(c *call, what duplicate, id int, key string) (string, error) {
	d := parseDrive(what.config[key])
	s, name, there := n.volume(d.volume)
	if !there {
		return "", refuse("volume '%s' does not exist", d.volume)
	}
	old, pool, format := s.volumes[name], cmp.Or(c.get("storage"), s.Name), c.get("format")
	to, err := n.online(pool)
	switch {
	case err != nil:
		return "", err
	case !to.files():
		format = ""
	case to == s && format == "":
		format = old.Format
	}
	if d.cloudinit() {
		return n.allocate(pool, fmt.Sprintf("vm-%d-cloudinit", id), format, old.Size, id)
	}
	if what.full || key == "tpmstate0" {
		return n.allocate(pool, fmt.Sprintf("vm-%d-disk-", id), format, old.Size, id)
	}
	if s.files() {
		format = "qcow2" // a linked clone is a qcow2 file on top of its base
	}
	volume, err := n.allocate(pool, fmt.Sprintf("vm-%d-disk-", id), format, old.Size, id)
	if err != nil || s.Type == "lvmthin" { // on LVM the name of a clone does not contain the name of its base
		return volume, err
	}
	_, short, _ := strings.Cut(volume, ":")
	linked := s.volumes[short]
	s.drop(short)
	linked.Name = name + "/" + short
	s.put(linked)
	return s.Name + ":" + linked.Name, nil
}

var networkMAC = regexp.MustCompile(`(?i)[0-9a-f]{2}(:[0-9a-f]{2}){5}`)

// newMAC takes the value of a network card, and returns it with a new MAC
// address in place of the old address.
func (n *Node) newMAC(value string) string {
	r := n.random
	return networkMAC.ReplaceAllString(value, fmt.Sprintf("BC:24:11:%02X:%02X:%02X", r.IntN(256), r.IntN(256), r.IntN(256)))
}

// The variable "features" maps each kind of storage to the operations that it
// supports. Each operation has the list of volumes for which it works: a volume
// in use ("current"), the base of clones ("base") or a snapshot ("snap"). The
// entry "dir" is for qcow2 files (volume_has_feature of pve-storage
// PVE/Storage/*.pm).
var features = map[string]map[string]string{
	"lvmthin": {"snapshot": "current", "clone": "base snap", "template": "current", "copy": "base current snap"},
	"zfspool": {"snapshot": "current snap", "clone": "base", "template": "current", "copy": "base current"},
	"lvm":     {"copy": "base current"},
	"dir":     {"snapshot": "current snap", "clone": "base", "template": "current", "copy": "base current snap"},
}

// rawFeatures lists the operations that a directory supports for a raw file.
var rawFeatures = map[string]string{"clone": "base", "template": "current", "copy": "base current"}

// hasFeature reports whether a storage supports an operation for a volume.
func (n *Node) hasFeature(feature, volume string, snapshot bool) bool {
	s, name, there := n.volume(volume)
	if !there {
		return false
	}
	list := features[s.Type]
	if s.files() {
		list = features["dir"]
		if s.volumes[name].Format != "qcow2" {
			list = rawFeatures
		}
	}
	state := "current"
	switch {
	case snapshot:
		state = "snap"
	case isBase(name):
		state = "base"
	}
	return slices.Contains(strings.Fields(list[feature]), state)
}

var baseName = regexp.MustCompile(`^(\d+/)?base-\d+-[^/]+$`)

// isBase reports whether a volume belongs to a template, so that clones can be
// linked to it.
func isBase(name string) bool { return baseName.MatchString(name) }
