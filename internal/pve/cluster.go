package pve

import (
	"cmp"
	"context"
	"net/url"
	"strconv"
	"strings"
)

// A BackupJob is a scheduled backup in which this node takes part. The fields
// are the same as in workstation.BackupJob.
type BackupJob struct {
	ID       string
	Schedule string // a calendar event: "02:00"
	Mode     string // "snapshot", "suspend" or "stop"
	Enabled  bool
	Pool     string // the resource pool that the job names; empty if the job names no pool
	VMs      []int  // the VMs that the job names, without the VMs of its pool
	All      bool   // the job is for all VMs except those in Exclude
	Exclude  []int
}

// BackupJobs returns the cluster's scheduled backups, except jobs that are only
// for other nodes.
func (c *Client) BackupJobs(ctx context.Context) ([]BackupJob, error) {
	var entries []struct {
		ID, Schedule, Mode, VMID, Exclude, Pool, Node string
		All, Enabled                                  flag
	}
	if err := c.get(ctx, "/cluster/backup", nil, &entries); err != nil {
		return nil, err
	}
	var jobs []BackupJob
	for _, e := range entries {
		if e.Node != "" && e.Node != c.node {
			continue
		}
		job := BackupJob{ID: e.ID, Schedule: e.Schedule, Mode: cmp.Or(e.Mode, "snapshot"), Enabled: bool(e.Enabled), Pool: e.Pool}
		switch {
		case e.Pool != "":
		case e.VMID != "":
			job.VMs = vmids(e.VMID)
		default:
			job.All, job.Exclude = bool(e.All), vmids(e.Exclude)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// vmids reads a list as PVE splits it (pve-common PVE/Tools.pm, split_list).
func vmids(list string) []int {
	var ids []int
	for _, field := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",; \x00", r) }) {
		if id, err := strconv.Atoi(field); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// A Guest is a VM or a container of the cluster.
type Guest struct {
	VMID      int
	Name      string
	Node      string
	Container bool
	Running   bool
	// Known says that the cluster knows whether the guest runs. Some minutes
	// after a node has gone away, the cluster forgets whether the node's guests
	// run.
	Known bool
	Pool  string // the guest's resource pool; empty without Pool.Audit
}

// Guests returns the cluster's VMs and containers that the caller may see.
func (c *Client) Guests(ctx context.Context) ([]Guest, error) {
	var entries []struct {
		VMID                           number
		Name, Node, Type, Pool, Status string
	}
	if err := c.get(ctx, "/cluster/resources", url.Values{"type": {"vm"}}, &entries); err != nil {
		return nil, err
	}
	var guests []Guest
	for _, e := range entries {
		if e.VMID.known {
			guests = append(guests, Guest{VMID: int(e.VMID.value), Name: e.Name, Node: e.Node, Container: e.Type == "lxc", Running: e.Status == "running", Known: e.Status == "running" || e.Status == "stopped", Pool: e.Pool})
		}
	}
	return guests, nil
}

// HAResources returns the VMs under high availability, which only the HA
// manager starts and stops. It also returns the VMs that the HA manager must
// ignore (pve-ha-manager PVE/HA/Config.pm, vm_is_ha_managed).
func (c *Client) HAResources(ctx context.Context) (managed, ignored []int, err error) {
	var entries []struct{ SID, State string }
	if err := c.get(ctx, "/cluster/ha/resources", url.Values{"type": {"vm"}}, &entries); err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		id, err := strconv.Atoi(strings.TrimPrefix(e.SID, "vm:"))
		switch {
		case err != nil:
		case e.State == "ignored":
			ignored = append(ignored, id)
		default:
			managed = append(managed, id)
		}
	}
	return managed, ignored, nil
}
