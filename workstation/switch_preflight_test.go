package workstation_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Each case breaks one rule that is checked before anybody loses their desktop.
func TestPreflight(t *testing.T) {
	t.Parallel()
	set := func(id int, key, value string) func(*workstation.Facts) {
		return func(f *workstation.Facts) { f.VMs[id].Config[key] = value }
	}
	outsider := func(running bool) func(*workstation.Facts) {
		return func(f *workstation.Facts) {
			f.VMs[200] = workstation.VMFacts{ID: 200, Name: "other", Running: running, Config: map[string]string{"hostpci0": "0000:01:00"}}
		}
	}
	pool := func(name string, change func(*storage.Pool)) func(*workstation.Facts) {
		return func(f *workstation.Facts) {
			i := slices.IndexFunc(f.Pools, func(p storage.Pool) bool { return p.Name == name })
			change(&f.Pools[i])
		}
	}
	tests := map[string]struct {
		change func(*workstation.Facts)
		want   string
	}{
		"all well":                    {func(*workstation.Facts) {}, ""},
		"no such VM":                  {func(f *workstation.Facts) { delete(f.VMs, 141) }, "switch.no-vm"},
		"a template":                  {set(141, "template", "1"), "switch.template"},
		"no such mapping":             {set(141, "hostpci0", "mapping=nowhere,pcie=1"), "switch.no-mapping"},
		"a rule of PVE's":             {set(141, "machine", "pc"), "switch.hostpci"},
		"an outsider that runs":       {outsider(true), "switch.outsider"},
		"an outsider that is off":     {outsider(false), ""},
		"its storage is offline":      {pool("local-lvm", func(p *storage.Pool) { p.Active = false }), "switch.storage-offline"},
		"its storage is not there":    {pool("local-lvm", func(p *storage.Pool) { p.Name = "renamed" }), "switch.no-storage"},
		"another storage is offline":  {pool("media-pool", func(p *storage.Pool) { p.Active = false }), ""},
		"a drive of the host's":       {set(141, "ide2", "/dev/sr0,media=cdrom"), ""},
		"an empty drive":              {set(141, "ide2", "none,media=cdrom"), ""},
		"huge pages":                  {set(141, "hugepages", "1024"), "switch.hugepages"},
		"memory that the other frees": {set(141, "memory", "24000"), ""},
		"more than there is":          {set(141, "memory", "99999"), "switch.memory"},
		"memory that may not be read": {func(f *workstation.Facts) { f.MemoryTotal = 0; f.VMs[141].Config["memory"] = "99999" }, ""},
		"no card":                     {func(f *workstation.Facts) { delete(f.VMs[141].Config, "hostpci0") }, "switch.no-card"},
		"no card, only in args": {func(f *workstation.Facts) {
			delete(f.VMs[141].Config, "hostpci0")
			f.VMs[141].Config["args"] = "-device vfio-pci,host=0000:01:00.0"
		}, ""},
		"high availability":            {func(f *workstation.Facts) { f.HA = []int{141} }, "switch.ha"},
		"high availability of the one": {func(f *workstation.Facts) { f.HA = []int{140} }, "switch.holder-ha"},
	}
	host := pair()
	original := observe(t, pvetest.New(host, nil))
	original.MemoryAvailable = 10 * storage.GiB
	for name, test := range tests {
		facts := original
		facts.Pools, facts.VMs = slices.Clone(original.Pools), maps.Clone(original.VMs)
		for id, v := range facts.VMs {
			v.Config = maps.Clone(v.Config)
			facts.VMs[id] = v
		}
		test.change(&facts)
		findings := workstation.Preflight(both, 141, facts)
		if got := ids(findings); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		for _, f := range findings {
			if f.Subject == "" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: a finding that does not say all: %+v", name, f)
			}
		}
	}
}

// The host has 64 GiB, and VM 140 runs with 16 GiB. Each test sets how much
// memory is available.
func TestPreflightMemory(t *testing.T) {
	t.Parallel()
	original := observe(t, pvetest.New(pair(), nil))
	for name, test := range map[string]struct {
		need, available storage.Size
		zfs             bool
		want            proxstation.Answer // whether a switch would begin
		says            string
	}{
		"enough":                           {32, 16, false, proxstation.Yes, ""},
		"too little":                       {33, 16, false, proxstation.No, "it needs 33.0 GiB, and 32.0 GiB will be available"},
		"too little, but ZFS's cache goes": {33, 16, true, proxstation.Yes, "zfs_arc_max"},
		"more than the host has":           {65, 16, true, proxstation.No, "65.0 GiB"},
	} {
		facts := original
		facts.VMs, facts.MemoryAvailable = maps.Clone(original.VMs), test.available*storage.GiB
		target := facts.VMs[141]
		target.Config = maps.Clone(target.Config)
		target.Config["memory"] = fmt.Sprint(int64(test.need * storage.GiB / storage.MiB))
		facts.VMs[141] = target
		if !test.zfs {
			facts.Pools = slices.DeleteFunc(slices.Clone(facts.Pools), func(p storage.Pool) bool { return p.Type == "zfspool" })
		}
		findings := workstation.Preflight(both, 141, facts)
		blocked := slices.ContainsFunc(findings, func(f proxstation.Finding) bool { return f.Severity == proxstation.Blocker })
		if blocked == (test.want == proxstation.Yes) || !strings.Contains(fmt.Sprint(findings), test.says) {
			t.Errorf("%s: %v", name, findings)
		}
	}
}

func TestADualBootThatIsNone(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pair(), nil)
	node := open(sim)
	tests := map[string]struct {
		db   workstation.DualBoot
		to   int
		says string
	}{
		"nobody":              {workstation.DualBoot{}, 141, "two different VMs"},
		"one":                 {workstation.DualBoot{Members: []int{141}}, 141, "two different VMs"},
		"one twice":           {workstation.DualBoot{Members: []int{141, 141}}, 141, "two different VMs"},
		"a stranger":          {both, 142, "not one of them"},
		"a grace below zero":  {workstation.DualBoot{Members: both.Members, Grace: -time.Second}, 141, "below zero"},
		"a patience below it": {workstation.DualBoot{Members: both.Members, Boot: -1}, 141, "below zero"},
		"no target":           {both, 0, "not one of them"},
		"no VMIDs":            {workstation.DualBoot{Members: []int{0, 140}}, 140, "VMIDs go from 100"},
	}
	for name, test := range tests {
		err := node.Switch(t.Context(), test.db, test.to, nil)
		if !errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want ErrInvalid and %q", name, err, test.says)
		}
		if got := ids(workstation.Preflight(test.db, test.to, observe(t, sim))); got != "switch.members" {
			t.Errorf("%s: Preflight: %q", name, got)
		}
	}
	if writes := sim.Writes(); len(writes) > 0 {
		t.Errorf("it writes: %v", writes)
	}
}

// A member whose configuration has no PCI device is reported before its start,
// and while it runs.
func TestPreflightNoCard(t *testing.T) {
	t.Parallel()
	original := observe(t, pvetest.New(pair(), nil))
	for name, test := range map[string]struct {
		to       int  // VM 140 runs
		other    bool // whether the other member has the card
		config   map[string]string
		inForce  map[string]string
		severity proxstation.Severity
		says     string // "" for no finding
	}{
		"another member has the card":   {141, true, map[string]string{"usb0": "host=1-2"}, nil, proxstation.Warning, "qm set 141 --hostpci0"},
		"no member has a card":          {141, false, nil, nil, proxstation.Info, "its configuration has no hostpci key"},
		"turns with a USB device alone": {141, false, map[string]string{"usb0": "host=1-2"}, nil, 0, ""},
		"a USB port of SPICE":           {141, false, map[string]string{"usb0": "spice"}, nil, proxstation.Info, "its configuration has no hostpci key"},
		"it runs without":               {140, true, nil, nil, proxstation.Warning, "The VM runs without the card."},
		"it runs without until its end": {140, true, map[string]string{"hostpci0": "mapping=rtx5070ti"}, map[string]string{"memory": "16384"}, proxstation.Warning, "its next start gives it the card"},
	} {
		facts := original
		facts.VMs = maps.Clone(original.VMs)
		for id, v := range facts.VMs {
			v.Config = maps.Clone(v.Config)
			if id == test.to || !test.other {
				delete(v.Config, "hostpci0")
			}
			if id == test.to {
				maps.Copy(v.Config, test.config)
				v.InForce = test.inForce
			}
			facts.VMs[id] = v
		}
		var found []proxstation.Finding
		for _, f := range workstation.Preflight(both, test.to, facts) {
			if f.ID == "switch.no-card" {
				found = append(found, f)
			}
		}
		if test.says == "" && len(found) > 0 || test.says != "" && (len(found) != 1 || found[0].Severity != test.severity || !strings.Contains(fmt.Sprint(found[0].Seen, found[0].Why, found[0].Fix), test.says)) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
