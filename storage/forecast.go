package storage

import (
	"fmt"

	"github.com/proxstation/proxstation"
)

// An Outlook says how full a pool is now, and how full it will be.
type Outlook struct {
	Pool string
	// Before and After are fill levels of the pool, from 0 to 1: the present
	// level, and the level when the new disks are completely written.
	Before, After float64
	// The field Added is the sum of the sizes of the new disks. It includes
	// disks on other storages that take their space from the same place.
	Added Size
}

// These are the fill levels from which on a pool is reported.
const (
	highFill = 0.80
	fullFill = 0.95
)

// Forecast returns the outlook of every pool that gets a disk, in the order of
// pools, and warnings about pools that may fill up.
func Forecast(choices []DiskChoice, pools []Pool) ([]Outlook, []proxstation.Finding) {
	var outlooks []Outlook
	var findings []proxstation.Finding
	own, added := map[string]Size{}, map[string]Size{} // own holds sizes by storage; added holds sizes by the space that storages share
	for _, c := range choices {
		own[c.Pool] += c.Request.Size
	}
	for _, pool := range pools {
		added[pool.space()] += own[pool.Name]
	}
	for _, pool := range pools {
		o := Outlook{Pool: pool.Name, Added: added[pool.space()]}
		if own[pool.Name] == 0 || pool.Total == 0 {
			continue
		}
		promised := pool.Used
		if pool.Committed != nil {
			promised = max(promised, *pool.Committed)
		}
		o.Before = float64(pool.Used) / float64(pool.Total)
		o.After = float64(promised+o.Added) / float64(pool.Total)
		outlooks = append(outlooks, o)
		findings = append(append(findings, warn(o, pool)...), warnOfMetadata(o, pool)...)
	}
	return outlooks, findings
}

// Each written block of a thin pool needs metadataOf bytes of metadata. block
// is the smallest size of a block, 64 KiB (Linux
// Documentation/admin-guide/device-mapper/thin-provisioning.rst).
const metadataOf, block = 48, 64 * KiB

// warnOfMetadata estimates how full a thin pool's metadata will be. PVE does
// not report the block size of the pool. warnOfMetadata therefore assumes that
// metadata grows in proportion to data, as it did until now, but not faster
// than with the smallest blocks. It does not judge a pool that holds little
// data, because the proportion then means nothing.
func warnOfMetadata(o Outlook, pool Pool) []proxstation.Finding {
	thin := pool.Thin
	if thin == nil || thin.MetadataSize <= 0 || o.Before < 0.1 {
		return nil
	}
	size, used := float64(thin.MetadataSize), float64(thin.MetadataUsed)
	growth := min(used*(o.After/o.Before-1), metadataOf*float64(o.Added)/float64(block))
	now, after := used/size, (used+growth)/size
	if after < highFill || now >= highFill { // Check reports pools that are full already
		return nil
	}
	return []proxstation.Finding{{
		ID: "storage.metadata-filling", Severity: proxstation.Warning, Subject: pool.Name,
		Seen: fmt.Sprintf("metadata of thin pool %s/%s: %.0f %% now, about %.0f %% when the new disks are full", thin.Group, thin.Name, now*100, after*100),
		Why:  "When a thin pool's data or metadata is full, every volume in it fails at once (lvmthin(7)).",
		Fix:  fmt.Sprintf("Extend the metadata before that happens: lvextend --poolmetadatasize +1G %s/%s.", thin.Group, thin.Name),
	}}
}

func warn(o Outlook, pool Pool) []proxstation.Finding {
	if o.After < highFill {
		return nil
	}
	f := proxstation.Finding{
		ID: "storage.filling", Severity: proxstation.Info, Subject: pool.Name,
		Seen: fmt.Sprintf("%.0f %% full now, %.0f %% when the new disks are full", o.Before*100, o.After*100),
		Why:  "A full storage stops every VM that writes to it.",
		Fix:  "Watch it, move a disk to another storage, or make the new disks smaller.",
	}
	if o.After >= fullFill {
		f.Severity = proxstation.Warning
	}
	if pool.Thin != nil {
		f.Why = "When a thin pool's data or metadata is full, every volume in it fails at once (lvmthin(7))."
	}
	return []proxstation.Finding{f}
}

// Check judges the pools as they are. It reports storages that are offline,
// disks that SMART expects to fail, worn disks, ZFS pools that lost disks, thin
// pools that fill up, and unknown tiers.
func Check(pools []Pool) []proxstation.Finding {
	var findings []proxstation.Finding
	told := map[string]bool{} // a disk under several storages is reported once
	for _, pool := range pools {
		for _, d := range pool.Disks {
			if !told[d.Path] {
				findings = append(findings, d.check(pool.Name)...)
			}
			told[d.Path] = true
		}
		if !pool.Active {
			findings = append(findings, proxstation.Finding{
				ID: "storage.offline", Severity: proxstation.Warning, Subject: pool.Name, Seen: "PVE says that it is not active",
				Why: "Nothing is placed on it, and a VM with a disk on it does not start.", Fix: "Run pvesm status on the node, and check that the storage's server or mount is there.",
			})
		}
		if pool.Health != "" && pool.Health != "ONLINE" {
			findings = append(findings, proxstation.Finding{
				ID: "storage.zpool-unhealthy", Severity: proxstation.Warning, Subject: pool.Name, Seen: pool.space() + " is " + pool.Health,
				Why: "The pool has lost a device. If it loses another device, data may be lost.", Fix: "See zpool status, and replace the broken device.",
			})
		}
		findings = append(findings, checkThin(pool)...)
		if pool.Tier == TierUnknown && len(pool.Disks)+len(pool.Why) > 0 && network[pool.Type] == "" {
			findings = append(findings, proxstation.Finding{
				ID: "storage.tier-unknown", Severity: proxstation.Info, Subject: pool.Name, Seen: pool.Why,
				Why: "Disks that need a fast tier are not placed on a storage whose tier is unknown.", Fix: "If you know the tier, write it on the page of homelab (1: NVMe, 2: SSD, 3: hard disk): " + tierOnPage(pool.Name) + ".",
			})
		}
	}
	return findings
}

// The function "tierOnPage" returns the line that sets a storage's tier on the
// page of the package workstation/file.
func tierOnPage(name string) string { return "storage: {" + name + ": {tier: 2}}" }

// wornOut is a limit for the part of an SSD's life that is left, in percent. An
// SSD below it should be replaced.
const wornOut = 10

func (d Disk) check(pool string) []proxstation.Finding {
	var findings []proxstation.Finding
	if d.Failing() {
		findings = append(findings, proxstation.Finding{
			ID: "storage.disk-failing", Severity: proxstation.Warning, Subject: d.Path, Seen: "SMART health " + d.Health,
			Why: "The disk under " + pool + " is expected to fail.", Fix: "Replace the disk. Until then put nothing new on it.",
		})
	}
	if d.LifeLeft != nil && *d.LifeLeft <= wornOut {
		findings = append(findings, proxstation.Finding{
			ID: "storage.disk-worn", Severity: proxstation.Warning, Subject: d.Path, Seen: fmt.Sprintf("%d %% of its life is left", *d.LifeLeft),
			Why: "The disk under " + pool + " becomes slower, and fails when its flash is worn out.", Fix: "Plan to replace the disk, and move data that is written often to another disk.",
		})
	}
	return findings
}

func checkThin(pool Pool) []proxstation.Finding {
	thin := pool.Thin
	if thin == nil {
		return nil
	}
	var findings []proxstation.Finding
	for _, part := range []struct {
		name       string
		used, size Size
	}{{"data", thin.Used, thin.Size}, {"metadata", thin.MetadataUsed, thin.MetadataSize}} {
		if part.size == 0 || float64(part.used) < highFill*float64(part.size) {
			continue
		}
		findings = append(findings, proxstation.Finding{
			ID: "storage.thin-" + part.name + "-full", Severity: proxstation.Warning, Subject: pool.Name,
			Seen: fmt.Sprintf("%s of thin pool %s/%s: %s of %s", part.name, thin.Group, thin.Name, part.used.Human(), part.size.Human()),
			Why:  "When it is full, every volume in the pool fails at once (lvmthin(7)).",
			Fix:  "Extend the pool (lvextend), or remove volumes and run fstrim in the guests.",
		})
	}
	return findings
}
