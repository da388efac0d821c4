package pvetest

import "strings"

// cloneTarget returns the node that gets a clone, or nil if there is no such
// node.
func (n *Node) cloneTarget(c *call) *Node {
	if target := c.get("target"); target != "" && target != "localhost" {
		return n.member(target)
	}
	return n
}

// mayCloneTo returns PVE's refusal of a clone for another node. PVE clones on the
// node of the source and then gives the configuration to the other node, so both
// must reach all volumes (qemu-server PVE/API2/Qemu.pm, clone_vm and
// $check_storage_access_clone).
func (n *Node) mayCloneTo(c *call, config map[string]string) error {
	target := n.cloneTarget(c)
	if target == n {
		return nil
	}
	if c.has("storage") {
		switch s := target.storages[c.get("storage")]; {
		case s.elsewhere():
			return refuse("storage '%s' is not available on node '%s'", s.Name, target.host.Name)
		case !s.Shared:
			return refuse("can't clone to non-shared storage '%s'", s.Name)
		}
	}
	for key, value := range config {
		pool, _, named := strings.Cut(parseDrive(value).volume, ":")
		if s := n.storages[pool]; isDrive(key) && named && (s == nil || !s.Shared) {
			return refuse("can't clone VM to node '%s' (VM uses local storage)", target.host.Name)
		}
	}
	return nil
}
