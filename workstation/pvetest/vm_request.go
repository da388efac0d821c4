package pvetest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// putConfig serves PUT and POST config. PUT makes the change before it answers.
// POST makes the change in a task, which can still fail after the answer
// (qemu-server PVE/API2/Qemu.pm, $update_vm_api).
func (n *Node) putConfig(c *call) (any, error) {
	ch, err := n.readChange(c)
	if err != nil {
		return nil, err
	}
	id := c.number("vmid")
	if err := mayTouch(c.who, id, append(sorted(ch.set), ch.remove...)); err != nil {
		return nil, err
	}
	if err := n.mayUseStorages(c.who, id, ch.set); err != nil {
		return nil, err
	}
	if err := mayUseBridges(c.who, ch.set); err != nil {
		return nil, err
	}
	v, err := n.vmOf(c)
	if err != nil {
		return nil, err
	}
	if _, err := n.upToDate(c, v, ch); err != nil {
		return nil, err
	}
	work := func(t *task) error {
		ch, err := n.upToDate(c, v, ch)
		if err != nil {
			return err
		}
		if err := n.mayWriteConfig(v.id); err != nil {
			return err
		}
		t.say("update VM %d: %s", v.id, ch)
		return n.update(c.who, v, ch)
	}
	if c.endpoint.Method == http.MethodPost {
		return n.do(c, job{kind: "qmconfig", vmid: v.id, takes: n.taskTime(), work: work})
	}
	if err := n.await(c, v.id); err != nil {
		return nil, err
	}
	return nil, work(nil)
}

// unlink serves PUT unlink. It keeps disks as unused, or destroys them if force
// is set.
func (n *Node) unlink(c *call) (any, error) {
	c.values["delete"] = c.values["idlist"]
	delete(c.values, "idlist")
	return n.putConfig(c)
}

// readChange reads a requested change, converts it to PVE's form, and refuses
// contradictions. It does not check the caller's privileges, because PVE checks
// them later.
func (n *Node) readChange(c *call) (ch change, err error) {
	ch = change{set: c.settings(), force: c.get("force") == "1", revert: pveschema.SplitList(c.get("revert"))}
	if !validKeys(ch.set["sshkeys"]) {
		return ch, refuse("SSH public key validation error")
	}
	if len(ch.set) == 0 && c.get("delete") == "" && c.get("revert") == "" {
		return ch, refuse("no options specified")
	}
	aliasCDROM(ch.set)
	for _, key := range ch.revert {
		if !exists(key) {
			return ch, wrong("revert", "unknown option '%s'", key)
		}
		if _, set := ch.set[key]; set {
			return ch, wrong("delete", "you can't use '-%s' and -revert %s' at the same time", key, key)
		}
	}
	for _, key := range pveschema.SplitList(c.get("delete")) {
		if key == "cdrom" {
			key = "ide2"
		}
		_, set := ch.set[key]
		switch {
		case set:
			return ch, wrong("delete", "you can't use '-%s' and -delete %s' at the same time", key, key)
		case slices.Contains(ch.revert, key):
			return ch, wrong("revert", "you can't use '-delete %s' and -revert %s' at the same time", key, key)
		case !exists(key):
			return ch, wrong("delete", "unknown option '%s'", key)
		}
		ch.remove = append(ch.remove, key)
	}
	if err := n.checkDrives(ch.set); err != nil {
		return ch, err
	}
	return ch, n.completeSettings(ch.set)
}

// aliasCDROM renames the key "cdrom" to the key of the real drive
// ($resolve_cdrom_alias).
func aliasCDROM(settings map[string]string) {
	value, set := settings["cdrom"]
	if !set {
		return
	}
	if !strings.Contains(value, "media=") {
		value += ",media=cdrom"
	}
	delete(settings, "cdrom")
	settings["ide2"] = value
}

// checkDrives converts drives to PVE's form, and returns a refusal of
// impossible values ($check_drive_param).
func (n *Node) checkDrives(settings map[string]string) error {
	for _, key := range sorted(settings) {
		if !isDrive(key) {
			continue
		}
		if err := pveschema.CheckDrive(key, settings[key]); err != nil {
			return wrong(key, "%v", err)
		}
		d, err := n.readDrive(key, settings[key])
		if err != nil {
			return err
		}
		settings[key] = d.String()
	}
	return nil
}

// completeSettings adds the values that PVE generates: MAC addresses and
// generation IDs. It returns a refusal if a hookscript does not exist.
func (n *Node) completeSettings(settings map[string]string) error {
	for _, key := range sorted(settings) {
		value := settings[key]
		switch {
		case strings.HasPrefix(key, "net"):
			settings[key] = n.network(value)
		case key == "vmgenid" && value == "1":
			settings[key] = n.uuid()
		case key == "cpuunits" && atoi(value, 0) > 10000: // like clamp_cpu_shares in pve-common PVE/CGroup.pm
			settings[key] = "10000"
		case key == "hookscript":
			if err := n.badHook(value); err != nil {
				return wrong(key, "%v\n", err)
			}
		}
	}
	return nil
}

func (n *Node) badHook(value string) error {
	s, name, there := n.volume(value)
	switch {
	case s == nil:
		return refuse("storage '%s' does not exist", strings.SplitN(value, ":", 2)[0])
	case !strings.HasPrefix(name, "snippets/"):
		return refuse("'%s' is not in the snippets directory", value)
	case !there:
		return refuse("script '%s' does not exist", value)
	}
	return nil
}

// upToDate returns a refusal if the digest does not match or the VM is locked.
// Otherwise it returns the full change: a key in ch.revert is set to its
// current value again, or removed if it has only a pending value.
func (n *Node) upToDate(c *call, v *vm, ch change) (change, error) {
	switch {
	case n.vms[v.id] != v:
		return ch, n.noConfig(v.id)
	case c.has("digest") && c.get("digest") != "" && c.get("digest") != v.digest():
		return ch, refuse(stale)
	}
	if err := c.locked(v); err != nil {
		return ch, err
	}
	full := change{set: map[string]string{}, remove: append([]string(nil), ch.remove...), force: ch.force}
	for key, value := range ch.set {
		full.set[key] = value
	}
	for _, key := range ch.revert {
		if value, there := v.config[key]; there {
			full.set[key] = value
		} else if _, there := v.pending[key]; there {
			full.remove = append(full.remove, key)
		}
	}
	return full, full.balloonFits(v)
}

// balloonFits returns a refusal if the balloon is larger than the memory.
func (ch change) balloonFits(v *vm) error {
	_, changed := ch.set["balloon"]
	if ch.set["memory"] == "" && !changed {
		return nil
	}
	config := v.next()
	for key, value := range ch.set {
		config[key] = value
	}
	if atoi(config["balloon"], 0) > atoi(config["memory"], 512) {
		return refuse("balloon value too large (must be smaller than assigned memory)")
	}
	return nil
}
