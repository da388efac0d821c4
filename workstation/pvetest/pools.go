package pvetest

import (
	"regexp"
	"slices"
	"strings"
)

// poolOf returns the name of a guest's pool, or "" if the guest is in no pool.
func (n *Node) poolOf(id int) string {
	for name, guests := range n.poolGuests {
		if slices.Contains(guests, id) {
			return name
		}
	}
	return ""
}

// leavePool removes a guest from its pool.
func (n *Node) leavePool(id int) {
	if name := n.poolOf(id); name != "" {
		n.poolGuests[name] = slices.DeleteFunc(n.poolGuests[name], func(other int) bool { return other == id })
	}
}

// listPools serves GET /pools. It lists the names of all pools that the caller
// may see, or one pool with its members.
func (n *Node) listPools(c *call) (any, error) {
	if c.has("poolid") {
		object, err := n.poolObject(c)
		if err != nil {
			return nil, err
		}
		object["poolid"] = c.get("poolid")
		return []map[string]any{object}, nil
	}
	list := []map[string]any{}
	for _, name := range sorted(n.pools) {
		if !c.who.may("/pool/"+name, "Pool.Audit") {
			continue
		}
		object := map[string]any{"poolid": name}
		if comment := n.pools[name].comment; comment != "" {
			object["comment"] = comment
		}
		list = append(list, object)
	}
	return list, nil
}

// getPool serves GET /pools/{poolid}, which PVE keeps for old clients.
func (n *Node) getPool(c *call) (any, error) {
	object, err := n.poolObject(c)
	if err != nil {
		return nil, err
	}
	object["poolid"] = c.get("poolid")
	return object, nil
}

func (n *Node) poolObject(c *call) (map[string]any, error) {
	name, kind := c.get("poolid"), c.get("type")
	p := n.pools[name]
	if err := c.who.needs("/pool/"+name, "Pool.Audit"); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, refuse("pool '%s' does not exist", name)
	}
	members := []map[string]any{}
	guests := slices.Sorted(slices.Values(n.poolGuests[name]))
	for _, id := range guests {
		if member := n.anyGuest(id); member != nil && (kind == "" || kind == member["type"]) {
			members = append(members, member)
		}
	}
	for _, storage := range p.storages {
		if s := n.storages[storage]; s != nil && (kind == "" || kind == "storage") {
			members = append(members, n.storageStats(n, s))
		}
	}
	object := map[string]any{"members": members}
	if p.comment != "" {
		object["comment"] = p.comment
	}
	return object, nil
}

var startsWithLetter = regexp.MustCompile(`^[A-Za-z]`)

func (n *Node) createPool(c *call) (any, error) {
	name := c.get("poolid")
	parent, leaf := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		parent, leaf = name[:i], name[i+1:]
	}
	switch {
	case n.pools[name] != nil:
		return nil, refuse("create pool failed: pool '%s' already exists", name)
	case parent != "" && n.pools[parent] == nil:
		return nil, refuse("create pool failed: parent '%s' of pool '%s' does not exist", parent, name)
	case !startsWithLetter.MatchString(leaf):
		return nil, refuse("create pool failed: pool name must start with a letter")
	}
	n.pools[name] = &pool{comment: c.get("comment")}
	n.poolGuests[name] = nil
	return null()
}

// updatePool serves PUT. It changes the comment, and adds or removes members.
func (n *Node) updatePool(c *call) (any, error) {
	name := c.get("poolid")
	p := n.pools[name]
	if p == nil {
		return nil, refuse("update pools failed: pool '%s' does not exist", name)
	}
	if c.has("comment") {
		p.comment = c.get("comment")
	}
	for _, id := range splitList(c.get("vms")) {
		if err := n.changeMember(c, name, atoi(id, 0)); err != nil {
			return nil, err
		}
	}
	for _, storage := range splitList(c.get("storage")) {
		if err := c.who.needsAny("/storage/"+storage, "Permissions.Modify", "Datastore.Allocate"); err != nil {
			return nil, err
		}
		switch member, leaves := slices.Contains(p.storages, storage), c.get("delete") == "1"; {
		case leaves && !member:
			return nil, refuse("update pools failed: Storage '%s' is not a pool member", storage)
		case leaves:
			p.storages = slices.DeleteFunc(p.storages, func(other string) bool { return other == storage })
		case member:
			return nil, refuse("update pools failed: Storage '%s' is already a pool member", storage)
		default:
			p.storages = append(p.storages, storage)
		}
	}
	return null()
}

func (n *Node) changeMember(c *call, name string, id int) error {
	if err := c.who.needsAny(vmPath(id), "Permissions.Modify", "VM.Allocate"); err != nil {
		return err
	}
	switch now, leaves := n.poolOf(id), c.get("delete") == "1"; {
	case leaves && now != name:
		return refuse("update pools failed: VM %d is not a pool member", id)
	case leaves:
		n.leavePool(id)
		return nil
	case now == name:
		return refuse("update pools failed: VM %d is already a pool member", id)
	case now != "" && c.get("allow-move") != "1":
		return refuse("update pools failed: VM %d belongs already to pool '%s' and 'allow-move' is not set", id, now)
	case now != "":
		if err := c.who.needs("/pool/"+now, "Pool.Allocate"); err != nil {
			return err
		}
	}
	n.leavePool(id)
	n.poolGuests[name] = append(n.poolGuests[name], id)
	return nil
}

func (n *Node) deletePool(c *call) (any, error) {
	name := c.get("poolid")
	p := n.pools[name]
	if p == nil {
		return nil, refuse("delete pool failed: pool '%s' does not exist", name)
	}
	for _, other := range sorted(n.pools) {
		if strings.HasPrefix(other, name+"/") {
			return nil, refuse("delete pool failed: pool '%s' is not empty (contains pool '%s')", name, other)
		}
	}
	for _, id := range slices.Sorted(slices.Values(n.poolGuests[name])) {
		if n.exists(id) {
			return nil, refuse("delete pool failed: pool '%s' is not empty (contains VM %d)", name, id)
		}
	}
	for _, storage := range p.storages {
		if n.storages[storage] != nil {
			return nil, refuse("delete pool failed: pool '%s' is not empty (contains storage '%s')", name, storage)
		}
	}
	delete(n.pools, name)
	delete(n.poolGuests, name)
	return null()
}
