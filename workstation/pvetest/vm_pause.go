package pvetest

import "strings"

// reset serves POST status/reset. The guest boots again, but QEMU keeps
// running.
func (n *Node) reset(c *call, v *vm) (any, error) {
	if err := mustRun(v); err != nil {
		return nil, err
	}
	return n.doVM(c, v, "qmreset", func(*task) error {
		v.closing, v.commands = false, map[int]*command{}
		n.boot(v)
		return nil
	})
}

// mustRun returns a refusal unless the VM runs.
func mustRun(v *vm) error {
	if !v.running {
		return refuse("VM %d not running", v.id)
	}
	return nil
}

// The method "suspend" pauses a VM, or writes its state to disk. If the VM has
// passed-through devices, its state cannot be written.
func (n *Node) suspend(c *call, v *vm) (any, error) {
	if err := mustRun(v); err != nil {
		return nil, err
	}
	toDisk, kind := c.get("todisk") == "1", "qmpause"
	if toDisk {
		kind = "qmsuspend"
		for key := range v.config {
			if strings.HasPrefix(key, "hostpci") {
				return nil, refuse("cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state")
			}
		}
	}
	return n.doVM(c, v, kind, func(*task) error {
		if v.paused = true; toDisk {
			n.off(v)
			v.config["lock"] = "suspended"
		}
		return nil
	})
}

func (n *Node) resume(c *call, v *vm) (any, error) {
	switch {
	case v.config["lock"] == "suspended":
		return n.startTask(v.id, c.who.user, c.get("skiplock") == "1").upid, nil
	case !v.running:
		return nil, refuse("VM %d not running", v.id)
	}
	return n.doVM(c, v, "qmresume", func(*task) error {
		n.unpause(v)
		return nil
	})
}
