package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// A tier holds the privileges for one kind of object, such as VMs, in three
// lists: for administrators, for users and for auditors. PVE makes its built-in
// roles from these lists (pve-access-control PVE/AccessControl.pm, $privgroups
// and create_roles).
type tier struct{ admin, user, audit string }

var tiers = map[string]tier{
	"VM": {
		admin: "VM.Config.Disk VM.Config.CPU VM.Config.Memory VM.Config.Network VM.Config.HWType VM.Config.Options VM.Allocate VM.Clone " +
			"VM.GuestAgent.Unrestricted VM.Migrate VM.Replicate VM.Snapshot VM.Snapshot.Rollback",
		user: "VM.Config.CDROM VM.Config.Cloudinit VM.Console VM.Backup VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt " +
			"VM.GuestAgent.FileWrite VM.PowerMgmt",
		audit: "VM.Audit VM.GuestAgent.Audit",
	},
	"Sys":       {admin: "Sys.Console Sys.Syslog", audit: "Sys.Audit"},
	"Datastore": {admin: "Datastore.Allocate Datastore.AllocateTemplate", user: "Datastore.AllocateSpace", audit: "Datastore.Audit"},
	"SDN":       {admin: "SDN.Allocate SDN.Audit", user: "SDN.Use", audit: "SDN.Audit"},
	"User":      {admin: "User.Modify Group.Allocate Realm.AllocateUser"},
	"Pool":      {admin: "Pool.Allocate", user: "Pool.Audit", audit: "Pool.Audit"},
	"Mapping":   {admin: "Mapping.Modify", user: "Mapping.Use", audit: "Mapping.Audit"},
}

// specialRoles returns the built-in roles of PVE with their privileges.
func (a *accounts) specialRoles() map[string][]string {
	roles := map[string][]string{"NoAccess": nil, "Administrator": a.privileges(), "PVETemplateUser": {"VM.Clone", "VM.Audit"}}
	add := func(role, privileges string) { roles[role] = append(roles[role], strings.Fields(privileges)...) }
	for name, t := range tiers {
		add("PVE"+name+"Admin", t.admin+" "+t.user+" "+t.audit)
		add("PVEAdmin", t.admin+" "+t.user+" "+t.audit)
		add("PVEAuditor", t.audit)
		if t.user != "" {
			add("PVE"+name+"User", t.user+" "+t.audit)
		}
	}
	for role, list := range roles {
		known := a.privileges()
		list = slices.DeleteFunc(slices.Clone(list), func(p string) bool {
			return !slices.Contains(known, p) || role == "PVEAdmin" && p == "Mapping.Modify"
		})
		slices.Sort(list)
		roles[role] = slices.Compact(list)
	}
	return roles
}

func special(role string) bool {
	return role == "NoAccess" || role == "Administrator" || strings.HasPrefix(role, "PVE")
}

func (a *accounts) allRoles() map[string][]string {
	all := a.specialRoles()
	maps.Copy(all, a.roles)
	return all
}

func (a *accounts) rolePrivileges(role string) []string {
	if own, there := a.roles[role]; there {
		return own
	}
	return a.specialRoles()[role]
}

func (a *accounts) listRoles(*call) (any, error) {
	list, all := []map[string]any{}, a.allRoles()
	for _, role := range sorted(all) {
		list = append(list, map[string]any{"roleid": role, "privs": strings.Join(all[role], ","), "special": bit(special(role))})
	}
	return list, nil
}

func (a *accounts) getRole(c *call) (any, error) {
	privileges, there := a.allRoles()[c.get("roleid")]
	if !there {
		return nil, refuse("role '%s' does not exist", c.get("roleid"))
	}
	object := map[string]any{}
	for _, p := range privileges {
		object[p] = 1
	}
	return object, nil
}

// setRole serves POST /access/roles and PUT /access/roles/{roleid}.
func (a *accounts) setRole(c *call) (any, error) {
	role, verb := c.get("roleid"), "update"
	_, there := a.allRoles()[role]
	switch create := c.endpoint.Method == "POST"; {
	case create && strings.HasPrefix(strings.ToUpper(role), "PVE"):
		return nil, wrong("roleid", "cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
	case create && there:
		return nil, refuse("create role failed: role '%s' already exists", role)
	case create:
		verb = "create"
	case special(role):
		return nil, refuse("auto-generated role '%s' cannot be modified", role)
	case !there:
		return nil, refuse("update role failed: role '%s' does not exist", role)
	}
	privileges := splitList(c.get("privs"))
	for _, p := range privileges {
		if !slices.Contains(a.privileges(), p) {
			return nil, wrong("privs", "invalid format - invalid privilege '%s'\n", p)
		}
	}
	if verb == "update" && c.get("append") == "1" {
		privileges = append(privileges, a.roles[role]...)
	}
	slices.Sort(privileges)
	a.roles[role] = slices.Compact(privileges)
	return null()
}

func (a *accounts) deleteRole(c *call) (any, error) {
	role := c.get("roleid")
	_, there := a.roles[role]
	switch {
	case special(role):
		return nil, refuse("auto-generated role '%s' cannot be deleted", role)
	case !there:
		return nil, refuse("delete role failed: role '%s' does not exist", role)
	}
	delete(a.roles, role)
	return null()
}
