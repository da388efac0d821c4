package pvetest

// accessHandlers returns the handlers for users, permissions and pools.
func accessHandlers() map[string]handler {
	const user, token = "/access/users/{userid}", "/access/users/{userid}/token/{tokenid}"
	return map[string]handler{
		"PUT /access/password":             (*Node).changePassword,
		"GET /access/acl":                  (*Node).listACL,
		"PUT /access/acl":                  (*Node).changeACL,
		"GET /access/domains":              (*Node).listRealms,
		"GET /access/domains/{realm}":      (*Node).getRealm,
		"GET /access/groups":               (*Node).listGroups,
		"POST /access/groups":              (*Node).createGroup,
		"GET /access/groups/{groupid}":     (*Node).getGroup,
		"PUT /access/groups/{groupid}":     (*Node).updateGroup,
		"DELETE /access/groups/{groupid}":  (*Node).deleteGroup,
		"GET /access/roles":                (*Node).listRoles,
		"POST /access/roles":               (*Node).setRole,
		"GET /access/roles/{roleid}":       (*Node).getRole,
		"PUT /access/roles/{roleid}":       (*Node).setRole,
		"DELETE /access/roles/{roleid}":    (*Node).deleteRole,
		"GET /access/users":                (*Node).listUsers,
		"POST /access/users":               (*Node).createUser,
		"GET " + user:                      (*Node).getUser,
		"PUT " + user:                      (*Node).updateUser,
		"DELETE " + user:                   (*Node).deleteUser,
		"GET /access/users/{userid}/token": (*Node).tokensOf,
		"GET " + token:                     (*Node).getToken,
		"POST " + token:                    (*Node).createToken,
		"PUT " + token:                     (*Node).updateToken,
		"DELETE " + token:                  (*Node).deleteToken,
		"GET /pools":                       (*Node).listPools,
		"POST /pools":                      (*Node).createPool,
		"PUT /pools":                       (*Node).updatePool,
		"DELETE /pools":                    (*Node).deletePool,
		"GET /pools/{poolid}":              (*Node).getPool,
		"PUT /pools/{poolid}":              (*Node).updatePool,
		"DELETE /pools/{poolid}":           (*Node).deletePool,
	}
}

// datacenterHandlers returns the handlers for the datacenter: options, backups,
// high availability, storages.
func datacenterHandlers() map[string]handler {
	return map[string]handler{
		"GET /cluster/options":                   (*Node).clusterOptions,
		"PUT /cluster/options":                   (*Node).setClusterOptions,
		"POST /cluster/backup":                   (*Node).createBackup,
		"GET /cluster/backup/{id}":               (*Node).getBackup,
		"PUT /cluster/backup/{id}":               (*Node).updateBackup,
		"DELETE /cluster/backup/{id}":            (*Node).deleteBackup,
		"GET /cluster/backup-info/not-backed-up": (*Node).notBackedUp,
		"POST /storage":                          (*Node).createStorage,
		"PUT /storage/{storage}":                 (*Node).updateStorage,
		"DELETE /storage/{storage}":              (*Node).deleteStorage,
		"POST /nodes/{node}/vzdump":              (*Node).vzdump,
	}
}

// moreVMHandlers returns handlers for VMs. This project does not call these
// methods, but other clients do.
func moreVMHandlers() map[string]handler {
	const qemu = "/nodes/{node}/qemu/{vmid}"
	return map[string]handler{
		"GET " + qemu + "/cloudinit":                     onVM((*Node).pendingCloudInit),
		"PUT " + qemu + "/cloudinit":                     onVM((*Node).makeCloudInit),
		"GET " + qemu + "/cloudinit/dump":                onVM((*Node).dumpCloudInit),
		"POST " + qemu + "/clone":                        (*Node).clone,
		"GET " + qemu + "/feature":                       onVM((*Node).feature),
		"GET " + qemu + "/migrate":                       onVM((*Node).migrationCheck),
		"POST " + qemu + "/migrate":                      onVM((*Node).migrate),
		"POST " + qemu + "/monitor":                      onVM((*Node).monitor),
		"PUT " + qemu + "/sendkey":                       onVM((*Node).sendKey),
		"GET " + qemu + "/snapshot/{snapname}/config":    onVM((*Node).getSnapshot),
		"PUT " + qemu + "/snapshot/{snapname}/config":    onVM((*Node).describeSnapshot),
		"POST " + qemu + "/snapshot/{snapname}/rollback": onVM((*Node).rollback),
		"POST " + qemu + "/template":                     onVM((*Node).template),
		"POST " + qemu + "/termproxy":                    onVM((*Node).termProxy),
		"POST " + qemu + "/vncproxy":                     onVM((*Node).vncProxy),
	}
}
