package workstation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// checkImages refuses volumes that are not on the node, because the step that
// needs such a volume would fail half-way. It also reports a new VM that has
// nothing to start from.
func (d *differ) checkImages(vm VM, have VMFacts) {
	startable := false
	for _, disk := range vm.Disks {
		value, there := have.Config[disk.Slot]
		volume := disk.Volume
		if disk.allocates() {
			volume = disk.Import
		}
		startable = startable || volume != "" && volume != "none" && !disk.cloudInit()
		if there && (disk.allocates() || disk.isIn(value) || strings.HasPrefix(value, volume+",")) {
			continue
		}
		if why := d.missing(volume); why != "" {
			d.find(proxstation.Finding{ID: "workstation.image-missing", Severity: proxstation.Blocker, Subject: diskName(vm.ID, disk.Slot), Seen: volume + ": " + why,
				Why: "PVE would refuse the step that needs this volume.", Fix: "Upload it (in the web interface: the storage, ISO Images or Import, Upload), or name a volume that pvesm list shows on the node."})
		}
	}
	if len(have.Config) > 0 || startable || vm.Guest == gpu.AnyGuest {
		return
	}
	f := proxstation.Finding{ID: "workstation.no-system", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: "a new VM with an empty disk and no image",
		Why: "The VM has nothing to start from.", Fix: "Name the volume of an installer (on a page: install:) or of a cloud image (image:), or put an installer into the VM's CD drive before the first start."}
	switch {
	case vm.Guest.IsMacOS():
		f.Why, f.Fix = "macOS needs a boot loader such as OpenCore, and the VM has no boot loader.", "Name the volume of OpenCore's image (on a page: opencore:) and the volume of the recovery system (recovery:)."
	case vm.Guest.IsWindows():
		f.Fix = "Name the volume of Microsoft's installer (on a page: install:) and the volume of virtio-win, which has the drivers (drivers:), or put both images into the VM's CD drives before the first start."
	}
	d.find(f)
}

// This returns the reason why a volume cannot be used. It returns "" if the
// volume exists, or if nobody knows whether it exists.
func (d *differ) missing(volume string) string {
	name, file, pooled := qmconf.CutVolume(volume)
	if !pooled || strings.HasPrefix(volume, "/") || len(d.facts.Pools) == 0 {
		return ""
	}
	pool, there := d.facts.pool(name)
	if !there {
		return "the node has no storage " + name + ", or the login may not see it"
	}
	listed := pool.Volumes
	if strings.HasPrefix(file, "iso/") || strings.HasPrefix(file, "import/") {
		listed = pool.Images
	}
	switch {
	case !pool.Active:
		return "the storage " + name + " is offline"
	case listed == nil || slices.ContainsFunc(listed, func(v storage.Volume) bool { return v.ID == volume }):
		return ""
	}
	return "the volume does not exist"
}
