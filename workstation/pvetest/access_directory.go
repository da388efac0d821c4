package pvetest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// A directory holds the content of user.cfg and of the files beside it: users
// with their tokens, groups, roles, and the access control list. It also holds
// the tickets. Every node accepts every ticket, because all nodes share the
// keys that sign tickets.
type directory struct {
	users  map[string]*account // all users, also root@pam
	groups map[string]string   // the comment of each group
	roles  map[string][]string // privileges of each role that is not built in
	acl    []entry
	pools  map[string]*pool

	tickets map[string]*ticket
}

// An account is a user. It has the privileges in the host's description and the
// privileges from the access control list.
type account struct {
	password   string
	enabled    bool
	expire     int               // seconds since 1970; 0 means never
	texts      map[string]string // "comment", "email", "firstname", "lastname", "keys"
	groups     []string
	privileges map[string][]string
	tokens     map[string]*apiToken
}

// An apiToken is an API token of a user.
type apiToken struct {
	secret     string
	separate   bool                // whether the token has its own privileges
	privileges map[string][]string // privileges in the host's description, by path
	expire     int                 // seconds since 1970; 0 means never
	comment    string
}

// An entry gives a user, group or token a role on a path. All entries together
// are the access control list.
type entry struct {
	path, role, kind, who string // kind is "user", "group" or "token"
	propagate             bool
}

// newDirectory makes the directory from the hosts' descriptions. If several
// hosts describe a user, a token or root@pam's password, the first description
// applies.
func newDirectory(hosts []Host) *directory {
	d := &directory{users: map[string]*account{}, groups: map[string]string{}, roles: map[string][]string{}, pools: map[string]*pool{}, tickets: map[string]*ticket{}}
	d.users["root@pam"] = newAccount(User{})
	for _, h := range hosts {
		root := d.users["root@pam"]
		root.password = cmp.Or(root.password, h.Password)
		root.addTokens(h.RootTokens)
		for _, u := range h.Users {
			if known := d.users[u.ID]; known != nil {
				known.addTokens(u.Tokens)
				continue
			}
			d.users[u.ID] = newAccount(u)
		}
		for name := range h.Pools {
			d.pools[name] = &pool{}
		}
	}
	d.users["root@pam"].password = cmp.Or(d.users["root@pam"].password, "secret")
	return d
}

func newAccount(u User) *account {
	a := &account{password: u.Password, enabled: true, texts: map[string]string{}, privileges: u.Privileges, tokens: map[string]*apiToken{}}
	a.addTokens(u.Tokens)
	return a
}

// addTokens adds the tokens that the user lacks.
func (u *account) addTokens(tokens []Token) {
	for _, t := range tokens {
		if u.tokens[t.ID] == nil {
			u.tokens[t.ID] = &apiToken{secret: t.Secret, separate: t.Privileges != nil, privileges: t.Privileges}
		}
	}
}

// The function "lives" reports whether an account or token is still valid. The
// parameter expire is the time at which the account or token expires.
func lives(expire int, now time.Time) bool { return expire == 0 || now.Unix() < int64(expire) }

// privilegesOf returns the privileges of a user, by path. If the user has an
// entry on a path, the entries of the user's groups on that path do not count
// (pve-access-control PVE/AccessControl.pm, roles).
func (a *accounts) privilegesOf(user string) map[string][]string {
	u := a.users[user]
	if u == nil {
		return nil
	}
	all := a.granted(u.privileges, "user", user)
	for _, group := range u.groups {
		for path, privileges := range a.granted(nil, "group", group) {
			if !slices.ContainsFunc(a.acl, func(e entry) bool {
				return e.kind == "user" && e.who == user && e.path == strings.TrimPrefix(path, exact)
			}) && u.privileges[path] == nil {
				all[path] = append(all[path], privileges...)
			}
		}
	}
	return all
}

// The method "granted" returns the privileges in the parameter "privileges",
// and adds the privileges that the access control list gives to a user, group
// or token.
func (a *accounts) granted(privileges map[string][]string, kind, who string) map[string][]string {
	all := map[string][]string{}
	for path, list := range privileges {
		all[path] = slices.Clone(list)
	}
	none := map[string]bool{}
	for _, e := range a.acl {
		if e.kind != kind || e.who != who {
			continue
		}
		list := a.rolePrivileges(e.role)
		if e.propagate {
			all[e.path] = append(all[e.path], list...)
		} else if all[exact+e.path] == nil {
			all[exact+e.path] = slices.Clone(all[e.path])
		}
		if here, there := all[exact+e.path]; there || !e.propagate {
			all[exact+e.path] = append(here, list...)
		}
		none[e.path] = none[e.path] || e.role == "NoAccess"
	}
	for path := range none {
		if none[path] { // the role NoAccess cancels all other roles
			all[path] = nil
			delete(all, exact+path)
		}
	}
	return all
}

// identity returns a user with the user's current privileges.
func (a *accounts) identity(user string) identity {
	who := identity{user: user, all: user == "root@pam", legacy: a.host.major() < 9}
	if grant := a.privilegesOf(user); grant != nil && !who.all {
		who.grants = []map[string][]string{grant}
	}
	return who
}

// The method "forget" removes a user, group or token from the access control
// list.
func (a *accounts) forget(kind, who string) {
	a.acl = slices.DeleteFunc(a.acl, func(e entry) bool { return e.kind == kind && e.who == who })
}

// The function "paths" returns the paths on which a user or token has
// privileges, each path once. The parameter "grant" holds the privileges by
// path.
func paths(grant map[string][]string) []string {
	list := map[string]bool{}
	for path := range grant {
		list[strings.TrimPrefix(path, exact)] = true
	}
	return slices.Sorted(maps.Keys(list))
}

// A pool is a resource pool. The list of its guests is in Host.Pools.
type pool struct {
	comment  string
	storages []string
}

// accessPaths returns every path on which a user, group or token has privileges
// or a role.
func (d *directory) accessPaths() []string {
	var list []string
	for _, a := range d.users {
		list = append(list, paths(a.privileges)...)
		for _, t := range a.tokens {
			list = append(list, paths(t.privileges)...)
		}
	}
	for _, e := range d.acl {
		list = append(list, e.path)
	}
	return list
}
