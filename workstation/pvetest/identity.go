package pvetest

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// An identity is the user or token that makes a request.
type identity struct {
	user  string // "root@pam", or "ops@pve!automation" for a token
	token bool
	// The field "all" is set for root@pam, and for tokens of root@pam without
	// their own privileges.
	all bool
	// grants holds privileges by path: one map for the user, and another for a
	// token with its own privileges. An action is allowed only if all maps
	// allow it.
	grants []map[string][]string
	legacy bool // the node's PVE is older than 9
}

// rootUser is root@pam. The node acts as this user if an action has no caller.
var rootUser = identity{user: "root@pam", all: true}

// The method "root" reports whether the identity is root@pam itself. It returns
// false for a token of root@pam.
func (who identity) root() bool { return who.user == "root@pam" }

// The method "may" reports whether the identity has a privilege on a path. All
// of its grants must include the privilege.
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

// The function "nearest" returns the privileges that a grant gives on a path.
// If the path has no entry, the entry of the nearest path above it applies
// (pve-access-control PVE/AccessControl.pm, roles).
func nearest(grant map[string][]string, path string) []string {
	if privileges, there := grant[exact+cmp.Or(path, "/")]; there {
		return privileges
	}
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

// The method "needs" returns a refusal unless the identity has the privilege.
func (who identity) needs(path, privilege string) error {
	if who.may(path, privilege) {
		return nil
	}
	return forbid(path, privilege)
}

// The method "lacks" returns a refusal unless the identity passes the check of
// an endpoint. If one of several privileges would be enough, PVE's message does
// not name the missing privilege.
func (who identity) lacks(check pveschema.Check, names map[string]string) error {
	if len(check) == 0 || who.all {
		return nil
	}
	switch check[0] {
	case "and":
		for _, inner := range check[1:] {
			list, _ := inner.([]any)
			if err := who.lacks(list, names); err != nil {
				return err
			}
		}
	case "or":
		for _, inner := range check[1:] {
			if list, _ := inner.([]any); who.lacks(list, names) == nil {
				return nil
			}
		}
		return refuseWith(http.StatusForbidden, "Permission check failed")
	case "perm":
		return who.lacksPrivileges(check, names)
	}
	return nil
}

// lacksPrivileges does the work of the method "lacks" for a check in the form
// ["perm", path, [privileges], "any", 1].
func (who identity) lacksPrivileges(check pveschema.Check, names map[string]string) error {
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
		return nil
	case some:
		return forbid(path, strings.Join(all, "|"))
	}
	return forbid(path, missing[0])
}

// needsAny returns a refusal unless the identity has one of the privileges.
func (who identity) needsAny(path string, privileges ...string) error {
	if slices.ContainsFunc(privileges, func(p string) bool { return who.may(path, p) }) {
		return nil
	}
	return forbid(path, strings.Join(privileges, "|"))
}

func (who identity) maySee(storage string) bool { return who.seesStorage(storage) == nil }

// seesStorage returns a refusal unless the identity may see a storage's
// content.
func (who identity) seesStorage(storage string) error {
	return who.needsAny("/storage/"+storage, "Datastore.AllocateSpace", "Datastore.Audit")
}

func vmPath(id int) string { return "/vms/" + text(id) }

// The constant "exact" is a prefix of paths in a grant. An entry with this
// prefix applies to the path but not to the paths below it.
const exact = "="
