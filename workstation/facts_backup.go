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
	// Pool is the resource pool whose VMs are backed up. It is empty if the job
	// is not for a pool.
	Pool string
	// VMs holds the VMs that the job names. If the job is for a pool, VMs holds
	// the pool's VMs that the login may see.
	VMs []int
	// All says that the job is for all VMs except those in Exclude.
	All     bool
	Exclude []int
}

// includes reports whether the job is for a VM (pve-manager PVE/VZDump.pm,
// get_included_guests).
func (j BackupJob) includes(vmid int) bool {
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

// fillPools adds each pool's VMs to the backups of that pool.
func (f *Facts) fillPools(guests []pve.Guest) {
	for i, job := range f.Backups {
		for _, g := range guests {
			if job.Pool != "" && g.Pool == job.Pool {
				f.Backups[i].VMs = append(f.Backups[i].VMs, g.VMID)
			}
		}
	}
}
