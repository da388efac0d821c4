package pvetest

import (
	"slices"
	"strings"
)

// userTexts lists the fields of a user that hold text.
var userTexts = []string{"comment", "email", "firstname", "lastname", "keys"}

// realms holds the two built-in realms of PVE with their comments.
var realms = map[string]string{"pam": "Linux PAM standard authentication", "pve": "Proxmox VE authentication server"}

func (a *accounts) listRealms(*call) (any, error) {
	list := []map[string]any{}
	for _, realm := range sorted(realms) {
		list = append(list, map[string]any{"realm": realm, "type": realm, "comment": realms[realm]})
	}
	return list, nil
}

func (a *accounts) getRealm(c *call) (any, error) {
	realm := c.get("realm")
	if realms[realm] == "" {
		return nil, refuse("domain '%s' does not exist", realm)
	}
	return map[string]any{"type": realm, "comment": realms[realm], "digest": emptyDigest}, nil
}

// user returns the account that a call names (check_user_exist).
func (a *accounts) user(c *call) (*account, error) {
	if u := a.users[c.get("userid")]; u != nil {
		return u, nil
	}
	return nil, refuse("no such user ('%s')", c.get("userid"))
}

// The method "object" returns the fields of an account that PVE shows in lists.
func (u *account) object() map[string]any {
	object := map[string]any{"enable": bit(u.enabled), "expire": u.expire}
	for key, value := range u.texts {
		if value != "" || key == "email" {
			object[key] = value
		}
	}
	return object
}

func (a *accounts) listUsers(c *call) (any, error) {
	list := []map[string]any{}
	all := c.who.needsAny("/access/groups", "User.Modify", "Sys.Audit") == nil
	for _, id := range sorted(a.users) {
		u := a.users[id]
		if !all && id != c.who.user || c.has("enabled") && (c.get("enabled") == "1") != u.enabled {
			continue
		}
		object := u.object()
		object["userid"] = id
		if _, realm, _ := strings.Cut(id, "@"); realms[realm] != "" {
			object["realm-type"] = realm
		}
		if c.get("full") == "1" {
			object["groups"], object["tokens"] = strings.Join(u.groups, ","), u.listTokens()
		}
		list = append(list, object)
	}
	return list, nil
}

func (a *accounts) getUser(c *call) (any, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, err
	}
	object := u.object()
	object["groups"] = append([]string{}, u.groups...)
	object["tokens"] = nil
	if len(u.tokens) > 0 {
		tokens := map[string]any{}
		for id, t := range u.tokens {
			tokens[id] = t.object()
		}
		object["tokens"] = tokens
	}
	return object, nil
}

func (a *accounts) createUser(c *call) (any, error) {
	id := c.get("userid")
	_, realm, _ := strings.Cut(id, "@")
	switch {
	case a.users[id] != nil:
		return nil, refuse("create user failed: user '%s' already exists", id)
	case c.has("password") && realms[realm] == "":
		return nil, refuse("create user failed: domain '%s' does not exist", realm)
	}
	u := newAccount(User{Password: c.get("password")})
	u.texts["email"] = ""
	if err := a.fill(u, c); err != nil {
		return nil, refuse("create user failed: %v", err)
	}
	a.users[id] = u
	return null()
}

func (a *accounts) updateUser(c *call) (any, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, refuse("update user failed: %v", err)
	}
	changed := *u
	if err := a.fill(&changed, c); err != nil {
		return nil, refuse("update user failed: %v", err)
	}
	*u = changed
	return null()
}

// The method "fill" copies the call's parameters into the fields of an account.
func (a *accounts) fill(u *account, c *call) error {
	if c.has("enable") {
		u.enabled = c.get("enable") == "1"
	}
	if c.has("expire") {
		u.expire = c.number("expire")
	}
	for _, key := range userTexts {
		if c.has(key) {
			u.texts[key] = c.get(key)
		}
	}
	if !c.has("groups") {
		return nil
	}
	groups := splitList(c.get("groups"))
	for _, group := range groups {
		if _, there := a.groups[group]; !there {
			return refuse("no such group '%s'", group)
		}
	}
	if c.get("append") == "1" {
		groups = append(groups, u.groups...)
	}
	slices.Sort(groups)
	u.groups = slices.Compact(groups)
	return nil
}

func (a *accounts) deleteUser(c *call) (any, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, refuse("delete user failed: %v", err)
	}
	id := c.get("userid")
	for token := range u.tokens {
		a.forget("token", id+"!"+token)
	}
	a.forget("user", id)
	delete(a.users, id)
	return null()
}

func (a *accounts) changePassword(c *call) (any, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, err
	}
	u.password = c.get("password")
	return null()
}
