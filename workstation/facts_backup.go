package workstation

import (
	"context"
	"slices"

	"github.com/proxstation/proxstation/internal/pve"
)

// A BackupJob is a scheduled backup that the node takes part in.
type BackupJob struct {
	// ID is the job's name in the cluster's configuration.
	ID string
	// Schedule is a calendar event: "02:00".
	Schedule string
	// Mode is "snapshot", "suspend" or "stop".
	Mode    string
	Enabled bool
	// Pool is the resource pool that the job is for, empty for none.
	Pool string
	// VMs are those that the job names or, as far as the login may see them,
	// those of its pool.
	VMs []int
	// All says that the job is for all VMs but those of Exclude.
	All     bool
	Exclude []int
}

// Includes reports whether the job is for a VM (pve-manager PVE/VZDump.pm,
// get_included_guests).
func (j BackupJob) Includes(vmid int) bool {
	return slices.Contains(j.VMs, vmid) || j.All && !slices.Contains(j.Exclude, vmid)
}

func (n *Node) backups(ctx context.Context) ([]BackupJob, error) {
	read, err := n.pve.BackupJobs(ctx)
	jobs := make([]BackupJob, len(read))
	for i, job := range read {
		jobs[i] = BackupJob(job)
	}
	return jobs, err
}

// fillPools adds the VMs of their pools to the backups that are for a pool.
func (f *Facts) fillPools(guests []pve.Guest) {
	for i, job := range f.Backups {
		for _, g := range guests {
			if job.Pool != "" && g.Pool == job.Pool {
				f.Backups[i].VMs = append(f.Backups[i].VMs, g.VMID)
			}
		}
	}
}
