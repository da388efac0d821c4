package pve

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/storage"
)

// A Migration holds the facts that PVE checks before it moves a VM to another
// node (qemu-server PVE/API2/Qemu.pm, migrate_vm_precondition).
type Migration struct {
	Running bool
	// Local holds the keys of the VM's host devices that keep PVE from moving
	// the VM: "hostpci0".
	Local []string
	// Disks holds the VM's volumes on storages that the nodes do not share.
	Disks []LocalDisk
	// Storages holds the storages that the VM uses but the target lacks.
	// Mappings holds the keys of the VM's devices whose mapping the target
	// lacks: "hostpci0".
	Storages, Mappings []string
	// HA holds the HA resources that keep the VM away from the target because
	// of a rule, each with the reason: "vm:141 (resource-affinity)".
	HA []string
	// Along holds the HA resources that PVE moves together with the VM.
	Along []string
}

// A LocalDisk is a volume of a VM on a storage of a single node.
type LocalDisk struct {
	Volume string
	Size   storage.Size // 0 if PVE does not report the size
	CD     bool
	Unused bool
}

// Migration returns the facts that PVE checks before it moves a VM to a node.
// It needs VM.Migrate on the VM.
func (c *Client) Migration(ctx context.Context, vmid int, target string) (Migration, error) {
	var answer struct {
		Running flag     `json:"running"`
		Local   []string `json:"local_resources"`
		Disks   []struct {
			Volume string `json:"volid"`
			Size   number `json:"size"`
			CD     flag   `json:"cdrom"`
			Unused flag   `json:"is_unused"`
		} `json:"local_disks"`
		Refused map[string]struct {
			Storages []string `json:"unavailable_storages"`
			Mappings []string `json:"unavailable-resources"`
			HA       []struct {
				SID   string `json:"sid"`
				Cause string `json:"cause"`
			} `json:"blocking-ha-resources"`
		} `json:"not_allowed_nodes"`
		Along []string `json:"dependent-ha-resources"`
	}
	if err := c.get(ctx, c.vm(vmid, "/migrate"), url.Values{"target": {target}}, &answer); err != nil {
		return Migration{}, err
	}
	refused := answer.Refused[target]
	m := Migration{Running: bool(answer.Running), Local: answer.Local, Storages: refused.Storages, Mappings: refused.Mappings, Along: answer.Along}
	for _, d := range answer.Disks {
		m.Disks = append(m.Disks, LocalDisk{Volume: d.Volume, Size: storage.Size(d.Size.value), CD: bool(d.CD), Unused: bool(d.Unused)})
	}
	for _, h := range refused.HA {
		m.HA = append(m.HA, fmt.Sprintf("%s (%s)", h.SID, h.Cause))
	}
	slices.SortFunc(m.Disks, func(a, b LocalDisk) int { return strings.Compare(a.Volume, b.Volume) })
	slices.Sort(m.Local)
	return m, nil
}

// A Replication is a job that keeps a copy of a VM's ZFS volumes on another
// node.
type Replication struct {
	ID, Target string
	Disabled   bool
	// LastSync is the time of the newest copy. It is zero if there is no copy.
	LastSync time.Time
	// Duration is the duration of the last run.
	Duration time.Duration
	// Failures counts the runs that failed since the last good run.
	Failures int
	Error    string
}

// Replications returns the replication jobs of a VM that is on this node. It
// needs VM.Audit on the VM.
func (c *Client) Replications(ctx context.Context, vmid int) ([]Replication, error) {
	var entries []struct {
		ID       string `json:"id"`
		Target   string `json:"target"`
		Disable  flag   `json:"disable"`
		Remove   text   `json:"remove_job"`
		LastSync number `json:"last_sync"`
		Duration number `json:"duration"` // in seconds, with a fraction
		Failures number `json:"fail_count"`
		Error    string `json:"error"`
	}
	if err := c.get(ctx, c.here("/replication"), url.Values{"guest": {fmt.Sprint(vmid)}}, &entries); err != nil {
		return nil, err
	}
	var jobs []Replication
	for _, e := range entries {
		if e.Remove != "" {
			continue // the job is being removed, with its copies
		}
		job := Replication{ID: e.ID, Target: e.Target, Disabled: bool(e.Disable), Failures: int(e.Failures.value), Error: e.Error,
			Duration: time.Duration(e.Duration.value) * time.Second}
		if e.LastSync.value > 0 {
			job.LastSync = time.Unix(e.LastSync.value, 0)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// Migrate starts to move a VM to another node. The VM must be off. If the VM is
// under high availability, the task only requests the move from the HA manager.
func (c *Client) Migrate(ctx context.Context, vmid int, target string) (task UPID, err error) {
	return task, c.post(ctx, c.vm(vmid, "/migrate"), map[string]any{"target": target}, &task)
}
