package pvetest

import (
	"cmp"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The method "update" changes a configuration key by key, as PVE does. It
// writes each key to the pending changes. Then it applies the pending changes
// that the VM's state allows. If one key fails, the keys before it stay
// pending.
func (n *Node) update(who identity, v *vm, ch change) error {
	modified := map[string]bool{}
	for _, key := range ch.remove {
		if err := n.remove(who, v, key, ch.force, modified); err != nil {
			return err
		}
	}
	order := sorted(ch.set) // PVE uses the random order of a Perl hash
	n.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, key := range order {
		if waiting, there := v.pending[key]; there && waiting == ch.set[key] {
			modified[key] = true
			continue
		}
		if err := n.set(who, v, key, ch, modified); err != nil {
			return err
		}
	}
	v.cleanPending()
	problems := map[string]string{}
	if v.running {
		n.hotplug(who, v, modified, problems)
	} else {
		n.applyPending(who, v, problems)
	}
	if len(problems) > 0 {
		return invalid(problems)
	}
	return nil
}

// The method "set" writes one key to the pending changes.
func (n *Node) set(who identity, v *vm, key string, ch change, modified map[string]bool) error {
	modified[key] = true
	if err := n.maySetValue(who, v, key, v.config[key], ch.set[key]); err != nil {
		return err
	}
	value, err := n.newValue(v, key, ch, modified)
	if err == nil {
		err = pveschema.CheckStored(key, value)
	}
	if err != nil {
		return asRefusal(err)
	}
	if key == "cipassword" { // a password takes effect immediately, and PVE stores it encrypted
		v.config[key] = value
	} else {
		v.pending[key] = stored(key, value)
	}
	delete(v.drop, key)
	v.dropUsed()
	return nil
}

// newValue returns the value that PVE stores for a requested value.
func (n *Node) newValue(v *vm, key string, ch change, modified map[string]bool) (value string, err error) {
	value = ch.set[key]
	switch {
	case isDrive(key):
		return n.setDrive(v, key, value, modified)
	case key == "vga":
		return value, pveschema.CheckDisplay(key, value)
	case key == "tags":
		return tags(value), nil
	case key == "machine":
		return value, pveschema.CheckMachine(key, value)
	case key == "ostype":
		_, pinned := ch.set["machine"]
		if _, waits := v.pending["machine"]; pinned || waits || modified["machine"] {
			return value, nil
		}
		if machine := n.pinned(v.config["machine"], value); machine != v.config["machine"] {
			v.pending["machine"] = machine
			modified["machine"] = true
		}
	case key == "boot":
		return v.setBoot(value, ch)
	}
	return value, nil
}

// setDrive makes the volume for a drive. If another drive was pending under the
// key, the volume of that drive is set aside.
func (n *Node) setDrive(v *vm, key, value string, modified map[string]bool) (string, error) {
	have, want := parseDrive(v.config[key]), parseDrive(value)
	if key == "tpmstate0" && have.volume == want.volume && cmp.Or(have.options["version"], "v1.2") != cmp.Or(want.options["version"], "v1.2") {
		return "", refuse("cannot change TPM state version after creation")
	}
	if waiting, there := v.pending[key]; there {
		n.setAside(v, parseDrive(waiting))
	}
	made, err := n.driveValue(v, v.next(), key, value)
	if err == nil && v.appendBoot(key, value) {
		modified["boot"] = true
	}
	return made, err
}

// The method "remove" marks a key for deletion. If the key is an unused disk,
// the disk is destroyed immediately.
func (n *Node) remove(who identity, v *vm, key string, force bool, modified map[string]bool) error {
	value, there := v.config[key]
	waiting, waits := v.pending[key]
	if !there && !waits {
		return nil // PVE only logs a warning
	}
	if !there {
		value = waiting
	}
	modified[key] = true
	delete(v.pending, key)
	if v.leaveBoot(key) {
		modified["boot"] = true
	}
	switch stem := strings.TrimRight(key, "0123456789"); {
	case stem == "unused":
		return n.removeUnused(who, v, key)
	case isDrive(key):
		if v.config["protection"] == "1" {
			return refuse("can't remove drive '%s' - protection mode enabled", key)
		}
		if err := mayHaveDrive(who, v.id, value); err != nil {
			return err
		}
		if waits {
			n.setAside(v, parseDrive(value))
		}
	case key == "tags":
		if err := who.needs(vmPath(v.id), "VM.Config.Options"); err != nil {
			return err
		}
		delete(v.config, key)
		return nil
	case stem == "net":
		if err := mayUseBridges(who, map[string]string{key: v.config[key]}); err != nil {
			return err
		}
	default:
		if err := n.mayRemoveValue(who, v.id, key, value); err != nil {
			return err
		}
	}
	v.drop[key] = force
	return nil
}

// removeUnused destroys a disk that nothing uses.
func (n *Node) removeUnused(who identity, v *vm, key string) error {
	d := parseDrive(v.config[key])
	if v.config["protection"] == "1" {
		return refuse("can't remove unused disk '%s' - protection mode enabled", d.volume)
	}
	if err := who.needs(vmPath(v.id), "VM.Config.Disk"); err != nil {
		return err
	}
	if err := n.deallocate(who, v, key, d); err != nil {
		return err
	}
	delete(v.config, key)
	return nil
}
