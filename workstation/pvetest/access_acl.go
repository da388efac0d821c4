package pvetest

import (
	"regexp"
	"slices"
	"strings"
)

// knownPath matches the paths on which a user, group or token can have a role
// (pve-access-control PVE/AccessControl.pm, check_path).
var knownPath = regexp.MustCompile(`^/(access(/groups(/[A-Za-z0-9.\-_]+)?|/realm(/[A-Za-z0-9.\-_]+)?)?|` +
	`mapping(/(dir|hwrng|pci|usb)(/[A-Za-z0-9\-_]+)?)?|nodes(/[A-Za-z0-9.\-_]+)?|pool(/[A-Za-z0-9.\-_]+){0,4}|` +
	`sdn(/.+)?|storage(/[A-Za-z0-9.\-_]+)?|vms(/[1-9][0-9]{2,})?)?$`)

func (a *accounts) listACL(c *call) (any, error) {
	list := []map[string]any{}
	audit := c.who.may("/access", "Sys.Audit")
	for _, e := range append(a.described(), a.acl...) {
		if audit || c.who.may(e.path, "Permissions.Modify") {
			list = append(list, map[string]any{"path": e.path, "ugid": e.who, "type": e.kind, "roleid": e.role, "propagate": bit(e.propagate)})
		}
	}
	return list, nil
}

// The method "described" converts the privileges in the host's description to
// entries of the access control list. Each entry needs a role. If a built-in
// role has exactly the described privileges, the entry has this role. Otherwise
// the entry has a role that is named after the user.
func (a *accounts) described() (list []entry) {
	roles := a.specialRoles()
	add := func(kind, who string, privileges map[string][]string) {
		for _, path := range sorted(privileges) {
			want := slices.Sorted(slices.Values(privileges[path]))
			role := "as-described-" + strings.NewReplacer("@", "-", "!", "-").Replace(who)
			for _, name := range sorted(roles) {
				if slices.Equal(roles[name], want) {
					role = name
				}
			}
			list = append(list, entry{path, role, kind, who, true})
		}
	}
	for _, id := range sorted(a.users) {
		u := a.users[id]
		add("user", id, u.privileges)
		for _, token := range sorted(u.tokens) {
			add("token", id+"!"+token, u.tokens[token].privileges)
		}
	}
	return list
}

// changeACL serves PUT /access/acl. It gives users, groups or tokens a role on
// a path, or takes the role away from them.
func (a *accounts) changeACL(c *call) (any, error) {
	if c.get("users")+c.get("groups")+c.get("tokens") == "" {
		problems := map[string]string{}
		for _, name := range []string{"users", "groups", "tokens"} {
			problems[name] = "either 'users', 'groups' or 'tokens' is required."
		}
		return nil, invalid(problems)
	}
	path, remove := clean(c.get("path")), c.get("delete") == "1"
	if !aclPath.MatchString(path) || !remove && !knownPath.MatchString(path) {
		return nil, wrong("path", "invalid ACL path '%s'", c.get("path"))
	}
	var named []entry
	for _, role := range splitList(c.get("roles")) {
		if err := a.mayGive(c, path, role); err != nil {
			return nil, err
		}
		for _, kind := range []string{"group", "user", "token"} {
			for _, id := range splitList(c.get(kind + "s")) {
				if err := a.known(kind, id); err != nil {
					return nil, refuse("ACL update failed: %v", err)
				}
				named = append(named, entry{path, role, kind, id, c.get("propagate") != "0"})
			}
		}
	}
	for _, e := range named {
		a.acl = slices.DeleteFunc(a.acl, func(old entry) bool {
			return old.path == e.path && old.role == e.role && old.kind == e.kind && old.who == e.who
		})
		if !remove {
			a.acl = append(a.acl, e)
		}
	}
	return null()
}

// mayGive returns a refusal if the caller lacks a privilege that the role
// contains.
func (a *accounts) mayGive(c *call, path, role string) error {
	privileges, there := a.allRoles()[role]
	if !there {
		return refuse("ACL update failed: role '%s' does not exist", role)
	}
	if c.who.may(path, "Permissions.Modify") {
		return nil
	}
	verb := "add"
	if c.get("delete") == "1" {
		verb = "remove"
	}
	for _, p := range privileges {
		if !c.who.may(path, p) {
			return wrong("role", "Cannot %s role '%s' - requires 'Permissions.Modify' or superset of privileges.", verb, role)
		}
	}
	if role == "NoAccess" {
		return wrong("role", "Cannot %s role '%s' - requires 'Permissions.Modify'", verb, role)
	}
	return nil
}

// The method "known" returns PVE's refusal if a user, group or token does not
// exist.
func (a *accounts) known(kind, id string) error {
	user, token, _ := strings.Cut(id, "!")
	switch kind {
	case "group":
		if _, there := a.groups[id]; !there {
			return refuse("group '%s' does not exist", id)
		}
	case "user":
		if a.users[id] == nil {
			return refuse("user '%s' does not exist", id)
		}
	case "token":
		if a.users[user] == nil {
			return refuse("no such user ('%s')", user)
		}
		if a.users[user].tokens[token] == nil {
			return refuse("no such token '%s' for user '%s'", token, user)
		}
	}
	return nil
}
