package pvetest

import "time"

// Requests about a VM under high availability only ask the HA manager. The task
// of such a request ends immediately, and the manager acts in its next rounds
// (qemu-server PVE/API2/Qemu.pm, vm_start, vm_stop, vm_shutdown and
// migrate_vm).

// askHA starts the task that asks the HA manager. The task is of the kind
// "hastart", "hastop" or "hamigrate". The parameter "command" is the command
// line of ha-manager.
func (n *Node) askHA(c *call, kind, said, command string, ask func(sid string)) (any, error) {
	return n.do(c, job{kind: kind, id: c.get("vmid"), takes: time.Second, work: func(t *task) error {
		t.say("Requesting HA %s", said)
		sid := sidOf(c.number("vmid"))
		err := n.ha.inError(sid, "")
		if err == nil && !n.quorate() {
			err = refuse("cluster not ready - no quorum?")
		}
		if err != nil {
			t.say("%v", err)
			return refuse("command 'ha-manager %s' failed: exit code 255", command)
		}
		ask(sid)
		return nil
	}})
}

// startByHA serves POST start. It sets the requested state "started".
func (n *Node) startByHA(c *call) (any, error) {
	return n.askHA(c, "hastart", "start for VM "+c.get("vmid"), "set vm:"+c.get("vmid")+" --state started", func(sid string) {
		if r := n.ha.resources[sid]; r != nil {
			r.options["state"] = "started"
			n.ha.wake()
		}
	})
}

// stopByHA serves POST stop and shutdown. It leaves a command for the CRM,
// which later sets the requested state "stopped". With a timeout of 0 the guest
// is not asked to shut down.
func (n *Node) stopByHA(c *call, timeout string) (any, error) {
	return n.askHA(c, "hastop", "stop for VM "+c.get("vmid"), "crm-command stop vm:"+c.get("vmid")+" "+timeout, func(sid string) {
		n.ha.command("stop", sid, timeout)
	})
}

// migrateByHA serves POST migrate.
func (n *Node) migrateByHA(c *call, target string) (any, error) {
	return n.askHA(c, "hamigrate", "migration for VM "+c.get("vmid")+" to node "+target, "migrate vm:"+c.get("vmid")+" "+target, func(sid string) {
		n.ha.command("migrate", sid, target)
	})
}

// manageNew puts a new VM under high availability (POST qemu with ha-managed).
func (n *Node) manageNew(id int, start bool) {
	state := map[bool]string{true: "started", false: "stopped"}[start]
	n.ha.resources[sidOf(id)] = &haResource{id: id, options: map[string]string{"state": state}}
	n.ha.wake()
}
