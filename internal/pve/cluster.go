package pve

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A BackupJob is a scheduled backup that this node takes part in.
type BackupJob struct {
	ID       string
	Schedule string // a calendar event: "02:00"
	Mode     string // "snapshot", "suspend" or "stop"
	Enabled  bool
	// Pool is the resource pool that it is for, empty for none. VMs are those
	// that it names or, as far as the login may see them, those of its pool.
	Pool string
	VMs  []int
	// All says that it is for all VMs but those of Exclude.
	All     bool
	Exclude []int
}

// Includes reports whether the job is for a VM (pve-manager PVE/VZDump.pm,
// get_included_guests).
func (j BackupJob) Includes(vmid int) bool {
	return slices.Contains(j.VMs, vmid) || j.All && !slices.Contains(j.Exclude, vmid)
}

// BackupJobs returns the cluster's scheduled backups, without those that are
// for other nodes only.
func (c *Client) BackupJobs(ctx context.Context) ([]BackupJob, error) {
	var entries []struct {
		ID, Schedule, Mode, VMID, Exclude, Pool, Node string
		All, Enabled                                  flag
	}
	if err := c.get(ctx, "/cluster/backup", nil, &entries); err != nil {
		return nil, err
	}
	var jobs []BackupJob
	var pools map[string][]int
	for _, e := range entries {
		if e.Node != "" && e.Node != c.node {
			continue
		}
		job := BackupJob{ID: e.ID, Schedule: e.Schedule, Mode: cmp.Or(e.Mode, "snapshot"), Enabled: bool(e.Enabled), Pool: e.Pool}
		switch {
		case e.Pool != "":
			if pools == nil {
				var err error
				if pools, err = c.pools(ctx); err != nil {
					return nil, err
				}
			}
			job.VMs = pools[e.Pool]
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

// pools returns the VMs of each resource pool, as far as the caller may see
// them: that needs VM.Audit on them and Pool.Audit on the pool.
func (c *Client) pools(ctx context.Context) (map[string][]int, error) {
	var entries []struct {
		VMID number
		Pool string
	}
	if err := c.get(ctx, "/cluster/resources", url.Values{"type": {"vm"}}, &entries); err != nil {
		return nil, err
	}
	pools := map[string][]int{}
	for _, e := range entries {
		if e.Pool != "" {
			pools[e.Pool] = append(pools[e.Pool], int(e.VMID.value))
		}
	}
	return pools, nil
}

// HAResources returns the VMs under high availability, which the HA manager
// starts and stops, not whoever asks. Those that it is told to ignore are not
// among them (pve-ha-manager PVE/HA/Config.pm, vm_is_ha_managed).
func (c *Client) HAResources(ctx context.Context) ([]int, error) {
	var entries []struct{ SID, State string }
	if err := c.get(ctx, "/cluster/ha/resources", url.Values{"type": {"vm"}}, &entries); err != nil {
		return nil, err
	}
	var ids []int
	for _, e := range entries {
		if id, err := strconv.Atoi(strings.TrimPrefix(e.SID, "vm:")); err == nil && e.State != "ignored" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
