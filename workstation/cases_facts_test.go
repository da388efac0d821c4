package workstation_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// tiers returns the name of each storage with its tier: "local=unknown
// local-lvm=1".
func tiers(facts workstation.Facts) string {
	var words []string
	for _, p := range facts.Pools {
		words = append(words, p.Name+"="+p.Tier.String())
	}
	return strings.Join(words, " ")
}

// placed returns the storage that each request of a case gets, and "none" for a
// request that cannot be placed.
func (c vmCase) placed(t *testing.T, facts workstation.Facts) string {
	t.Helper()
	var words []string
	for _, r := range c.Requests {
		size, err := storage.ParseSize(r.Size)
		if err != nil {
			t.Fatal(err)
		}
		choices, err := storage.Place([]storage.DiskRequest{{Name: r.Name, Purpose: storage.Purpose(r.Purpose), Size: size}}, facts.Pools, nil)
		word := r.Name + "=none"
		if err == nil {
			word = r.Name + "=" + choices[0].Pool
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// A rightFacts holds the facts that must be observed on the node of a case.
type rightFacts struct {
	tiers   string // the tiers of all storages
	placed  string
	checked string // the IDs of the findings of storage.Check
	unknown string // IDs that must be in Facts.Unknown
}

var rightsOfFacts = map[string]rightFacts{
	// A wearout of "N/A" or "" is unknown. An rpm that is text is read as a
	// number. Neither is an error.
	"10-disks-na-strings": {"local=unknown local-lvm=1 media-pool=unknown service-pool=3", "", "storage.tier-unknown", "workstation.odd-value"},
	// NVMe over a network does not count as local NVMe.
	"11-nvme-over-fabric-namespaces": {"local=unknown local-lvm=1 media-pool=unknown service-pool=unknown tnas=unknown", "os=local-lvm", "storage.tier-unknown", ""},
	// A boot disk is not placed on a network storage. A huge disk is placed on
	// the storage that has room.
	"12-third-party-storages": {"btr=unknown ceph=unknown cifs1=unknown esx=unknown isc=unknown linstor-thinlvm=unknown local=unknown local-lvm=1 lun-lvm=unknown pbs1=unknown s3=unknown tn=unknown zoi=unknown",
		"os=local-lvm huge=ceph", "storage.offline storage.tier-unknown", "workstation.odd-value"},
	"13-strings-for-numbers": {"local=unknown local-lvm=1 media-pool=3 service-pool=2", "", "storage.tier-unknown", ""},
	"14-smart-hang-596":      {"local=unknown local-lvm=unknown media-pool=unknown service-pool=unknown", "", "storage.tier-unknown", "storage.smart-hung storage.unread"},
	// No further disk is placed on the full pool.
	"31-thin-pool-97-percent": {"local=unknown local-lvm=1 media-pool=3 service-pool=2", "os=service-pool", "storage.thin-data-full storage.tier-unknown", ""},
	// The API does not say where each dataset is mounted, so a directory below
	// a dataset has no tier.
	"32-dir-on-zfs-dataset": {"backup-2tb-vms=3 backup-data-iso=unknown local=unknown local-lvm=1 media-pool=3 service-pool=2 vm-backup=unknown", "os=local-lvm media=media-pool", "storage.tier-unknown", ""},
	// A disk on USB has no tier.
	"34-usb-disk-wwn-unknown":        {"fik=unknown local=unknown local-lvm=1 media-pool=unknown service-pool=2 t5=unknown", "games=local-lvm", "storage.tier-unknown", ""},
	"35-pve7-no-mapping":             {"local=unknown local-lvm=1 media-pool=3 service-pool=2", "", "storage.tier-unknown", "workstation.unread"},
	"36-storage-of-other-node":       {"local=unknown local-lvm=1 media-pool=3 service-pool=2", "a=local-lvm", "storage.tier-unknown", ""},
	"42-null-lists-and-empty-bodies": {"", "", "", ""},
}

// TestCaseFacts observes the node of each case and compares its disks and
// storages with the expected facts.
func TestCaseFacts(t *testing.T) {
	t.Parallel()
	for _, dir := range caseDirs(t) {
		right, known := rightsOfFacts[filepath.Base(dir)]
		if !known {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { readCase(t, dir).knows(t, right) })
		})
	}
}

func (c vmCase) knows(t *testing.T, right rightFacts) {
	_, node := c.connect(t)
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, compared := range []struct{ name, got, want string }{
		{"tiers", tiers(facts), right.tiers}, {"placed", c.placed(t, facts), right.placed}, {"checked", ids(storage.Check(facts.Pools)), right.checked}, {"unknown", ids(facts.Unknown), right.unknown},
	} {
		if compared.got != compared.want {
			t.Errorf("%s: %s\nwant %s", compared.name, compared.got, compared.want)
		}
	}
	for _, p := range facts.Pools {
		if p.Total < 0 || p.Used < 0 || p.Available < 0 {
			t.Errorf("a size below zero: %+v", p.Storage)
		}
	}
	for _, d := range facts.Disks {
		if life := d.LifeLeft; d.Failing() || life != nil && *life == 0 {
			t.Errorf("a disk is called worn out: %+v", d)
		}
	}
	for _, id := range c.ids() {
		if _, seen := facts.VMs[id]; !seen && right.tiers != "" {
			t.Errorf("VM %d is not seen", id)
		}
	}
}

// This returns the VMIDs of the case.
func (c vmCase) ids() (ids []int) {
	for _, vm := range c.host.VMs {
		ids = append(ids, vm.ID)
	}
	return ids
}

// Every case has expected results.
func TestEveryCaseIsJudged(t *testing.T) {
	t.Parallel()
	for _, dir := range caseDirs(t) {
		name := filepath.Base(dir)
		_, plan := rights[name]
		_, claim := claims[name]
		_, move := rightSwitches[name]
		_, facts := rightsOfFacts[name]
		if !plan && !claim && !move && !facts && readCase(t, dir).Node == "" {
			t.Errorf("%s: nobody says what is right", name)
		}
	}
}

// Connect fails for a node name that does not exist, and the error lists the
// names of the existing nodes.
func TestCaseNode(t *testing.T) {
	t.Parallel()
	for _, dir := range caseDirs(t) {
		c := readCase(t, dir)
		if c.Node == "" {
			continue
		}
		sim, _ := c.connect(t)
		_, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, c.Node, nil)
		if !errors.Is(err, workstation.ErrNoNode) || !strings.Contains(err.Error(), "among the nodes pve") {
			t.Errorf("%s: %v", c.Node, err)
		}
	}
}
