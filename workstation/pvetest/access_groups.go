package pvetest

import (
	"slices"
	"strings"
)

// members returns the IDs of the users in a group.
func (a *accounts) members(group string) []string {
	list := []string{}
	for _, id := range sorted(a.users) {
		if slices.Contains(a.users[id].groups, group) {
			list = append(list, id)
		}
	}
	return list
}

func (a *accounts) listGroups(c *call) (any, error) {
	list := []map[string]any{}
	for _, group := range sorted(a.groups) {
		if c.who.needsAny("/access/groups/"+group, "User.Modify", "Sys.Audit", "Group.Allocate") != nil {
			continue
		}
		object := map[string]any{"groupid": group, "users": strings.Join(a.members(group), ",")}
		if comment := a.groups[group]; comment != "" {
			object["comment"] = comment
		}
		list = append(list, object)
	}
	return list, nil
}

func (a *accounts) getGroup(c *call) (any, error) {
	comment, there := a.groups[c.get("groupid")]
	if !there {
		return nil, refuse("group '%s' does not exist", c.get("groupid"))
	}
	object := map[string]any{"members": a.members(c.get("groupid"))}
	if comment != "" {
		object["comment"] = comment
	}
	return object, nil
}

func (a *accounts) createGroup(c *call) (any, error) {
	if _, there := a.groups[c.get("groupid")]; there {
		return nil, refuse("create group failed: group '%s' already exists", c.get("groupid"))
	}
	a.groups[c.get("groupid")] = c.get("comment")
	return null()
}

func (a *accounts) updateGroup(c *call) (any, error) {
	if _, there := a.groups[c.get("groupid")]; !there {
		return nil, refuse("update group failed: group '%s' does not exist", c.get("groupid"))
	}
	if c.has("comment") {
		a.groups[c.get("groupid")] = c.get("comment")
	}
	return null()
}

func (a *accounts) deleteGroup(c *call) (any, error) {
	group := c.get("groupid")
	if _, there := a.groups[group]; !there {
		return nil, refuse("delete group failed: group '%s' does not exist", group)
	}
	delete(a.groups, group)
	a.forget("group", group)
	for _, u := range a.users {
		u.groups = slices.DeleteFunc(u.groups, func(g string) bool { return g == group })
	}
	return null()
}
