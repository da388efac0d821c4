package pvetest

import (
	"net/http"
	"slices"
	"strings"
)

// putConfig is PUT and POST config. PUT does the work before it answers, POST
// in a task, in which more can go wrong late.
func (n *Node) putConfig(c *call) (any, error) {
	ch, err := n.readChange(c)
	if err != nil {
		return nil, err
	}
	if err := n.mayChange(c, ch); err != nil {
		return nil, err
	}
	v, err := n.vmOf(c)
	if err != nil {
		return nil, err
	}
	if err := n.upToDate(c, v, ch); err != nil {
		return nil, err
	}
	if c.endpoint.Method == http.MethodPut {
		if err := n.await(c, v.id); err != nil {
			return nil, err
		}
		if err := n.upToDate(c, v, ch); err != nil {
			return nil, err
		}
		return nil, n.update(c.who, v, ch)
	}
	return n.do(c, job{kind: "qmconfig", vmid: v.id, takes: n.taskTime(), work: func(t *task) error {
		if err := n.upToDate(c, v, ch); err != nil {
			return err
		}
		t.say("update VM %d: %s", v.id, ch)
		return n.update(c.who, v, ch)
	}})
}

// readChange reads what is to be changed and refuses what contradicts itself.
func (n *Node) readChange(c *call) (ch change, err error) {
	ch = change{set: c.settings(), force: c.get("force") == "1"}
	if c.get("skiplock") == "1" && !c.who.root() {
		return ch, wrong("skiplock", "Only root may use this option.")
	}
	if !validKeys(ch.set["sshkeys"]) {
		return ch, refuse("SSH public key validation error")
	}
	if len(ch.set) == 0 && c.get("delete") == "" && c.get("revert") == "" {
		return ch, refuse("no options specified")
	}
	v := n.vms[c.number("vmid")]
	for _, name := range []string{"revert", "delete"} {
		for key := range strings.FieldsFuncSeq(c.get(name), func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
			_, set := ch.set[key]
			switch {
			case !exists(key):
				return ch, wrong(name, "unknown option '%s'", key)
			case set:
				return ch, wrong("delete", "you can't use '-%s' and -%s %s' at the same time", key, name, key)
			case name == "delete":
				ch.remove = append(ch.remove, key)
			case v != nil && v.config[key] != "":
				defer func() { ch.set[key] = v.config[key] }()
			case v != nil && v.pending[key] != "":
				ch.remove = append(ch.remove, key)
			}
		}
	}
	if problems := n.badDrives(ch.set); len(problems) > 0 {
		return ch, invalid(problems)
	}
	return ch, nil
}

// upToDate refuses a change of a configuration that is not the one the caller
// saw, or that is locked.
func (n *Node) upToDate(c *call, v *vm, ch change) error {
	switch {
	case n.vms[v.id] != v:
		return n.noConfig(v.id)
	case c.has("digest") && c.get("digest") != v.digest():
		return refuse(stale)
	case locked(v) != nil && c.get("skiplock") != "1":
		return locked(v)
	}
	config := v.next()
	for key, value := range ch.set {
		config[key] = value
	}
	if ch.set["memory"]+ch.set["balloon"] != "" && atoi(config["balloon"], 0) > atoi(config["memory"], 512) {
		return refuse("balloon value too large (must be smaller than assigned memory)")
	}
	return nil
}

// update changes a configuration as PVE does: key by key, each written to what
// is pending, and then applied as far as the VM allows it. If one key fails,
// those before it stay pending.
func (n *Node) update(who identity, v *vm, ch change) error {
	for _, key := range ch.remove {
		if err := n.remove(who, v, key, ch.force); err != nil {
			return err
		}
	}
	order := sorted(ch.set) // in Perl's order of a hash, which is none
	n.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, key := range order {
		if err := n.set(who, v, key, ch); err != nil {
			return err
		}
	}
	for key, value := range v.pending {
		if v.config[key] == value {
			delete(v.pending, key)
		}
	}
	if v.running {
		n.hotplug(v)
	} else {
		n.applyPending(v)
	}
	return nil
}

// set writes one key to what is pending.
func (n *Node) set(who identity, v *vm, key string, ch change) error {
	value := ch.set[key]
	for _, each := range []string{v.config[key], value} {
		if each == "" {
			continue
		}
		if err := n.maySetValue(who, v.id, key, each); err != nil {
			return err
		}
	}
	var err error
	switch {
	case isDrive(key):
		if old := v.pending[key]; old != "" && old != value {
			n.setAside(v, parseDrive(old))
		}
		if value, err = n.driveValue(v, v.next(), key, value); err == nil {
			v.appendBoot(key, value)
		}
	case strings.HasPrefix(key, "net"):
		value = n.network(value)
	case key == "tags":
		value = tags(value)
	case key == "cpuunits" && atoi(value, 0) > 10000: // clamp_cpu_shares in pve-common PVE/CGroup.pm
		value = "10000"
	case key == "vmgenid" && value == "1":
		value = n.uuid()
	case key == "ostype" && ch.set["machine"] == "" && !slices.Contains(ch.remove, "machine"):
		if machine := n.pinned(v.next()["machine"], value); machine != v.next()["machine"] {
			v.pending["machine"] = machine
		}
	case key == "boot":
		err = badBoot(v, value, ch)
	}
	if err != nil {
		return err
	}
	v.pending[key] = value
	delete(v.drop, key)
	v.dropUsed()
	return nil
}

// remove marks a key to be taken out. An unused disk is destroyed at once.
func (n *Node) remove(who identity, v *vm, key string, force bool) error {
	value := v.next()[key]
	if value == "" {
		return nil // PVE only warns
	}
	d := parseDrive(value)
	protected := v.config["protection"] == "1"
	switch {
	case strings.HasPrefix(key, "unused") && protected:
		return refuse("can't remove unused disk '%s' - protection mode enabled", d.volume)
	case isDrive(key) && protected:
		return refuse("can't remove drive '%s' - protection mode enabled", key)
	}
	if err := n.maySetValue(who, v.id, key, value); err != nil {
		return err
	}
	if order, listed := strings.CutPrefix(v.next()["boot"], "order="); listed && slices.Contains(strings.Split(order, ";"), key) {
		left := slices.DeleteFunc(strings.Split(order, ";"), func(device string) bool { return device == key })
		v.pending["boot"] = "order=" + strings.Join(left, ";")
	}
	if strings.HasPrefix(key, "unused") {
		pool, _, _ := strings.Cut(d.volume, ":")
		if err := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		if v.holds(d.volume) != "" {
			return refuse("unable to delete '%s' - volume is still in use (snapshot?)", d.volume)
		}
		n.free(d.volume)
		delete(v.config, key)
		return nil
	}
	if waiting, there := v.pending[key]; there {
		if isDrive(key) && waiting != v.config[key] {
			n.setAside(v, parseDrive(waiting))
		}
		delete(v.pending, key)
	}
	if _, there := v.config[key]; there {
		v.drop[key] = force
	}
	return nil
}

// unlink is PUT unlink: disks are kept as unused, or destroyed with force.
func (n *Node) unlink(c *call) (any, error) {
	c.values["delete"] = c.values["idlist"]
	delete(c.values, "idlist")
	return n.putConfig(c)
}
