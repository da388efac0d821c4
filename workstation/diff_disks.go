package workstation

import (
	"cmp"
	"fmt"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// placeDisks finds a storage for every new disk, and room for every disk that
// grows. It places the disks of all VMs together, so that two disks never get
// the same space.
func (d *differ) placeDisks() {
	var requests []storage.DiskRequest
	for _, vm := range d.spec.VMs {
		for _, disk := range vm.Disks {
			value, there := d.facts.VMs[vm.ID].Config[disk.Slot]
			switch {
			case !disk.allocates() && (!disk.cloudInit() || qmconf.IsCloudInit(value)):
			case there && !disk.cloudInit():
				if r, grows := growth(vm, disk, value); grows {
					requests = append(requests, r)
				}
			default:
				r := storage.DiskRequest{Name: diskName(vm.ID, disk.Slot), Purpose: disk.Purpose, Size: disk.Size, Least: disk.Tier, Storage: disk.Storage}
				if r.Purpose == storage.Firmware || r.Purpose == storage.Boot {
					r.Together = fmt.Sprint(vm.ID)
				}
				requests = append(requests, r)
			}
		}
	}
	choices, err := storage.Place(requests, d.facts.Pools, d.spec.Place)
	if err != nil {
		d.problems = append(d.problems, err)
	}
	d.chosen = map[string]storage.DiskChoice{}
	for _, c := range choices {
		d.chosen[c.Request.Name] = c
	}
	outlook, findings := storage.Forecast(choices, d.facts.Pools)
	d.plan.Outlook = outlook
	d.plan.Findings = append(d.plan.Findings, findings...)
}

func diskName(vmid int, slot string) string { return fmt.Sprintf("VM %d %s", vmid, slot) }

// growth returns the request for the additional space that a growing disk
// needs.
func growth(vm VM, disk Disk, value string) (r storage.DiskRequest, grows bool) {
	size, err := volumeSize(value)
	if err != nil || size >= disk.Size || disk.Purpose == storage.Firmware || qmconf.IsCD(value) {
		return r, false // grow reports this error
	}
	pool, _, _ := qmconf.CutVolume(value)
	return storage.DiskRequest{Name: diskName(vm.ID, disk.Slot) + " growing", Purpose: disk.Purpose, Size: disk.Size - size, Storage: pool}, true
}

// This reports a disk that is not on the storage that the Spec asks for. Plans
// never move a disk.
func (d *differ) elsewhere(vm VM, disk Disk, value string) {
	name, _, _ := qmconf.CutVolume(value)
	pool, there := d.facts.pool(name)
	if !there {
		return
	}
	_, least := disk.Purpose.Tiers()
	least = cmp.Or(disk.Tier, least)
	why, target := "", disk.Storage
	switch {
	case disk.Storage != "" && disk.Storage != name:
		why = "it should be on " + disk.Storage
	case disk.Storage == "" && least != storage.TierUnknown && pool.Tier > least:
		why, target = fmt.Sprintf("it should be on tier %s (%s) or faster", least, least.Media()), "STORAGE"
	default:
		return
	}
	d.find(proxstation.Finding{ID: "workstation.disk-elsewhere", Severity: proxstation.Warning, Subject: diskName(vm.ID, disk.Slot),
		Seen: fmt.Sprintf("it is on %s, tier %s (%s)", name, pool.Tier, pool.Tier.Media()), Why: why + "; a disk with data is not moved by a plan.",
		Fix: fmt.Sprintf("Move it: qm disk move %d %s %s.", vm.ID, disk.Slot, target)})
}

// This adds the steps that enlarge existing disks. A plan never shrinks or
// moves a disk.
func (d *differ) grow(vm VM, have VMFacts) {
	for _, disk := range vm.Disks {
		value, there := have.Config[disk.Slot]
		if !there || !disk.allocates() || disk.Purpose == storage.Firmware || qmconf.IsCD(value) {
			continue
		}
		size, err := volumeSize(value)
		if err != nil {
			d.problems.add(vm, disk.Slot, value, err.Error())
			continue
		}
		d.elsewhere(vm, disk, value)
		if pool, _, _ := qmconf.CutVolume(value); size < disk.Size {
			d.plan.Steps = append(d.plan.Steps, GrowDisk{VMID: vm.ID, Name: vm.Name, Slot: disk.Slot, Storage: pool, Digest: have.Digest, From: size, To: disk.Size})
		}
	}
}

// This adds the steps that enlarge the disks that are made from an image. Such
// a disk first has the size of its image.
func (d *differ) growImported(vm VM, have VMFacts) {
	for _, disk := range vm.Disks {
		if _, there := have.Config[disk.Slot]; !there && disk.allocates() && disk.Import != "" && disk.Size > 0 {
			pool := d.chosen[diskName(vm.ID, disk.Slot)].Pool
			d.plan.Steps = append(d.plan.Steps, GrowDisk{VMID: vm.ID, Name: vm.Name, Slot: disk.Slot, Storage: pool, Digest: have.Digest, To: disk.Size})
		}
	}
}

// volumeSize returns the size in a drive value.
func volumeSize(value string) (storage.Size, error) {
	drive, err := storage.ParseDrive(value)
	if err != nil {
		return 0, err
	}
	size, ok := drive.Size()
	if !ok {
		return 0, fmt.Errorf("workstation: drive %q has no size", value)
	}
	return size, nil
}

func (f Facts) pool(name string) (pool storage.Pool, there bool) {
	for _, pool := range f.Pools {
		if pool.Name == name {
			return pool, true
		}
	}
	return storage.Pool{}, false
}
