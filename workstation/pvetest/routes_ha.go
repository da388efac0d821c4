package pvetest

// haHandlers returns the handlers of high availability.
func haHandlers() map[string]handler {
	const ha = "/cluster/ha"
	return map[string]handler{
		"GET " + ha + "/resources":                 (*Node).haResources,
		"POST " + ha + "/resources":                (*Node).createResource,
		"GET " + ha + "/resources/{sid}":           (*Node).haResource,
		"PUT " + ha + "/resources/{sid}":           (*Node).updateResource,
		"DELETE " + ha + "/resources/{sid}":        (*Node).deleteResource,
		"POST " + ha + "/resources/{sid}/migrate":  (*Node).moveResource,
		"POST " + ha + "/resources/{sid}/relocate": (*Node).moveResource,
		"GET " + ha + "/groups":                    withGroups("index groups", (*Node).haGroups),
		"POST " + ha + "/groups":                   withGroups("create group", (*Node).createHAGroup),
		"GET " + ha + "/groups/{group}":            withGroups("read group", (*Node).haGroup),
		"PUT " + ha + "/groups/{group}":            withGroups("update group", (*Node).updateHAGroup),
		"DELETE " + ha + "/groups/{group}":         withGroups("delete group", (*Node).deleteHAGroup),
		"GET " + ha + "/rules":                     withRules((*Node).haRules),
		"POST " + ha + "/rules":                    withRules((*Node).createHARule),
		"GET " + ha + "/rules/{rule}":              withRules((*Node).haRule),
		"PUT " + ha + "/rules/{rule}":              withRules((*Node).updateHARule),
		"DELETE " + ha + "/rules/{rule}":           withRules((*Node).deleteHARule),
		"GET " + ha + "/status/current":            (*Node).haCurrent,
		"GET " + ha + "/status/manager_status":     (*Node).haManagerStatus,
	}
}

// replicationHandlers returns the handlers of replication.
func replicationHandlers() map[string]handler {
	const all, node = "/cluster/replication", "/nodes/{node}/replication"
	return map[string]handler{
		"GET " + all:                          (*Node).replicationJobs,
		"POST " + all:                         (*Node).createReplication,
		"GET " + all + "/{id}":                (*Node).replicationJob,
		"PUT " + all + "/{id}":                (*Node).updateReplication,
		"DELETE " + all + "/{id}":             (*Node).deleteReplication,
		"GET " + node:                         (*Node).replicationStatus,
		"GET " + node + "/{id}/status":        (*Node).oneReplication,
		"POST " + node + "/{id}/schedule_now": (*Node).replicateNow,
	}
}
