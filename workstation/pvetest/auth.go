package pvetest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// ticketLife is how long a ticket is good for (PVE/AccessControl.pm).
const ticketLife = 2 * time.Hour

// A ticket is what a login with a password gives.
type ticket struct {
	user    string
	csrf    string
	expires time.Time
}

// An identity is who a request comes from.
type identity struct {
	user  string // "root@pam", or "ops@pve!automation" for a token
	token bool
	// all is set for root@pam and for its tokens without own privileges.
	all        bool
	privileges map[string][]string
}

// root reports whether PVE takes the identity for root@pam itself, which it
// does for no token.
func (who identity) root() bool { return who.user == "root@pam" }

// authenticate returns who a request comes from, or PVE's refusal.
func (n *Node) authenticate(r *http.Request, anybody bool) (identity, string) {
	if header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "PVEAPIToken="); ok {
		return n.byToken(header)
	}
	cookie, err := r.Cookie("PVEAuthCookie")
	if err != nil {
		if anybody {
			return identity{}, ""
		}
		return identity{}, "No ticket"
	}
	t, known := n.tickets[cookie.Value]
	switch {
	case anybody:
		return identity{}, ""
	case !known || !t.expires.After(n.now):
		return identity{}, "permission denied - invalid PVE ticket"
	case r.Method != http.MethodGet && r.Header.Get("CSRFPreventionToken") != t.csrf:
		return identity{}, "Permission denied - invalid csrf token"
	}
	return n.identity(t.user), ""
}

func (n *Node) identity(user string) identity {
	if user == "root@pam" {
		return identity{user: user, all: true}
	}
	for _, u := range n.host.Users {
		if u.ID == user {
			return identity{user: user, privileges: u.Privileges}
		}
	}
	return identity{user: user}
}

func (n *Node) byToken(header string) (identity, string) {
	name, secret, _ := strings.Cut(header, "=")
	user, id, _ := strings.Cut(name, "!")
	tokens := n.host.RootTokens
	for _, u := range n.host.Users {
		if u.ID == user {
			tokens = u.Tokens
		}
	}
	i := slices.IndexFunc(tokens, func(t Token) bool { return t.ID == id })
	if i < 0 || user != "root@pam" && n.identity(user).privileges == nil {
		return identity{}, fmt.Sprintf("no such token '%s' for user '%s'", id, user)
	}
	if tokens[i].Secret != secret {
		return identity{}, "invalid token value!"
	}
	who := n.identity(user)
	who.user, who.token = name, true
	if tokens[i].Privileges != nil {
		who.all, who.privileges = false, tokens[i].Privileges
	}
	return who, ""
}

// may reports whether the identity has a privilege on a path or above it.
func (who identity) may(path, privilege string) bool {
	if who.all {
		return true
	}
	for {
		if slices.Contains(who.privileges[cmp.Or(path, "/")], privilege) {
			return true
		}
		if path == "" || path == "/" {
			return false
		}
		path = path[:strings.LastIndex(path, "/")]
	}
}

// needs returns an answer that refuses the identity, unless it has the
// privilege.
func (who identity) needs(path, privilege string) (answer, bool) {
	if who.may(path, privilege) {
		return answer{}, true
	}
	return fail(http.StatusForbidden, "Permission check failed (%s, %s)", path, privilege), false
}

// checkAll returns the check that fails, as PVE names it, or "".
func (n *Node) checkAll(who identity, check pveschema.Check, names map[string]string) string {
	if len(check) == 0 || who.all {
		return ""
	}
	switch check[0] {
	case "and", "or":
		failed := ""
		for _, inner := range check[1:] {
			list, _ := inner.([]any)
			missing := n.checkAll(who, list, names)
			if check[0] == "or" && missing == "" {
				return ""
			}
			failed = cmp.Or(failed, missing)
		}
		return failed
	case "perm":
		return checkPerm(who, check, names)
	}
	return ""
}

// checkPerm checks ["perm", path, [privileges], "any", 1].
func checkPerm(who identity, check pveschema.Check, names map[string]string) string {
	path, _ := check[1].(string)
	for name, value := range names {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	wanted, _ := check[2].([]any)
	some := len(check) > 3 && check[3] == "any"
	var missing, all []string
	for _, w := range wanted {
		privilege, _ := w.(string)
		all = append(all, privilege)
		if !who.may(path, privilege) {
			missing = append(missing, privilege)
		}
	}
	switch {
	case len(missing) == 0 || some && len(missing) < len(all):
		return ""
	case some:
		return path + ", " + strings.Join(all, "|")
	}
	return path + ", " + strings.Join(missing, ", ")
}

// login is POST /access/ticket.
func (n *Node) login(c *call) answer {
	user := c.get("username")
	if !strings.Contains(user, "@") {
		user += "@" + cmp.Or(c.get("realm"), "pam")
	}
	password, known := cmp.Or(n.host.Password, "secret"), user == "root@pam"
	for _, u := range n.host.Users {
		if u.ID == user && u.Password != "" {
			password, known = u.Password, true
		}
	}
	if !known || c.get("password") != password {
		return fail(http.StatusUnauthorized, "authentication failure")
	}
	t := &ticket{user: user, csrf: fmt.Sprintf("%08X:csrf%d", n.now.Unix(), n.random.Uint64()), expires: n.now.Add(ticketLife)}
	name := fmt.Sprintf("PVE:%s:%08X::%x", user, n.now.Unix(), n.random.Uint64())
	n.tickets[name] = t
	return ok(map[string]any{"username": user, "ticket": name, "CSRFPreventionToken": t.csrf, "clustername": ""})
}

// permissions is GET /access/permissions: every path with its privileges.
func (n *Node) permissions(c *call) answer {
	tree := map[string]map[string]int{}
	grant := func(path string, privileges []string) {
		for _, p := range privileges {
			if tree[path] == nil {
				tree[path] = map[string]int{}
			}
			tree[path][p] = 1
		}
	}
	if c.who.all {
		for _, path := range []string{"/", "/vms", "/storage", "/nodes", "/access", "/pool", "/sdn", "/mapping"} {
			grant(path, allPrivileges)
		}
		return ok(tree)
	}
	for path, privileges := range c.who.privileges {
		grant(path, privileges)
	}
	return ok(tree)
}

// allPrivileges are those of the role Administrator (PVE manual, User
// Management, Privileges).
var allPrivileges = []string{
	"Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
	"Group.Allocate", "Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify", "Pool.Allocate",
	"Pool.Audit", "Realm.Allocate", "Realm.AllocateUser", "SDN.Allocate", "SDN.Audit", "SDN.Use", "Sys.AccessNetwork",
	"Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Sys.Syslog", "User.Modify",
	"VM.Allocate", "VM.Audit", "VM.Backup", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit",
	"VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Console",
	"VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite",
	"VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.PowerMgmt", "VM.Snapshot", "VM.Snapshot.Rollback",
}
