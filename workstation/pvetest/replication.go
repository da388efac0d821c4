package pvetest

import (
	"cmp"
	"maps"
	"strings"
	"time"
)

// A replicationJob copies the local disks of a guest to another node again and
// again (replication.cfg; pve-manager PVE/API2/ReplicationConfig.pm).
type replicationJob struct {
	id      string // "140-0"
	guest   int
	source  string
	target  string
	remove  string // "full" or "local" once the job is to go
	options map[string]string
	state   replicationState
}

// A replicationState is a node's knowledge about the runs of a job.
type replicationState struct {
	lastTry, lastSync time.Time
	takes             time.Duration
	fails             int
	problem           string
	now               bool      // whether the job must run as soon as possible
	until             time.Time // end of the run under way
}

var replicationOptions = []string{"comment", "disable", "rate", "schedule", "remove_job"}

// jobsOf returns the replication jobs of a guest, sorted.
func (d *datacenter) jobsOf(vmid int) (jobs []*replicationJob) {
	for _, id := range sorted(d.replications) {
		if job := d.replications[id]; job.guest == vmid {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// jobTo returns the job that replicates a guest to a target, or nil.
func (d *datacenter) jobTo(vmid int, target string) *replicationJob {
	for _, job := range d.jobsOf(vmid) {
		if job.target == target {
			return job
		}
	}
	return nil
}

func (job *replicationJob) object() map[string]any {
	object := shown(job.options)
	object["id"], object["type"], object["guest"], object["jobnum"] = job.id, "local", job.guest, atoi(job.id[strings.Index(job.id, "-")+1:], 0)
	object["source"], object["target"] = job.source, job.target
	if job.remove != "" {
		object["remove_job"] = job.remove
	}
	return object
}

func (d *datacenter) replicationDigest() string {
	file := ""
	for _, id := range sorted(d.replications) {
		job := d.replications[id]
		file += section("local", id, job.options) + job.source + job.target + job.remove
	}
	return digestOf(file)
}

func (n *Node) replicationJobs(c *call) (any, error) {
	list := []map[string]any{}
	for _, id := range sorted(n.replications) {
		if job := n.replications[id]; c.who.may(vmPath(job.guest), "VM.Audit") {
			object := job.object()
			object["digest"] = n.replicationDigest()
			list = append(list, object)
		}
	}
	return list, nil
}

// The method "replication" returns the job that a call names. It returns an
// error if the caller lacks a privilege on the job's guest.
func (n *Node) replication(c *call, privilege string) (*replicationJob, error) {
	id := c.get("id")
	guest, _, _ := strings.Cut(id, "-")
	if err := c.who.needs("/vms/"+guest, privilege); err != nil {
		return nil, err
	}
	if n.replications[id] == nil {
		return nil, refuse("no such job '%s'", id)
	}
	return n.replications[id], nil
}

func (n *Node) replicationJob(c *call) (any, error) {
	job, err := n.replication(c, "VM.Audit")
	if err != nil {
		return nil, err
	}
	object := job.object()
	object["digest"] = n.replicationDigest()
	return object, nil
}

func (n *Node) createReplication(c *call) (any, error) {
	id := c.get("id")
	guest, _, _ := strings.Cut(id, "-")
	if err := c.who.needs("/vms/"+guest, "VM.Replicate"); err != nil {
		return nil, err
	}
	owner, kind := n.ownerOf(atoi(guest, 0))
	switch {
	case owner == nil:
		return nil, refuse("Guest '%s' does not exist.", guest)
	case n.member(c.get("target")) == nil:
		return nil, refuse("Target '%s' does not exist.", c.get("target"))
	case c.has("source") && c.get("source") != owner.host.Name:
		return nil, refuse("Source '%s' does not match current node of guest '%s' (%s)", c.get("source"), guest, owner.host.Name)
	case c.get("target") == owner.host.Name:
		return nil, refuse("Source and target must not be identical")
	case kind != "VM":
		return nil, refuse("No replicatable volumes found")
	}
	v := owner.vms[atoi(guest, 0)]
	if err := owner.unreplicatable(v); err != nil {
		return nil, err
	}
	switch {
	case len(owner.replicatable(v)) == 0:
		return nil, refuse("No replicatable volumes found")
	case n.replications[id] != nil:
		return nil, refuse("replication job '%s' already exists", id)
	case n.jobTo(v.id, c.get("target")) != nil:
		return nil, refuse("replication job for guest '%d' to target '%s' already exists", v.id, c.get("target"))
	}
	job := &replicationJob{id: id, guest: v.id, source: owner.host.Name, target: c.get("target"), options: map[string]string{}}
	n.replications[id] = job
	n.replicate()
	return nil, changeOptions(c, job.options, replicationOptions, nil)
}

func (n *Node) updateReplication(c *call) (any, error) {
	job, err := n.replication(c, "VM.Replicate")
	switch {
	case err != nil:
		return nil, err
	case c.has("digest") && c.get("digest") != n.replicationDigest():
		return nil, refuse(modified)
	}
	options := maps.Clone(job.options)
	if err := changeOptions(c, options, replicationOptions, nil); err != nil {
		return nil, err
	}
	job.options = options
	return null()
}

// deleteReplication serves DELETE. The node with the guest removes the job in
// its next run. If force is set, the job is removed immediately.
func (n *Node) deleteReplication(c *call) (any, error) {
	job, err := n.replication(c, "VM.Replicate")
	switch {
	case err != nil:
		return nil, err
	case c.get("force") == "1" && c.get("keep") == "1":
		return nil, wrong("keep", "conflicts with parameter 'force'")
	case c.get("force") == "1":
		delete(n.replications, job.id)
	default:
		job.remove = map[bool]string{true: "local", false: "full"}[c.get("keep") == "1"]
	}
	return null()
}

// replicationStatus serves GET /nodes/{node}/replication. It lists the jobs
// whose guests are on the node (pve-guest-common PVE/ReplicationState.pm,
// job_status).
func (n *Node) replicationStatus(c *call) (any, error) {
	list := []map[string]any{}
	for _, id := range sorted(n.replications) {
		job := n.replications[id]
		if n.vms[job.guest] == nil || c.has("guest") && c.number("guest") != job.guest || !c.who.may(vmPath(job.guest), "VM.Audit") {
			continue
		}
		list = append(list, n.jobStatus(job))
	}
	return list, nil
}

func (n *Node) oneReplication(c *call) (any, error) {
	job := n.replications[c.get("id")]
	if job == nil || n.vms[job.guest] == nil {
		return nil, refuse("no such replication job '%s'", c.get("id"))
	}
	if err := c.who.needs(vmPath(job.guest), "VM.Audit"); err != nil {
		return nil, err
	}
	return n.jobStatus(job), nil
}

func (n *Node) jobStatus(job *replicationJob) map[string]any {
	object, s := job.object(), job.state
	object["vmtype"], object["next_sync"] = "qemu", job.next().Unix()
	object["fail_count"], object["last_sync"], object["last_try"] = s.fails, unix(s.lastSync), unix(s.lastTry)
	if s.takes > 0 {
		object["duration"] = s.takes.Seconds()
	}
	if s.problem != "" {
		object["error"] = s.problem
	}
	return object
}

// unix converts a time to PVE's form, in which 0 stands for never.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func (n *Node) replicateNow(c *call) (any, error) {
	guest, _, _ := strings.Cut(c.get("id"), "-")
	if err := c.who.needs("/vms/"+guest, "VM.Replicate"); err != nil {
		return nil, err
	}
	job := n.replications[c.get("id")]
	if job == nil {
		return nil, refuse("no such replication job '%s'", c.get("id"))
	}
	job.state.now = true
	return null()
}

// The method "replicatable" returns the volumes of a VM that replication
// copies: disks on ZFS (qemu-server PVE/QemuConfig.pm,
// get_replicatable_volumes).
func (n *Node) replicatable(v *vm) map[string]bool {
	volumes := map[string]bool{}
	for key, value := range v.config {
		d := parseDrive(value)
		if s, _, there := n.volume(d.volume); isDrive(key) && there && s.Type == "zfspool" && !s.Shared && d.options["replicate"] != "0" {
			volumes[d.volume] = true
		}
	}
	return volumes
}

// The method "unreplicatable" returns an error if a VM has a local disk that
// replication cannot copy.
func (n *Node) unreplicatable(v *vm) error {
	for _, key := range sorted(v.config) {
		d := parseDrive(v.config[key])
		s, _, there := n.volume(d.volume)
		switch {
		case !isDrive(key) || d.media() == "cdrom" || d.options["replicate"] == "0":
		case strings.HasPrefix(d.volume, "/"):
			return refuse("unable to replicate local file/device '%s'", d.volume)
		case there && !s.Shared && s.Type != "zfspool":
			return refuse("missing replicate feature on volume '%s'", d.volume)
		}
	}
	return nil
}

// switchJobs swaps source and target of a guest's replication job if the guest
// moves to the job's target (pve-guest-common PVE/ReplicationConfig.pm,
// switch_replication_job_target_nolock).
func (d *datacenter) switchJobs(vmid int, to, from string) {
	for _, job := range d.jobsOf(vmid) {
		if job.target == to {
			job.target = from
		}
		job.source = to
	}
}

// dropJobs removes the replication jobs of a destroyed guest
// (remove_vmid_jobs).
func (d *datacenter) dropJobs(vmid int) {
	maps.DeleteFunc(d.replications, func(_ string, job *replicationJob) bool { return job.guest == vmid })
}

// everyMinutes returns the number of minutes in a schedule like "*/15" or
// "*:0/15". For every other schedule it returns PVE's default.
func everyMinutes(schedule string) int {
	for _, prefix := range []string{"*/", "*:0/", "*:00/"} {
		if rest, found := strings.CutPrefix(schedule, prefix); found {
			return min(max(atoi(rest, 15), 1), 60)
		}
	}
	return cmp.Or(map[string]int{"hourly": 60, "minutely": 1}[schedule], 15)
}
