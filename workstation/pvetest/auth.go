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
	all bool
	// grants are privileges by path, of the user and of the token: what all of
	// them grant is allowed.
	grants []map[string][]string
	legacy bool // of a PVE before 9
}

// root reports whether PVE takes the identity for root@pam itself, which it
// does for no token.
func (who identity) root() bool { return who.user == "root@pam" }

// authenticate returns who a request comes from, or PVE's refusal.
func (n *Node) authenticate(r *http.Request, anybody bool) (who identity, refusal string) {
	cookie, err := r.Cookie("PVEAuthCookie")
	header, byToken := strings.CutPrefix(r.Header.Get("Authorization"), "PVEAPIToken=")
	switch {
	case anybody:
		return identity{token: byToken && err != nil}, ""
	case err != nil && byToken:
		return n.byToken(header)
	case err != nil:
		return identity{}, "No ticket"
	}
	t, known := n.tickets[cookie.Value]
	switch {
	case !known || !t.expires.After(n.now):
		return identity{}, n.authFailure("permission denied - invalid PVE ticket")
	case r.Method != http.MethodGet && r.Header.Get("CSRFPreventionToken") != t.csrf:
		return identity{}, "Permission denied - invalid csrf token"
	}
	return n.identity(t.user), ""
}

// authFailure returns what a client learns of a wrong ticket or token: since
// PVE 9 no longer why.
func (n *Node) authFailure(why string) string {
	if n.host.major() < 9 {
		return why
	}
	return "Authentication failed!"
}

func (n *Node) identity(user string) identity {
	who := identity{user: user, all: user == "root@pam", legacy: n.host.major() < 9}
	for _, u := range n.host.Users {
		if u.ID == user && !who.all {
			who.grants = []map[string][]string{u.Privileges}
		}
	}
	return who
}

func (n *Node) byToken(header string) (who identity, refusal string) {
	name, secret, _ := strings.Cut(header, "=")
	user, id, _ := strings.Cut(name, "!")
	var tokens []Token
	if user == "root@pam" {
		tokens = n.host.RootTokens
	}
	for _, u := range n.host.Users {
		if u.ID == user {
			tokens = u.Tokens
		}
	}
	i := slices.IndexFunc(tokens, func(t Token) bool { return t.ID == id })
	switch {
	case i < 0:
		return identity{}, n.authFailure(fmt.Sprintf("no such token '%s' for user '%s'", id, user))
	case tokens[i].Secret != secret:
		return identity{}, n.authFailure("invalid token value!")
	}
	who = n.identity(user)
	who.user, who.token = name, true
	if own := tokens[i].Privileges; own != nil {
		who.all, who.grants = false, append(who.grants, own)
	}
	return who, ""
}

// may reports whether the identity has a privilege on a path: whether each of
// its grants has it.
func (who identity) may(path, privilege string) bool {
	if who.all {
		return true
	}
	for _, grant := range who.grants {
		if !slices.Contains(nearest(grant, path), privilege) {
			return false
		}
	}
	return len(who.grants) > 0
}

// nearest returns the privileges that hold on a path: its own, or else those
// of the nearest path above it (pve-access-control PVE/AccessControl.pm, roles).
func nearest(grant map[string][]string, path string) []string {
	for {
		if privileges, there := grant[cmp.Or(path, "/")]; there {
			return privileges
		}
		if path == "" || path == "/" {
			return nil
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
		if who.legacy && strings.HasPrefix(privilege, "VM.GuestAgent.") {
			privilege = "VM.Monitor"
		}
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
	return path + ", " + missing[0]
}

// login is POST /access/ticket. A ticket that is good is as good as a password,
// root@pam's for anybody (PVE/API2/AccessControl.pm, create_ticket).
func (n *Node) login(c *call) answer {
	user := c.get("username")
	if realm := c.get("realm"); realm != "" {
		user += "@" + realm
	}
	password, known := cmp.Or(n.host.Password, "secret"), user == "root@pam"
	for _, u := range n.host.Users {
		if u.ID == user && u.Password != "" {
			password, known = u.Password, true
		}
	}
	old, isTicket := n.tickets[c.get("password")]
	isTicket = isTicket && !n.now.After(old.expires) && (old.user == user || old.user == "root@pam")
	if !known || c.get("password") != password && !isTicket {
		return fail(http.StatusUnauthorized, "authentication failure")
	}
	t := &ticket{user: user, csrf: fmt.Sprintf("%08X:csrf%d", n.now.Unix(), n.random.Uint64()), expires: n.now.Add(ticketLife)}
	name := fmt.Sprintf("PVE:%s:%08X::%x", user, n.now.Unix(), n.random.Uint64())
	n.tickets[name] = t
	return ok(map[string]any{"username": user, "ticket": name, "CSRFPreventionToken": t.csrf, "clustername": ""})
}

// topPaths are those of which access/permissions always speaks.
var topPaths = []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}

// permissions is GET /access/permissions: every path with its privileges,
// inherited ones included; paths without any are left out.
func (n *Node) permissions(c *call) answer {
	who := c.who
	if user := c.get("userid"); user != "" && user != who.user {
		if a, allowed := who.needs("/access", "Sys.Audit"); !allowed {
			return a
		}
		who = n.identity(user)
	}
	paths := slices.Clone(topPaths)
	for _, grant := range who.grants {
		paths = append(paths, sorted(grant)...)
	}
	if c.has("path") {
		paths = []string{c.get("path")}
	}
	tree := map[string]map[string]int{}
	for _, path := range paths {
		for _, privilege := range n.privileges() {
			if who.may(path, privilege) {
				if tree[path] == nil {
					tree[path] = map[string]int{}
				}
				tree[path][privilege] = 1
			}
		}
	}
	return ok(tree)
}

// privileges returns those that the node's version of PVE knows. PVE 9 has
// several for the guest agent where PVE 8 had VM.Monitor.
func (n *Node) privileges() []string {
	if n.host.major() >= 9 {
		return allPrivileges
	}
	old := slices.DeleteFunc(slices.Clone(allPrivileges), func(p string) bool { return strings.HasPrefix(p, "VM.GuestAgent.") })
	return append(old, "VM.Monitor")
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
	"VM.GuestAgent.Unrestricted", "VM.Migrate", "VM.PowerMgmt", "VM.Replicate", "VM.Snapshot", "VM.Snapshot.Rollback",
}
