package pvetest

import (
	"maps"
	"sync"
)

// handlers returns the handlers by endpoint. Before a handler is called, the
// checks that PVE makes for all endpoints have passed.
var handlers = sync.OnceValue(func() map[string]handler {
	all := map[string]handler{}
	for _, part := range []func() map[string]handler{
		nodeHandlers, vmHandlers, agentHandlers, moreVMHandlers, clusterHandlers, accessHandlers, datacenterHandlers, haHandlers, replicationHandlers, constantHandlers, indexHandlers,
	} {
		maps.Copy(all, part())
	}
	return all
})

func clusterHandlers() map[string]handler {
	return map[string]handler{
		"GET /version":                          (*Node).version,
		"POST /access/ticket":                   (*Node).login,
		"GET /access/permissions":               (*Node).permissions,
		"GET /nodes":                            (*Node).nodes,
		"GET /nodes/{node}/tasks":               (*Node).listTasks,
		"GET /nodes/{node}/tasks/{upid}/status": (*Node).taskStatus,
		"GET /nodes/{node}/tasks/{upid}/log":    (*Node).taskLog,
		"DELETE /nodes/{node}/tasks/{upid}":     (*Node).stopTask,
		"GET /cluster/mapping/pci":              (*Node).listMappings,
		"POST /cluster/mapping/pci":             (*Node).createMapping,
		"GET /cluster/mapping/pci/{id}":         (*Node).getMapping,
		"PUT /cluster/mapping/pci/{id}":         (*Node).updateMapping,
		"DELETE /cluster/mapping/pci/{id}":      (*Node).deleteMapping,
		"GET /cluster/nextid":                   (*Node).nextID,
		"GET /cluster/resources":                (*Node).resources,
		"GET /cluster/status":                   (*Node).clusterStatus,
		"GET /cluster/tasks":                    (*Node).clusterTasks,
		"GET /cluster/backup":                   (*Node).backups,
	}
}

func nodeHandlers() map[string]handler {
	return map[string]handler{
		"GET /nodes/{node}/status":                                (*Node).status,
		"GET /nodes/{node}/version":                               (*Node).version,
		"GET /nodes/{node}/time":                                  (*Node).time,
		"GET /nodes/{node}/network":                               (*Node).listNetwork,
		"GET /nodes/{node}/lxc/{vmid}/config":                     (*Node).containerConfig,
		"GET /nodes/{node}/lxc":                                   func(*Node, *call) (any, error) { return []any{}, nil },
		"GET /nodes/{node}/hardware/pci":                          (*Node).listPCI,
		"GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}":      (*Node).onePCI,
		"GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev": (*Node).mdevTypes,
		"GET /nodes/{node}/hardware/usb":                          (*Node).listUSB,
		"GET /nodes/{node}/capabilities/qemu/cpu":                 (*Node).listCPUs,
		"GET /nodes/{node}/capabilities/qemu/machines":            (*Node).listMachines,
		"GET /storage":                                            (*Node).storageConfigs,
		"GET /storage/{storage}":                                  (*Node).storageConfig,
		"POST /nodes/{node}/storage/{storage}/content":            (*Node).allocateVolume,
		"GET /nodes/{node}/storage/{storage}/content/{volume}":    (*Node).oneVolume,
		"DELETE /nodes/{node}/storage/{storage}/content/{volume}": (*Node).deleteVolume,
		"POST /nodes/{node}/storage/{storage}/upload":             (*Node).upload,
		"POST /nodes/{node}/storage/{storage}/download-url":       (*Node).download,
		"GET /nodes/{node}/disks/smart":                           (*Node).smart,
		"GET /nodes/{node}/storage":                               (*Node).listStorages,
		"GET /nodes/{node}/storage/{storage}/status":              (*Node).storageStatus,
		"GET /nodes/{node}/storage/{storage}/content":             (*Node).content,
		"GET /nodes/{node}/disks/list":                            (*Node).listDisks,
		"GET /nodes/{node}/disks/lvm":                             (*Node).listVGs,
		"GET /nodes/{node}/disks/lvmthin":                         (*Node).listThin,
		"GET /nodes/{node}/disks/zfs":                             (*Node).listZFS,
		"GET /nodes/{node}/disks/zfs/{name}":                      (*Node).oneZFS,
		"GET /nodes/{node}/disks/directory":                       (*Node).listDirectories,
	}
}

func vmHandlers() map[string]handler {
	const qemu = "/nodes/{node}/qemu/{vmid}"
	return map[string]handler{
		"GET /nodes/{node}/qemu":                  (*Node).listVMs,
		"POST /nodes/{node}/qemu":                 (*Node).create,
		"DELETE " + qemu:                          onVM((*Node).destroy),
		"GET " + qemu + "/config":                 onVM((*Node).getConfig),
		"PUT " + qemu + "/config":                 (*Node).putConfig,
		"POST " + qemu + "/config":                (*Node).putConfig,
		"GET " + qemu + "/pending":                onVM((*Node).getPending),
		"PUT " + qemu + "/resize":                 (*Node).resize,
		"PUT " + qemu + "/unlink":                 (*Node).unlink,
		"GET " + qemu + "/status/current":         onVM((*Node).currentStatus),
		"POST " + qemu + "/status/start":          (*Node).start,
		"POST " + qemu + "/status/stop":           (*Node).stop,
		"POST " + qemu + "/status/shutdown":       (*Node).shutdown,
		"POST " + qemu + "/status/reboot":         onVM((*Node).reboot),
		"POST " + qemu + "/status/reset":          onVM((*Node).reset),
		"POST " + qemu + "/status/suspend":        onVM((*Node).suspend),
		"POST " + qemu + "/status/resume":         onVM((*Node).resume),
		"POST " + qemu + "/move_disk":             onVM((*Node).moveDisk),
		"GET " + qemu + "/snapshot":               onVM((*Node).listSnapshots),
		"POST " + qemu + "/snapshot":              onVM((*Node).takeSnapshot),
		"DELETE " + qemu + "/snapshot/{snapname}": onVM((*Node).deleteSnapshot),
		"POST " + qemu + "/agent/exec":            agentCall((*Node).agentExec),
		"GET " + qemu + "/agent/exec-status":      agentCall((*Node).agentExecStatus),
		"GET " + qemu + "/agent/file-read":        agentCall((*Node).agentRead),
		"POST " + qemu + "/agent/file-write":      agentCall((*Node).agentWrite),
	}
}
