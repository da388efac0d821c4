package pvetest

import "time"

// replicate lets the nodes look for due jobs each minute, as long as there are
// jobs (pve-manager PVE/Service/pvescheduler.pm).
func (d *datacenter) replicate() {
	if d.replicating {
		return
	}
	d.replicating = true
	var look func()
	look = func() {
		for _, id := range sorted(d.replications) {
			d.replications[id].look(d)
		}
		if d.replicating = len(d.replications) > 0; d.replicating {
			d.schedule(time.Minute, look)
		}
	}
	d.schedule(d.now.Truncate(time.Minute).Add(time.Minute).Sub(d.now), look)
}

// The method "next" returns the time of the job's next run.
func (job *replicationJob) next() time.Time {
	s := job.state
	switch {
	case job.remove != "" || s.now:
		return time.Unix(1, 0)
	case s.fails > 3:
		return s.lastTry.Add(30 * time.Minute)
	case s.fails > 0:
		return s.lastTry.Add(time.Duration(s.fails) * 5 * time.Minute)
	}
	every := time.Duration(everyMinutes(job.options["schedule"])) * time.Minute
	return s.lastTry.Truncate(every).Add(every)
}

// The method "look" runs the job on the node that has the guest, if the job is
// due. If the HA manager recovered the guest on the job's target, "look" first
// swaps the job's source and target (PVE/ReplicationState.pm, job_status).
func (job *replicationJob) look(d *datacenter) {
	n, _ := d.ownerOf(job.guest)
	if n == nil || n.down || job.options["disable"] == "1" && job.remove == "" {
		return
	}
	if job.source != n.host.Name {
		d.switchJobs(job.guest, n.host.Name, job.source)
	}
	if job.target == n.host.Name && job.remove == "" || job.next().After(d.now) || job.state.until.After(d.now) {
		return
	}
	job.state.now = false
	if job.remove != "" {
		job.end(n)
		return
	}
	job.run(n)
}

// The method "end" removes the job. It also removes the copies on the target,
// unless the request was to keep them.
func (job *replicationJob) end(n *Node) {
	target, v := n.member(job.target), n.vms[job.guest]
	if job.remove == "full" && target != nil && target != n {
		if !n.sees(target) {
			return // the next run tries again
		}
		for id := range n.replicatable(v) {
			if s, name, there := target.volume(id); there {
				s.drop(name)
			}
		}
	}
	delete(n.replications, job.id)
}

// The method "run" copies the disks. The first run copies all data, and later
// runs copy only changes. The copying takes time. The job's state shows success
// only after this time.
func (job *replicationJob) run(n *Node) {
	s, v, target := &job.state, n.vms[job.guest], n.member(job.target)
	began := n.now
	s.lastTry = began
	fail := func(err error) {
		s.fails++
		s.problem = err.Error()
	}
	takes := 3 * time.Second
	for id := range n.replicatable(v) {
		source, name, _ := n.volume(id)
		if err := target.holdsVolume(source.Name, id); err != nil {
			fail(err)
			return
		}
		if s.lastSync.IsZero() {
			takes += time.Duration(float64(source.volumes[name].Size) / networkSpeed * float64(time.Second))
		}
	}
	if v.config["lock"] != "" && v.config["lock"] != "backup" {
		fail(locked(v))
		return
	}
	s.until = began.Add(takes)
	n.after(takes, func() {
		if !n.sees(target) || n.vms[job.guest] != v || n.replications[job.id] != job {
			fail(refuse("command '/usr/bin/ssh ... -- pvesr prepare-local-job %s' failed: exit code 255", job.id))
			return
		}
		for id := range n.replicatable(v) {
			source, name, _ := n.volume(id)
			made := *source.volumes[name]
			target.storages[source.Name].put(&made)
		}
		s.lastSync, s.takes, s.fails, s.problem = began, takes, 0, ""
	})
}
