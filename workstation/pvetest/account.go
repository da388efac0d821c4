package pvetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ticketLife is the time for which a ticket is valid (PVE/AccessControl.pm).
const ticketLife = 2 * time.Hour

// A ticket is the result of a login with a password.
type ticket struct {
	user    string
	csrf    string
	expires time.Time
}

// accounts authenticates the callers of a node. The directory belongs to the
// whole cluster.
type accounts struct {
	*base
	*directory
}

// authenticate returns the identity of the caller who sent a request, or PVE's
// refusal.
func (a *accounts) authenticate(r *http.Request, anybody bool) (who identity, err error) {
	cookie, token := credentials(r)
	switch {
	case anybody:
		return identity{token: token != ""}, nil
	case token != "":
		return a.byToken(token)
	case cookie == "":
		return identity{}, unauthorized("No ticket")
	}
	t, known := a.tickets[cookie]
	switch {
	case !known || !t.expires.After(a.now):
		return identity{}, a.authFailure("permission denied - invalid PVE ticket")
	case r.Method != http.MethodGet && r.Header.Get("CSRFPreventionToken") != t.csrf:
		return identity{}, unauthorized("Permission denied - invalid csrf token")
	}
	return a.identity(t.user), nil
}

// authFailure returns PVE's answer to a wrong ticket or token. Since version 9,
// PVE no longer gives the reason.
func (a *accounts) authFailure(why string) error {
	if a.host.major() < 9 {
		return unauthorized(why)
	}
	return unauthorized("Authentication failed!")
}

// byToken returns the identity that belongs to an API token in the form
// "user@realm!token=secret".
func (a *accounts) byToken(header string) (who identity, err error) {
	name, secret, _ := strings.Cut(header, "=")
	user, id, _ := strings.Cut(name, "!")
	u := a.users[user]
	if u == nil || u.tokens[id] == nil {
		return identity{}, a.authFailure(fmt.Sprintf("no such token '%s' for user '%s'", id, user))
	}
	t := u.tokens[id]
	switch {
	case t.secret != secret:
		return identity{}, a.authFailure("invalid token value!")
	case !u.enabled || !lives(u.expire, a.now):
		return identity{}, a.authFailure(fmt.Sprintf("user '%s' is disabled", user))
	case !lives(t.expire, a.now):
		return identity{}, a.authFailure(fmt.Sprintf("token '%s' access expired", name))
	}
	who = a.identity(user)
	who.user, who.token = name, true
	if t.separate {
		who.all, who.grants = false, append(who.grants, a.granted(t.privileges, "token", name))
	}
	return who, nil
}

// login serves POST /access/ticket. PVE also accepts a valid ticket of the user
// as the password, and a ticket of root@pam as the password of any user
// (PVE/API2/AccessControl.pm, create_ticket).
func (a *accounts) login(c *call) (any, error) {
	user := c.get("username")
	if realm := c.get("realm"); realm != "" {
		user += "@" + realm
	}
	u := a.users[user]
	old, isTicket := a.tickets[c.get("password")]
	isTicket = isTicket && !a.now.After(old.expires) && (old.user == user || old.user == "root@pam")
	if u == nil || !u.enabled || !lives(u.expire, a.now) || !isTicket && (u.password == "" || c.get("password") != u.password) {
		return nil, refuseWith(http.StatusUnauthorized, "authentication failure")
	}
	t := &ticket{user: user, csrf: fmt.Sprintf("%08X:csrf%d", a.now.Unix(), a.random.Uint64()), expires: a.now.Add(ticketLife)}
	name := fmt.Sprintf("PVE:%s:%08X::%x", user, a.now.Unix(), a.random.Uint64())
	a.tickets[name] = t
	object := map[string]any{"username": user, "ticket": name, "CSRFPreventionToken": t.csrf}
	if !a.alone() && a.identity(user).may("/", "Sys.Audit") {
		object["clustername"] = a.name
	}
	return object, nil
}

// topPaths lists the paths that the answer to GET access/permissions always
// contains.
var topPaths = []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}

// permissions serves GET /access/permissions. It returns every path with its
// privileges, inherited privileges included. It leaves out paths without
// privileges.
func (a *accounts) permissions(c *call) (any, error) {
	who := c.who
	if user := c.get("userid"); user != "" && user != who.user {
		if err := who.needs("/access", "Sys.Audit"); err != nil {
			return nil, err
		}
		who = a.identity(user)
	}
	list := slices.Clone(topPaths)
	for _, grant := range who.grants {
		list = append(list, paths(grant)...)
	}
	list = append(list, a.accessPaths()...)
	if c.has("path") {
		list = []string{c.get("path")}
	}
	tree := map[string]map[string]int{}
	for _, path := range list {
		for _, privilege := range a.privileges() {
			if who.may(path, privilege) {
				if tree[path] == nil {
					tree[path] = map[string]int{}
				}
				tree[path][privilege] = 1
			}
		}
	}
	return tree, nil
}

// The method "privileges" returns the privileges that exist in the node's
// version of PVE. PVE 8 has VM.Monitor. PVE 9 has several privileges for the
// guest agent instead of VM.Monitor.
func (a *accounts) privileges() []string {
	if a.host.major() >= 9 {
		return allPrivileges
	}
	old := slices.DeleteFunc(slices.Clone(allPrivileges), func(p string) bool { return strings.HasPrefix(p, "VM.GuestAgent.") })
	return append(old, "VM.Monitor")
}

// allPrivileges lists the privileges of the role Administrator (PVE manual,
// User Management, Privileges).
var allPrivileges = []string{
	"Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
	"Group.Allocate", "Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify", "Pool.Allocate",
	"Pool.Audit", "Realm.Allocate", "Realm.AllocateUser", "SDN.Allocate", "SDN.Audit", "SDN.Use", "Sys.AccessNetwork",
	"Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Sys.Syslog", "User.Modify",
	"VM.Allocate", "VM.Audit", "VM.Backup", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit",
	"VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Console",
	"VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite",
	"VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.PowerMgmt", "VM.Replicate", "VM.Snapshot", "VM.Snapshot.Rollback",
}
