package pvetest

import (
	"cmp"
	"maps"
	"slices"
)

// clusterOptions serves GET /cluster/options. Callers without Sys.Audit see
// only the tags.
func (n *Node) clusterOptions(c *call) (any, error) {
	object := map[string]any{"allowed-tags": n.tags(c)}
	if c.who.may("/", "Sys.Audit") {
		object["description"], object["mac_prefix"] = "", "BC:24:11"
		for key, value := range n.options {
			object[key] = value
		}
	}
	return object, nil
}

// tags returns the tags of all VMs that the caller may see, without duplicates.
func (n *Node) tags(c *call) []string {
	all := map[string]bool{}
	for id, v := range n.vms {
		if c.who.may(vmPath(id), "VM.Audit") {
			for _, tag := range splitList(v.config["tags"]) {
				all[tag] = true
			}
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(all))...)
}

func (n *Node) setClusterOptions(c *call) (any, error) {
	for _, key := range splitList(c.get("delete")) {
		delete(n.options, key)
	}
	for name := range c.values {
		if name != "delete" {
			n.options[name] = c.get(name)
		}
	}
	return null()
}

// backupJob returns the index of the backup job that a call names.
func (n *Node) backupJob(c *call) (int, error) {
	i := slices.IndexFunc(n.backupJobs, func(job BackupJob) bool { return job.ID == c.get("id") })
	if i < 0 {
		return i, wrong("id", "No such job '%s'", c.get("id"))
	}
	return i, nil
}

func (n *Node) getBackup(c *call) (any, error) {
	i, err := n.backupJob(c)
	if err != nil {
		return nil, err
	}
	return n.backupJobs[i].object(), nil
}

func (n *Node) createBackup(c *call) (any, error) {
	id := cmp.Or(c.get("id"), "backup-"+n.uuid()[:13])
	if slices.ContainsFunc(n.backupJobs, func(job BackupJob) bool { return job.ID == id }) {
		return nil, refuse("Job '%s' already exists", id)
	}
	if !c.has("vmid") && c.get("all") != "1" && !c.has("pool") {
		return nil, wrong("vmid", "property is missing and it is not optional")
	}
	job := BackupJob{ID: id, Enabled: true, Mode: "snapshot", Storage: "local"}
	job.take(c)
	n.backupJobs = append(n.backupJobs, job)
	return null()
}

func (n *Node) updateBackup(c *call) (any, error) {
	i, err := n.backupJob(c)
	if err != nil {
		return nil, err
	}
	n.backupJobs[i].take(c)
	return null()
}

func (n *Node) deleteBackup(c *call) (any, error) {
	i, err := n.backupJob(c)
	if err != nil {
		return nil, err
	}
	n.backupJobs = slices.Delete(n.backupJobs, i, i+1)
	return null()
}

// The method "take" copies the call's parameters into the fields of a job.
func (job *BackupJob) take(c *call) {
	for name, field := range map[string]*string{
		"schedule": &job.Schedule, "vmid": &job.VMIDs, "exclude": &job.Exclude, "pool": &job.Pool, "node": &job.Node,
		"mode": &job.Mode, "storage": &job.Storage,
	} {
		if c.has(name) || slices.Contains(splitList(c.get("delete")), name) {
			*field = c.get(name)
		}
	}
	if c.has("all") {
		job.All = c.get("all") == "1"
	}
	if c.has("enabled") {
		job.Enabled = c.get("enabled") == "1"
	}
}

// notBackedUp serves GET /cluster/backup-info/not-backed-up. It lists the
// guests that are in no backup job.
func (n *Node) notBackedUp(c *call) (any, error) {
	list := []map[string]any{}
	for _, id := range n.allGuests() {
		covered := slices.ContainsFunc(n.backupJobs, func(job BackupJob) bool {
			return job.All && !slices.Contains(splitList(job.Exclude), text(id)) || slices.Contains(splitList(job.VMIDs), text(id)) ||
				job.Pool != "" && n.poolOf(id) == job.Pool
		})
		if !covered && c.who.may(vmPath(id), "VM.Audit") {
			guest := n.anyGuest(id)
			list = append(list, map[string]any{"vmid": id, "type": guest["type"], "name": guest["name"]})
		}
	}
	return list, nil
}
