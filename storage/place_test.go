package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
)

func pool(name string, tier storage.Tier, available storage.Size) storage.Pool {
	return storage.Pool{Storage: storage.Storage{Name: name, Type: "lvm", Content: []string{"images"}, Active: true, Total: available, Available: available}, Tier: tier}
}

func three() []storage.Pool {
	return []storage.Pool{pool("bulk", storage.Tier3, 10*storage.TiB), pool("fast", storage.Tier1, storage.TiB), pool("ssd", storage.Tier2, 250*storage.GiB)}
}

func ask(purpose storage.Purpose, size storage.Size) storage.DiskRequest {
	return storage.DiskRequest{Name: string(purpose), Purpose: purpose, Size: size}
}

func TestPlacePrefers(t *testing.T) {
	t.Parallel()
	with := func(change func([]storage.Pool)) []storage.Pool { pools := three(); change(pools); return pools }
	tests := []struct {
		name    string
		request storage.DiskRequest
		pools   []storage.Pool
		want    string
	}{
		{"boot on NVMe", ask(storage.Boot, 64*storage.GiB), three(), "fast"},
		{"games on SSD", ask(storage.Games, 100*storage.GiB), three(), "ssd"},
		{"models on SSD", ask(storage.Models, 100*storage.GiB), three(), "ssd"},
		{"bulk on hard disks", ask(storage.Bulk, storage.TiB), three(), "bulk"},
		{"games go to what is faster before what is slower", ask(storage.Games, 300*storage.GiB), three(), "fast"},
		{"and to what is slower in the end", ask(storage.Games, 2*storage.TiB), three(), "bulk"},
		{"bulk goes to what is faster if it must", ask(storage.Bulk, 200*storage.GiB), with(func(p []storage.Pool) { p[0].Active = false }), "ssd"},
		{"boot on SSD without NVMe", ask(storage.Boot, 64*storage.GiB), with(func(p []storage.Pool) { p[1].Active = false }), "ssd"},
		{"of two equal pools the roomier", ask(storage.Boot, 64*storage.GiB), append(three(), pool("faster", storage.Tier1, 2*storage.TiB)), "faster"},
		{"of two the same the first by name", ask(storage.Boot, 64*storage.GiB), append(three(), pool("a-fast", storage.Tier1, storage.TiB)), "a-fast"},
		{"a storage that was asked for, whatever its tier", storage.DiskRequest{Purpose: storage.Boot, Size: storage.GiB, Storage: "bulk"}, three(), "bulk"},
		{"an unknown tier is the last resort", ask(storage.Games, 100*storage.GiB), []storage.Pool{pool("odd", storage.TierUnknown, storage.TiB), pool("slow", storage.Tier3, storage.TiB)}, "slow"},
	}
	for _, test := range tests {
		for range 2 { // the second answer must be the same
			choices, err := storage.Place([]storage.DiskRequest{test.request}, test.pools, nil)
			if err != nil || len(choices) != 1 || choices[0].Pool != test.want || choices[0].Why == "" {
				t.Errorf("%s: %+v, %v, want %s", test.name, choices, err, test.want)
			}
			slices.Reverse(test.pools)
		}
	}
}

func TestPlaceRefuses(t *testing.T) {
	t.Parallel()
	one := func(change func(*storage.Pool)) []storage.Pool {
		p := pool("p", storage.Tier1, storage.TiB)
		change(&p)
		return []storage.Pool{p}
	}
	thin := func(p *storage.Pool) {
		p.Type, p.Thin = "lvmthin", &storage.ThinPool{Size: p.Total, MetadataSize: 100, MetadataUsed: 10}
	}
	committed := 900 * storage.GiB
	tests := []struct {
		name    string
		request storage.DiskRequest
		pools   []storage.Pool
		opts    *storage.PlaceOptions
		says    string
	}{
		{"a slow tier for a system", ask(storage.Boot, storage.GiB), one(func(p *storage.Pool) { p.Tier = storage.Tier3 }), nil, "slower than tier 2"},
		{"a tier that is not known", ask(storage.Boot, storage.GiB), one(func(p *storage.Pool) { p.Tier = storage.TierUnknown }), nil, "its tier is not known, and the slowest allowed tier is 2"},
		{"a size below nothing", ask(storage.Boot, -1), one(func(*storage.Pool) {}), nil, "-1 is no size"},
		{"space that is not known", ask(storage.Boot, 1), one(func(p *storage.Pool) { p.Total, p.Available = 0, 0 }), nil, "its space is not known"},
		{"a ZFS pool that does not work", ask(storage.Boot, 1), one(func(p *storage.Pool) { p.Health = "SUSPENDED" }), nil, "its ZFS pool is SUSPENDED"},
		{"the wrong content", ask(storage.Image, storage.GiB), one(func(*storage.Pool) {}), nil, "does not take iso, only images"},
		{"not reachable", ask(storage.Boot, storage.GiB), one(func(p *storage.Pool) { p.Active = false }), nil, "not reachable"},
		{"no room", ask(storage.Boot, 2*storage.TiB), one(func(*storage.Pool) {}), nil, "1.0 TiB is left, 2.0 TiB is needed"},
		{"promised already", ask(storage.Boot, 200*storage.GiB), one(func(p *storage.Pool) { thin(p); p.Committed = &committed }), nil, "124.0 GiB is left"},
		{"full metadata", ask(storage.Boot, storage.GiB), one(func(p *storage.Pool) { thin(p); p.Thin.MetadataUsed = 95 }), nil, "metadata is more than 90 % full"},
		{"a failing disk", ask(storage.Boot, storage.GiB), one(func(p *storage.Pool) { p.Disks = []storage.Disk{{Path: "/dev/sda", Health: "FAILED!"}} }), nil, "SMART expects /dev/sda to fail"},
		{"another storage", storage.DiskRequest{Purpose: storage.Boot, Size: 1, Storage: "q"}, one(func(*storage.Pool) {}), nil, "the node has no such storage"},
		{"an unknown purpose", ask("fun", 1), one(func(*storage.Pool) {}), nil, `purpose "fun" is not known`},
		{"a least tier", storage.DiskRequest{Purpose: storage.Games, Size: 1, Least: storage.Tier1}, one(func(p *storage.Pool) { p.Tier = storage.Tier2 }), nil, "slower than tier 1"},
	}
	for _, test := range tests {
		_, err := storage.Place([]storage.DiskRequest{test.request}, test.pools, test.opts)
		var refused *storage.NoPlaceError
		if !errors.As(err, &refused) || !errors.Is(err, storage.ErrNoPlace) || len(refused.Refused) != 1 || !strings.Contains(refused.Refused[0].Why, test.says) {
			t.Errorf("%s: %v, want %q", test.name, err, test.says)
		}
	}
}

func TestPlaceCountsWhatItPromised(t *testing.T) {
	t.Parallel()
	committed := 100 * storage.GiB
	thin := pool("thin", storage.Tier1, 200*storage.GiB)
	thin.Type, thin.Committed = "lvmthin", &committed
	requests := []storage.DiskRequest{ask(storage.Boot, 60*storage.GiB), ask(storage.Boot, 60*storage.GiB)}
	if choices, err := storage.Place(requests, []storage.Pool{thin}, nil); len(choices) != 1 || !errors.Is(err, storage.ErrNoPlace) {
		t.Errorf("two of 60 GiB where 100 GiB are left: %v, %v", choices, err)
	}
	if choices, err := storage.Place(requests, []storage.Pool{thin}, &storage.PlaceOptions{Overcommit: 1.5}); len(choices) != 2 || err != nil {
		t.Errorf("with one and a half times as much promised: %v, %v", choices, err)
	}
	sets := []storage.DiskRequest{{Purpose: storage.Data, Size: 1, Apart: "raid"}, {Purpose: storage.Data, Size: 1, Apart: "raid"},
		{Purpose: storage.Boot, Size: 1, Together: "vm"}, {Purpose: storage.Bulk, Size: 1, Together: "vm"}}
	choices, err := storage.Place(sets, three(), nil)
	if err != nil || choices[0].Pool == choices[1].Pool || choices[2].Pool != choices[3].Pool {
		t.Errorf("apart and together: %+v, %v", choices, err)
	}
}

func TestForecastWarnsBeforeItHurts(t *testing.T) {
	t.Parallel()
	p := pool("ssd", storage.Tier2, 90*storage.GiB)
	p.Total, p.Used, p.Thin = 100*storage.GiB, 10*storage.GiB, &storage.ThinPool{}
	for size, want := range map[storage.Size]proxstation.Finding{50 * storage.GiB: {}, 75 * storage.GiB: {Severity: proxstation.Info}, 88 * storage.GiB: {Severity: proxstation.Warning}} {
		outlook, findings := storage.Forecast([]storage.DiskChoice{{Request: storage.DiskRequest{Size: size}, Pool: "ssd"}}, []storage.Pool{p})
		if len(outlook) != 1 || outlook[0].Added != size || outlook[0].Before != 0.1 {
			t.Errorf("%s more: %+v", size, outlook)
		}
		if (want.Severity == 0) != (len(findings) == 0) || len(findings) == 1 && findings[0].Severity != want.Severity {
			t.Errorf("%s more: %v, want severity %s", size, findings, want.Severity)
		}
	}
}

// Storages on the same thin pool, volume group, ZFS pool or file system share
// its space. Place promises this space only once.
func TestSpaceIsPromisedOnce(t *testing.T) {
	t.Parallel()
	twice := func(change func(*storage.Pool)) []storage.Pool {
		a := pool("a", storage.Tier1, 100*storage.GiB)
		change(&a)
		b := a
		b.Name = "b"
		return []storage.Pool{a, b}
	}
	mounts := storage.Facts{Mounts: []storage.Mount{{Path: "/", Devices: []string{"/dev/sda1"}, Type: "ext4"}}}
	for name, path := range map[string]string{"a": "/var/lib/vz", "b": "/srv"} {
		mounts.Storages = append(mounts.Storages, storage.Storage{Name: name, Type: "dir", Path: path, Content: []string{"images"}, Active: true,
			Total: 100 * storage.GiB, Available: 100 * storage.GiB})
	}
	tests := map[string]struct {
		pools  []storage.Pool
		shared bool
	}{
		"thin pool":     {twice(func(p *storage.Pool) { p.Type, p.Group, p.ThinPool = "lvmthin", "pve", "data" }), true},
		"volume group":  {twice(func(p *storage.Pool) { p.Group = "pve" }), true},
		"ZFS pool":      {twice(func(p *storage.Pool) { p.Type, p.ZPool = "zfspool", "tank/vms" }), true},
		"file system":   {storage.Join(mounts, map[string]storage.Tier{"a": storage.Tier1, "b": storage.Tier1}), true},
		"nothing known": {twice(func(*storage.Pool) {}), false},
	}
	requests := []storage.DiskRequest{ask(storage.Boot, 60*storage.GiB), ask(storage.Boot, 60*storage.GiB)}
	for name, test := range tests {
		choices, err := storage.Place(requests, test.pools, nil)
		if test.shared != errors.Is(err, storage.ErrNoPlace) {
			t.Errorf("%s: %+v, %v; shared %v", name, choices, err, test.shared)
		}
		both := []storage.DiskChoice{{Request: requests[0], Pool: "a"}, {Request: requests[1], Pool: "b"}}
		outlook, _ := storage.Forecast(both, test.pools)
		if want := 60 * storage.GiB; len(outlook) != 2 || test.shared != (outlook[0].Added == 2*want) {
			t.Errorf("%s: %+v", name, outlook)
		}
	}
}

func TestASecondBestPlaceIsExplained(t *testing.T) {
	t.Parallel()
	choices, err := storage.Place([]storage.DiskRequest{ask(storage.Games, 300*storage.GiB)}, three(), nil)
	want := "tier 1 (NVMe); games would rather be on tier 2 (SSD), but ssd: 250.0 GiB is left, 300.0 GiB is needed: 50.0 GiB would have to move away"
	if err != nil || choices[0].Why != want {
		t.Errorf("%q, %v, want %q", choices[0].Why, err, want)
	}
}

func TestARefusalNamesWhatWouldHaveToMove(t *testing.T) {
	t.Parallel()
	volumes := []storage.Volume{{ID: "p:a", Size: 10 * storage.GiB}, {ID: "p:b", Size: 60 * storage.GiB}, {ID: "p:c", Size: 30 * storage.GiB}}
	for _, test := range []struct {
		size    storage.Size
		volumes []storage.Volume
		want    string
	}{
		{105 * storage.GiB, volumes, "5.0 GiB would have to move away, such as p:a (10.0 GiB)"},
		{110 * storage.GiB, volumes, "such as p:a (10.0 GiB)"},
		{120 * storage.GiB, volumes, "such as p:c (30.0 GiB)"},
		{150 * storage.GiB, volumes, "such as p:b (60.0 GiB)"},
		{165 * storage.GiB, volumes, "such as p:b (60.0 GiB), p:c (30.0 GiB)"},
		{200 * storage.GiB, volumes, "such as p:b (60.0 GiB), p:c (30.0 GiB), p:a (10.0 GiB)"},
		{201 * storage.GiB, volumes, "101.0 GiB would have to move away"},
		{105 * storage.GiB, nil, "5.0 GiB would have to move away"},
	} {
		p := pool("p", storage.Tier1, 100*storage.GiB)
		p.Volumes = test.volumes
		_, err := storage.Place([]storage.DiskRequest{ask(storage.Boot, test.size)}, []storage.Pool{p}, nil)
		var refused *storage.NoPlaceError
		if !errors.As(err, &refused) || !strings.HasSuffix(refused.Refused[0].Why, test.want) {
			t.Errorf("%s: %v, want %q", test.size, err, test.want)
		}
	}
}

func TestForecastOfMetadata(t *testing.T) {
	t.Parallel()
	p := pool("thin", storage.Tier1, 90*storage.GiB)
	for _, test := range []struct {
		data, metadata, size storage.Size // data is the used part of 100 GiB; metadata is the used part of size, in MiB
		want                 bool
	}{{10, 1, 20, false}, {10, 6, 20, true}, {10, 17, 20, false}, {10, 600, 2000, false}, {9, 6, 20, false}} {
		p.Total, p.Used = 100*storage.GiB, test.data*storage.GiB
		p.Thin = &storage.ThinPool{Name: "data", Group: "pve", Size: p.Total, Used: p.Used, MetadataSize: test.size * storage.MiB, MetadataUsed: test.metadata * storage.MiB}
		_, findings := storage.Forecast([]storage.DiskChoice{{Request: ask(storage.Boot, 20*storage.GiB), Pool: "thin"}}, []storage.Pool{p})
		if got := len(findings) == 1 && findings[0].ID == "storage.metadata-filling" && strings.Contains(findings[0].Seen, "30 % now, about 90 %"); got != test.want {
			t.Errorf("%+v: %v", test, findings)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := pool("thin", storage.Tier1, storage.TiB)
	ten, fifty := 10, 50
	p.Disks = []storage.Disk{{Path: "/dev/sda", Health: "FAILED!"}, {Path: "/dev/sdb", LifeLeft: &ten}, {Path: "/dev/sdc", LifeLeft: &fifty}}
	p.Thin = &storage.ThinPool{Name: "data", Group: "pve", Size: 100, Used: 85, MetadataSize: 100, MetadataUsed: 81}
	odd := pool("odd", storage.TierUnknown, storage.TiB)
	odd.Why = "nothing tells"
	nas := odd
	nas.Name, nas.Type, nas.Active = "nas", "nfs", false
	var ids []string
	again, ill := pool("again", storage.Tier1, storage.TiB), pool("ill", storage.Tier3, storage.TiB)
	again.Disks, ill.Health = p.Disks, "DEGRADED"
	for _, f := range storage.Check([]storage.Pool{p, again, ill, odd, nas}) {
		ids = append(ids, f.Subject+" "+f.ID)
	}
	want := "/dev/sda storage.disk-failing, /dev/sdb storage.disk-worn, thin storage.thin-data-full, thin storage.thin-metadata-full, " +
		"ill storage.zpool-unhealthy, odd storage.tier-unknown, nas storage.offline"
	if strings.Join(ids, ", ") != want {
		t.Errorf("findings %v, want %s", ids, want)
	}
}

func ExamplePlace() {
	requests := []storage.DiskRequest{
		{Name: "C:", Purpose: storage.Boot, Size: 128 * storage.GiB},
		{Name: "D:", Purpose: storage.Games, Size: 200 * storage.GiB},
		{Name: "films", Purpose: storage.Bulk, Size: 2 * storage.TiB},
	}
	choices, err := storage.Place(requests, three(), nil)
	for _, c := range choices {
		fmt.Printf("%s on %s: %s\n", c.Request.Name, c.Pool, c.Why)
	}
	fmt.Println(err)
	// Output:
	// C: on fast: tier 1 (NVMe), as boot wants
	// D: on ssd: tier 2 (SSD), as games wants
	// films on bulk: tier 3 (HDD), as bulk wants
	// <nil>
}

func ExampleForecast() {
	choices, _ := storage.Place([]storage.DiskRequest{{Name: "D:", Purpose: storage.Games, Size: 240 * storage.GiB}}, three(), nil)
	outlook, findings := storage.Forecast(choices, three())
	fmt.Printf("%s: %.0f %% full\n%s\n", outlook[0].Pool, outlook[0].After*100, findings[0].Severity)
	// Output:
	// ssd: 96 % full
	// warning
}
