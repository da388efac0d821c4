package pvetest

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// aclPath matches valid paths of PVE's access control (pve-access-control
// PVE/AccessControl.pm, normalize_path).
var aclPath = regexp.MustCompile(`^[A-Za-z0-9.\-_/]+$`)

// The method "resolve" prepares the check of an endpoint for a call. It puts
// the call's parameters into the paths of the check. It leaves out conditions
// that the call already meets, and conditions that do not apply to the call
// (pve-access-control PVE/RPCEnvironment.pm, exec_api2_perm_check).
func (c *call) resolve(check pveschema.Check) (pveschema.Check, error) {
	if len(check) == 0 {
		return check, nil
	}
	switch kind, _ := check[0].(string); kind {
	case "and", "or":
		resolved := pveschema.Check{kind}
		for _, inner := range check[1:] {
			list, _ := inner.([]any)
			each, err := c.resolve(list)
			switch {
			case err != nil:
				return nil, err
			case len(each) > 0:
				resolved = append(resolved, []any(each))
			case kind == "or":
				return nil, nil //nolint:nilnil // nothing is asked
			}
		}
		return resolved, nil
	case "perm":
		return c.resolvePath(check)
	}
	return c.resolveUser(check)
}

// The variable "never" holds a check that only root@pam passes.
var never = pveschema.Check{"perm", "/", []any{"-"}}

// resolvePath puts the call's parameters into the path of a check in the form
// ["perm", path, ...].
func (c *call) resolvePath(check pveschema.Check) (pveschema.Check, error) {
	path, _ := check[1].(string)
	for name := range c.values {
		path = strings.ReplaceAll(path, "{"+name+"}", c.get(name))
	}
	for i, option := range check {
		if option == "require_param" && !c.has(check[i+1].(string)) {
			return never, nil
		}
	}
	if !aclPath.MatchString(path) && !strings.Contains(path, "{") {
		privileges, _ := check[2].([]any)
		first, _ := privileges[0].(string)
		return nil, refuseWith(http.StatusForbidden, "Permission check failed (, %s)", first)
	}
	resolved := append(pveschema.Check{}, check...)
	resolved[1] = path
	return resolved, nil
}

// resolveUser converts a check about a user to a check of privileges. If the
// check is "userid-group", the caller needs one of its privileges on the path
// /access/groups. PVE also accepts such a privilege on one of the user's
// groups, but this node does not.
func (c *call) resolveUser(check pveschema.Check) (pveschema.Check, error) {
	user := c.get("userid")
	_, realm, found := strings.Cut(user, "@")
	if !found && check[0] != "perm-modify" {
		return nil, refuse("value '%s' does not look like a valid user name", user)
	}
	switch check[0] {
	case "userid-param":
		if check[1] != "self" {
			return pveschema.Check{"perm", "/access/realm/" + realm, []any{check[1]}}, nil
		}
		if user == c.who.user {
			return nil, nil //nolint:nilnil // nothing is asked
		}
		return never, nil
	case "userid-group":
		return pveschema.Check{"perm", "/access/groups", check[1], "any", 1.0}, nil
	}
	return pveschema.Check{"perm", c.get("path"), modifiers(c.get("path")), "any", 1.0}, nil
}

// modifiers returns privileges. The caller needs one of these privileges to
// change the access control list on a path (check_perm_modify).
func modifiers(path string) []any {
	switch {
	case strings.HasPrefix(path, "/storage"):
		return []any{"Permissions.Modify", "Datastore.Allocate"}
	case strings.HasPrefix(path, "/vms"):
		return []any{"Permissions.Modify", "VM.Allocate"}
	case strings.HasPrefix(path, "/pool"):
		return []any{"Permissions.Modify", "Pool.Allocate"}
	}
	return []any{"Permissions.Modify"}
}
