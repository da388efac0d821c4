package pvetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A change is a wanted change of a VM's configuration.
type change struct {
	set    map[string]string
	remove []string
	force  bool // destroy disks that are removed instead of keeping them unused
}

// stale is PVE's refusal of a digest that no longer matches a VM's
// configuration (qemu-server PVE/API2/Qemu.pm).
const stale = "checksum mismatch (file change by other user?)"

// putConfig is PUT and POST config. PUT does the work before it answers, POST
// in a task, in which more can go wrong late.
func (n *Node) putConfig(c *call) answer {
	ch, a, good := n.readChange(c)
	if !good {
		return a
	}
	if a, good = n.mayChange(c, ch); !good {
		return a
	}
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	if a, good = n.upToDate(c, v, ch); !good {
		return a
	}
	if c.endpoint.Method == http.MethodPut {
		if a, good = n.await(c, v.id); !good {
			return a
		}
		if a, good = n.upToDate(c, v, ch); good {
			a, good = n.update(c.who, v, ch)
		}
		if !good {
			return a
		}
		return ok(nil)
	}
	return n.do(c, job{kind: "qmconfig", vmid: v.id, takes: n.taskTime(), work: func(t *task) string {
		a, good := n.upToDate(c, v, ch)
		if good {
			t.say("update VM %d: %s", v.id, ch)
			a, good = n.update(c.who, v, ch)
		}
		return a.problem(good)
	}})
}

// String writes a change as PVE logs it.
func (ch change) String() string {
	var fields []string
	if len(ch.remove) > 0 {
		fields = append(fields, "-delete "+strings.Join(ch.remove, ","))
	}
	for _, key := range sorted(ch.set) {
		value := ch.set[key]
		if key == "cipassword" {
			value = "<hidden>"
		}
		fields = append(fields, "-"+key+" "+value)
	}
	return strings.Join(fields, " ")
}

// readChange reads what is to be changed and refuses what contradicts itself.
func (n *Node) readChange(c *call) (ch change, a answer, good bool) {
	ch = change{set: c.settings(), force: c.get("force") == "1"}
	if c.get("skiplock") == "1" && !c.who.root() {
		return ch, invalid(map[string]string{"skiplock": "Only root may use this option."}), false
	}
	if !validKeys(ch.set["sshkeys"]) {
		return ch, fail(http.StatusInternalServerError, "SSH public key validation error"), false
	}
	if len(ch.set) == 0 && c.get("delete") == "" && c.get("revert") == "" {
		return ch, fail(http.StatusInternalServerError, "no options specified"), false
	}
	v := n.vms[c.number("vmid")]
	for _, name := range []string{"revert", "delete"} {
		for key := range strings.FieldsFuncSeq(c.get(name), func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
			_, set := ch.set[key]
			switch {
			case !exists(key):
				return ch, invalid(map[string]string{name: fmt.Sprintf("unknown option '%s'", key)}), false
			case set:
				return ch, invalid(map[string]string{"delete": fmt.Sprintf("you can't use '-%s' and -%s %s' at the same time", key, name, key)}), false
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
		return ch, invalid(problems), false
	}
	return ch, answer{}, true
}

// upToDate refuses a change of a configuration that is not the one the caller
// saw, or that is locked.
func (n *Node) upToDate(c *call, v *vm, ch change) (answer, bool) {
	switch {
	case n.vms[v.id] != v:
		return fail(http.StatusInternalServerError, "%s", n.noConfig(v.id)), false
	case c.has("digest") && c.get("digest") != v.digest():
		return fail(http.StatusInternalServerError, stale), false
	case locked(v) != "" && c.get("skiplock") != "1":
		return fail(http.StatusInternalServerError, "%s", locked(v)), false
	}
	config := v.next()
	for key, value := range ch.set {
		config[key] = value
	}
	if ch.set["memory"]+ch.set["balloon"] != "" && atoi(config["balloon"], 0) > atoi(config["memory"], 512) {
		return fail(http.StatusInternalServerError, "balloon value too large (must be smaller than assigned memory)"), false
	}
	return answer{}, true
}

// update changes a configuration as PVE does: key by key, each written to what
// is pending, and then applied as far as the VM allows it. If one key fails,
// those before it stay pending.
func (n *Node) update(who identity, v *vm, ch change) (answer, bool) {
	for _, key := range ch.remove {
		if a, good := n.remove(who, v, key, ch.force); !good {
			return a, false
		}
	}
	order := sorted(ch.set) // in Perl's order of a hash, which is none
	n.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, key := range order {
		if a, good := n.set(who, v, key, ch); !good {
			return a, false
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
	return answer{}, true
}

// set writes one key to what is pending.
func (n *Node) set(who identity, v *vm, key string, ch change) (answer, bool) {
	value := ch.set[key]
	for _, each := range []string{v.config[key], value} {
		if each == "" {
			continue
		}
		if a, allowed := n.maySetValue(who, v.id, key, each); !allowed {
			return a, false
		}
	}
	problem := ""
	switch {
	case isDrive(key):
		if old := v.pending[key]; old != "" && old != value {
			n.setAside(v, parseDrive(old))
		}
		if value, problem = n.driveValue(v, v.next(), key, value); problem == "" {
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
		problem = badBoot(v, value, ch)
	}
	if problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem), false
	}
	v.pending[key] = value
	delete(v.drop, key)
	v.dropUsed()
	return answer{}, true
}

// badBoot returns PVE's refusal of a boot order with a device that will not be
// there.
func badBoot(v *vm, value string, ch change) string {
	next := v.next()
	for device := range strings.FieldsFuncSeq(strings.TrimPrefix(value, "order="), func(r rune) bool { return strings.ContainsRune(" ,;", r) }) {
		if strings.HasPrefix(value, "order=") && next[device] == "" && ch.set[device] == "" || slices.Contains(ch.remove, device) {
			return fmt.Sprintf("invalid bootorder: device '%s' does not exist'", device)
		}
	}
	return ""
}

// appendBoot puts a new CD at the end of the boot order. The drive of
// cloud-init is none of those (PVE/QemuServer/Drive.pm, drive_is_cdrom).
func (v *vm) appendBoot(key, value string) {
	order, listed := strings.CutPrefix(v.next()["boot"], "order=")
	d := parseDrive(value)
	if listed && d.media() == "cdrom" && !d.cloudinit() && !slices.Contains(strings.Split(order, ";"), key) {
		v.pending["boot"] = "order=" + order + ";" + key
	}
}

// remove marks a key to be taken out. An unused disk is destroyed at once.
func (n *Node) remove(who identity, v *vm, key string, force bool) (answer, bool) {
	value := v.next()[key]
	if value == "" {
		return answer{}, true // PVE only warns
	}
	d := parseDrive(value)
	protected := v.config["protection"] == "1"
	switch {
	case strings.HasPrefix(key, "unused") && protected:
		return fail(http.StatusInternalServerError, "can't remove unused disk '%s' - protection mode enabled", d.volume), false
	case isDrive(key) && protected:
		return fail(http.StatusInternalServerError, "can't remove drive '%s' - protection mode enabled", key), false
	}
	if a, allowed := n.maySetValue(who, v.id, key, value); !allowed {
		return a, false
	}
	if order, listed := strings.CutPrefix(v.next()["boot"], "order="); listed && slices.Contains(strings.Split(order, ";"), key) {
		left := slices.DeleteFunc(strings.Split(order, ";"), func(device string) bool { return device == key })
		v.pending["boot"] = "order=" + strings.Join(left, ";")
	}
	if strings.HasPrefix(key, "unused") {
		pool, _, _ := strings.Cut(d.volume, ":")
		if a, allowed := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); !allowed {
			return a, false
		}
		if v.holds(d.volume) != "" {
			return fail(http.StatusInternalServerError, "unable to delete '%s' - volume is still in use (snapshot?)", d.volume), false
		}
		n.free(d.volume)
		delete(v.config, key)
		return answer{}, true
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
	return answer{}, true
}
