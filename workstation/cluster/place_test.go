package cluster_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// named returns the host with another name and with the given changes.
func named(name string, host pvetest.Host, changes ...func(*pvetest.Host)) pvetest.Host {
	host.Name = name
	for _, change := range changes {
		change(&host)
	}
	return host
}

// mixed returns three nodes that differ in most parts: a with an RTX 5070 Ti, b
// with an RTX 3060 and a Radeon, c with a card that shares its IOMMU group.
func mixed() []pvetest.Host {
	return []pvetest.Host{named("a", pvetest.Reference()), named("b", pvetest.AMD()), named("c", pvetest.SharedGroup())}
}

// twins returns two nodes that are alike.
func twins() []pvetest.Host {
	return []pvetest.Host{named("a", pvetest.Reference()), named("b", pvetest.Reference())}
}

// facts starts an embedded node for each host, and returns the facts of all
// these nodes. The nodes are observed one by one, so they need not form a
// consistent cluster.
func facts(t *testing.T, hosts ...pvetest.Host) cluster.Facts {
	t.Helper()
	f := cluster.Facts{Quorate: proxstation.Yes}
	var mappings []gpu.Mapping
	for _, host := range hosts {
		sim := pvetest.New(host, nil)
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		seen, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mappings = append(mappings, seen.Mappings...)
		f.Nodes = append(f.Nodes, cluster.NodeFacts{Name: host.Name, State: cluster.Online, Facts: seen})
	}
	for i := range f.Nodes {
		f.Nodes[i].Facts.Mappings = mappings
	}
	return f
}

var (
	rtx    = cluster.Card{Mapping: "rtx", Kind: cluster.Kind{Name: "rtx 5070"}}
	ampere = cluster.Card{Mapping: "ampere", Kind: cluster.Kind{Family: gpu.NVIDIAAmpere}}
)

func linux(id int, card string) workstation.VM {
	return profile.LinuxAI{ID: id, Name: fmt.Sprint("linux", id), Card: card, Memory: 8 * storage.GiB, System: 32 * storage.GiB}.VM()
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hosts []pvetest.Host
		vm    workstation.VM
		node  string // the node that the Spec names
		with  func(*cluster.Spec, *cluster.Facts)
		want  string   // the node, "" for none
		says  []string // parts of the text of the placement or of the error
	}{
		"by the card's name": {hosts: mixed(), vm: linux(140, "rtx"), want: "a",
			says: []string{"a: no other node meets its needs", "b (refused): it has no card of the kind rtx 5070, only AMD Navi 22", "c (refused): it has no card of the kind rtx 5070"}},
		"by the card's family": {hosts: mixed(), vm: linux(140, "ampere"), want: "b", says: []string{"a (refused): it has no card of the kind NVIDIA Ampere, only Intel"}},
		"the card shares its group": {hosts: mixed(), vm: linux(140, "pascal"), with: func(s *cluster.Spec, _ *cluster.Facts) {
			s.Cards = []cluster.Card{{Mapping: "pascal", Kind: cluster.Kind{Model: iommu.Model{Vendor: 0x10de, Device: 0x1c82}}}}
		}, says: []string{`mapping "pascal": no node has such a card: a: it has no card of the kind 10de:1c82`, "c: NVIDIA Pascal 10de:1c82 at 0000:04:00.0 is not ready: "}},
		"no card, the most memory": {hosts: mixed(), vm: linux(140, ""), want: "b", says: []string{"most memory is available"}},
		"the memory is not there": {hosts: mixed(), vm: profile.LinuxAI{ID: 140, Memory: 100 * storage.GiB}.VM(), want: "b",
			says: []string{"a (refused): memory 102400: the host has only 64.0 GiB", "c (refused): memory 102400: the host has only 32.0 GiB"}},
		"the memory is in use": {hosts: twins(), vm: linux(140, ""), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) {
			f.Nodes[0].Facts.MemoryAvailable = 4 * storage.GiB
		}, says: []string{"b: its 8.0 GiB of memory fit beside what is there", "a (not as good): 8.0 GiB of memory do not fit beside what is there: 4.0 GiB are available"}},
		"the card is another VM's": {hosts: twins(), vm: linux(140, "rtx"), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) {
			f.Nodes[0].Facts.VMs[150] = workstation.VMFacts{ID: 150, Name: "old", Config: map[string]string{"hostpci0": "0000:01:00,pcie=1"}}
		}, says: []string{"b: no other VM has its card there", "a (not as good): its card is also the card of VM 150 old"}},
		"another VM has a fault": {hosts: twins(), vm: linux(140, ""), want: "a", with: func(_ *cluster.Spec, f *cluster.Facts) {
			f.Nodes[0].Facts.VMs[200] = workstation.VMFacts{ID: 200, Name: "other", Config: map[string]string{"hostpci0": "0000:01:00,odd=1"}}
		}, says: []string{"nothing else tells the nodes apart"}},
		"the fast storage is full": {hosts: twins(), vm: linux(140, ""), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) {
			full(&f.Nodes[0].Facts, "local-lvm")
		}, says: []string{"b: all its disks are on the tiers that they prefer", "a (not as good): scsi0 (boot) would be on service-pool, tier 2"}},
		"no storage is fast enough": {hosts: mixed()[:1], vm: linux(140, ""), with: func(_ *cluster.Spec, f *cluster.Facts) {
			full(&f.Nodes[0].Facts, "local-lvm", "service-pool")
		}, says: []string{"no node for VM 140 linux140", "a: no storage for VM 140 scsi0 (boot, 32.0 GiB)", "media-pool: tier 3 (HDD) is slower than tier 2"}},
		"the image is there": {hosts: twins(), vm: profile.LinuxAI{ID: 140, Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM(), want: "b", with: func(s *cluster.Spec, f *cluster.Facts) {
			s.Images = []cluster.Image{from("local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2")}
			f.Nodes[0].Facts.Pools[0].Images = []storage.Volume{}
		}, says: []string{"b: its images are there", "a (not as good): local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2 would have to be brought there"}},
		"a storage would be full": {hosts: twins(), vm: linux(140, ""), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) {
			pool := &f.Nodes[0].Facts.Pools[1]
			pool.Used, pool.Available = pool.Total-36*storage.GiB, 36*storage.GiB
		}, says: []string{"b: fewer warnings", "a (not as good): local-lvm: 96 % full now, 100 % when the new disks are full"}},
		"nothing tells them apart": {hosts: twins(), vm: linux(140, "rtx"), want: "a", says: []string{"a: nothing else tells the nodes apart, and its name is first"}},
		"as asked for":             {hosts: twins(), vm: linux(140, "rtx"), node: "b", want: "b", says: []string{"b: as asked for"}},
		"a node that is not there": {hosts: twins(), vm: linux(140, "rtx"), node: "z", says: []string{"z: the cluster has no such node"}},
		"a node that has no card":  {hosts: mixed(), vm: linux(140, "rtx"), node: "c", says: []string{"c: it has no card of the kind rtx 5070"}},
		"a mapping nobody knows":   {hosts: twins(), vm: linux(140, "lost"), says: []string{"a: mapping lost has no entry for it"}},
		"a bridge that is missing": {hosts: mixed(), vm: profile.LinuxAI{ID: 140, Bridge: "vmbr1"}.VM(), want: "b", says: []string{"a (refused): net0", "vmbr1"}},
		"a guest without a driver": {hosts: mixed(), vm: workstation.VM{ID: 140, Name: "mac", Guest: gpu.MacOSSequoia, Config: map[string]string{"hostpci0": "mapping=rtx"}}, says: []string{"gpu: macOS Sequoia cannot use NVIDIA"}},
		"the VMID of a container":  {hosts: twins(), vm: linux(140, ""), with: func(_ *cluster.Spec, f *cluster.Facts) { f.Nodes[1].Facts.Others[140] = "container proxy on node b" }, says: []string{`VM 140 is container proxy on node b, so`}},
		"a node that is away": {hosts: twins(), vm: linux(140, "rtx"), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) {
			f.Nodes[0] = cluster.NodeFacts{Name: "a", State: cluster.Away}
		}, says: []string{"a (refused): it is away"}},
		"a node that is not shown": {hosts: twins(), vm: linux(140, "rtx"), want: "b", with: func(_ *cluster.Spec, f *cluster.Facts) { f.Nodes[0].State = cluster.Forbidden }, says: []string{"a (refused): the login may not read it"}},
		"the name of a VM is wrong": {hosts: twins(), vm: linux(140, ""), with: func(_ *cluster.Spec, f *cluster.Facts) {
			f.Nodes[0].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "other"}
		}, says: []string{`VM 140 is on node a`, `VM 140 is "other"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts(t, test.hosts...)
			spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: test.vm, Node: test.node}}}
			if len(test.hosts) == 3 {
				spec.Cards = append(spec.Cards, ampere)
			}
			if test.with != nil {
				test.with(&spec, &f)
			}
			placements, err := cluster.Place(spec, f)
			text := fmt.Sprint(err)
			if err == nil {
				text = placements[0].String()
			}
			if have := ""; test.want != have && (len(placements) != 1 || placements[0].Node != test.want) || (test.want == "") != (err != nil) {
				t.Fatalf("%v, %v; want node %q", placements, err, test.want)
			}
			for _, says := range test.says {
				if !strings.Contains(text, says) {
					t.Errorf("it does not say %q:\n%s", says, text)
				}
			}
		})
	}
}

func full(f *workstation.Facts, pools ...string) {
	for i, pool := range f.Pools {
		if slices.Contains(pools, pool.Name) {
			f.Pools[i].Available, f.Pools[i].Used = 0, pool.Total
		}
	}
}

func TestEveryNodeIsNamedInARefusal(t *testing.T) {
	t.Parallel()
	_, err := cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: profile.LinuxAI{ID: 140, Memory: 500 * storage.GiB}.VM()}}}, facts(t, mixed()...))
	var none *cluster.NoPlaceError
	if !errors.As(err, &none) || !errors.Is(err, cluster.ErrNoPlace) {
		t.Fatal(err)
	}
	for i, node := range []string{"a", "b", "c"} {
		if none.Refused[i].Node != node || !none.Refused[i].Refused || none.Refused[i].Why == "" {
			t.Errorf("refusal %d: %+v", i, none.Refused[i])
		}
	}
}

// Two VMs that want the same card are placed on different nodes. A VM that was
// placed takes memory and disk space of its node, which the next VM cannot get.
func TestPlacedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}, {VM: linux(141, "rtx")}, {VM: linux(142, "rtx")}}}
	placements, err := cluster.Place(spec, facts(t, twins()...))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, p := range placements {
		nodes = append(nodes, p.Node)
	}
	if want := []string{"a", "b", "a"}; !slices.Equal(nodes, want) {
		t.Errorf("nodes %v, want %v", nodes, want)
	}
	if text := placements[1].String(); !strings.Contains(text, "a (not as good): its card is also the card of VM 140 linux140") {
		t.Error(text)
	}

	spec.Workstations = []cluster.Needs{{VM: profile.LinuxAI{ID: 140, Memory: 40 * storage.GiB}.VM()}, {VM: profile.LinuxAI{ID: 141, Name: "second", Memory: 40 * storage.GiB}.VM()}}
	if placements, err = cluster.Place(spec, facts(t, twins()...)); err != nil || placements[1].Node != "b" {
		t.Errorf("%v, %v: the second VM has its memory on node b", placements, err)
	}

	spec.Workstations = nil
	for id := 140; id < 150; id++ {
		spec.Workstations = append(spec.Workstations, cluster.Needs{VM: profile.LinuxAI{ID: id, Name: fmt.Sprint("big", id), Memory: storage.GiB, System: 300 * storage.GiB}.VM()})
	}
	placements, err = cluster.Place(spec, facts(t, twins()...))
	if !errors.Is(err, cluster.ErrNoPlace) || len(placements) >= 10 || len(placements) < 4 {
		t.Errorf("%d of 10 VMs of 300 GiB have a place on two nodes with 1 TB each: %v", len(placements), err)
	}
}

func TestAVMThatExistsStays(t *testing.T) {
	t.Parallel()
	f := facts(t, twins()...)
	f.Nodes[1].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "linux140", Config: map[string]string{"name": "linux140"}}
	f.Nodes[1].Facts.MemoryAvailable = storage.GiB // with so little memory, node b is worse than node a
	spec := cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, ""), Node: "a"}}}
	plan, err := cluster.Diff(spec, f)
	if err != nil {
		t.Fatal(err)
	}
	if p := plan.Placements[0]; p.Node != "b" || !p.Exists || len(plan.Moves) > 0 || len(plan.Nodes) != 1 || plan.Nodes[0].Node != "b" {
		t.Errorf("plan %s", plan)
	}
	both := cluster.Spec{Workstations: []cluster.Needs{{VM: linux(141, "")}, {VM: linux(140, ""), Node: "b"}}}
	if placements, err := cluster.Place(both, f); err != nil || placements[0].VMID != 140 {
		t.Errorf("%v, %v: the VM that exists has its room first", placements, err)
	}
	finding(t, plan.Findings, "cluster.elsewhere", proxstation.Warning, "it is on node b, and was to be on a")
	if !strings.Contains(plan.String(), "homelab move NAME a, where NAME is its name on the page, or qm migrate 140 a, on node b") {
		t.Errorf("the fix does not name the command: %s", plan)
	}

	spec.Workstations[0].Node = "nope"
	if plan, err = cluster.Diff(spec, f); err != nil {
		t.Fatal(err)
	}
	for _, f := range plan.Findings {
		if f.ID == "cluster.elsewhere" && (f.Why != "The cluster has no such node." || strings.Contains(f.Fix, "migrate")) {
			t.Errorf("nobody can move a VM to a node that is not there: %s", f)
		}
	}

	away := proxstation.Finding{ID: "cluster.node-away", Severity: proxstation.Warning, Seen: "online is 0", Why: "It is away."}
	f.Nodes[1] = cluster.NodeFacts{Name: "b", State: cluster.Away, Findings: []proxstation.Finding{away}}
	f.Guests = []cluster.Guest{{VMID: 140, Name: "linux140", Node: "b"}, {VMID: 141, Name: "ct", Node: "b", Container: true}}
	if _, err := cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: linux(141, "")}}}, f); !errors.As(err, new(*workstation.TakenError)) {
		t.Errorf("%v: a container of a node that is away has the VMID", err)
	}
	plan, err = cluster.Diff(spec, f)
	if err != nil || !plan.Empty() {
		t.Fatalf("%s, %v: want no changes for a VM of a node that is away", plan, err)
	}
	finding(t, plan.Findings, "cluster.vm-away", proxstation.Warning, "it is on node b: it is away")
	finding(t, plan.Findings, "cluster.node-away", proxstation.Warning, "online is 0")
}

// A new VM could only be made on a node that was not read. Diff leaves out this
// VM with a reason, and plans the others. Place returns an error, because it
// returns no findings.
func TestANewVMForANodeThatWasNotRead(t *testing.T) {
	t.Parallel()
	f := facts(t, mixed()...)
	away := proxstation.Finding{ID: "cluster.node-away", Severity: proxstation.Warning, Seen: "online is 0", Why: "It is away."}
	f.Nodes[1] = cluster.NodeFacts{Name: "b", State: cluster.Away, Findings: []proxstation.Finding{away}}
	large := profile.LinuxAI{ID: 142, Memory: 100 * storage.GiB}.VM()
	for name, c := range map[string]struct {
		needs cluster.Needs
		seen  string
	}{
		"named":    {cluster.Needs{VM: linux(142, ""), Node: "b"}, "node b: it is away"},
		"by needs": {cluster.Needs{VM: large}, "node b: it is away"},
		"by card":  {cluster.Needs{VM: linux(142, "ampere")}, "node a: it has no card of the kind NVIDIA Ampere"},
	} {
		spec := cluster.Spec{Cards: []cluster.Card{ampere}, Workstations: []cluster.Needs{{VM: linux(141, "")}, c.needs}}
		plan, err := cluster.Diff(spec, f)
		if err != nil || len(plan.Placements) != 1 || plan.Placements[0].VMID != 141 || plan.Empty() {
			t.Fatalf("%s: %v\n%s", name, err, plan)
		}
		finding(t, plan.Findings, "cluster.no-place", proxstation.Warning, c.seen)
		finding(t, plan.Findings, "cluster.node-away", proxstation.Warning, "online is 0")
		if placements, err := cluster.Place(spec, f); !errors.Is(err, cluster.ErrNoPlace) || len(placements) != 1 {
			t.Errorf("%s: Place: %v, %v", name, placements, err)
		}
	}
	spec := cluster.Spec{Workstations: []cluster.Needs{{VM: large, Node: "a"}}}
	if _, err := cluster.Diff(spec, f); !errors.Is(err, cluster.ErrNoPlace) {
		t.Errorf("%v: the node that was asked for was read, and refuses the VM", err)
	}
}

// finding checks that there is a finding with the given ID, severity and
// evidence.
func finding(t *testing.T, findings []proxstation.Finding, id string, severity proxstation.Severity, seen string) {
	t.Helper()
	for _, f := range findings {
		if f.ID == id {
			if f.Severity != severity || !strings.Contains(f.Seen, seen) || f.Why == "" {
				t.Errorf("finding %s: want %s, %q", f, severity, seen)
			}
			return
		}
	}
	t.Errorf("no finding %s among %v", id, findings)
}

func TestImagesAreFoundOrBrought(t *testing.T) {
	t.Parallel()
	const iso = "local:iso/Win11_25H2_English_x64.iso"
	windows := profile.Windows11{ID: 140, Install: iso}.VM()
	for name, test := range map[string]struct {
		node   string
		images []cluster.Image
		with   func(*cluster.Facts)
		volume string // the volume in the VM's drive
		brings string
		says   string
	}{
		"it is there":                {node: "a", volume: iso},
		"it is only on another node": {node: "b", says: iso + " is not on the node, only on a (local)"},
		"it is brought":              {node: "b", images: []cluster.Image{from(iso)}, volume: iso, brings: iso},
		"it is on another storage":   {node: "b", with: nas(true), volume: "nas:iso/Win11_25H2_English_x64.iso", says: iso + " is on the node as nas:iso/Win11"},
		"it is brought to another":   {node: "b", with: nas(false), images: []cluster.Image{from("x:iso/Win11_25H2_English_x64.iso")}, volume: iso, brings: iso},
		"to the storage that was named": {node: "b", with: func(f *cluster.Facts) {
			nas(false)(f)
			f.Nodes[1].Facts.Pools[len(f.Nodes[1].Facts.Pools)-1].Available = 9 * storage.TiB
		}, images: []cluster.Image{from(iso)}, volume: iso, brings: iso},
		"no storage takes it":             {node: "b", with: func(f *cluster.Facts) { f.Nodes[1].Facts.Pools = f.Nodes[1].Facts.Pools[1:] }, images: []cluster.Image{from(iso)}, says: "none of its storages takes content of the type iso"},
		"nobody knows where from":         {node: "b", images: []cluster.Image{{Volume: iso}}, says: "the image has neither a URL nor a way to open it"},
		"nobody knows which file":         {node: "b", images: []cluster.Image{{Volume: iso, URL: "https://example.org/win.iso", SHA256: "ab"}}, says: "a URL needs the SHA-256 checksum"},
		"what is brought is another file": {node: "b", images: []cluster.Image{from("local:iso/other.iso")}, says: "the Spec does not say where to get it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts(t, mixed()...)
			if test.with != nil {
				test.with(&f)
			}
			plan, err := cluster.Diff(cluster.Spec{Images: test.images, Workstations: []cluster.Needs{{VM: windows, Node: test.node}}}, f)
			if text := fmt.Sprint(err, "\n", plan); !strings.Contains(text, test.says) || (test.volume == "") != (err != nil) {
				t.Fatalf("it does not say %q:\n%s", test.says, text)
			}
			if err != nil {
				return
			}
			made, _ := plan.Nodes[0].Steps[0].(workstation.CreateVM)
			if want := test.volume + ",media=cdrom"; made.Config["ide2"] != want {
				t.Errorf("ide2: %s, want %s", made.Config["ide2"], want)
			}
			var brings string
			for _, b := range plan.Images {
				brings += b.Image.Volume
			}
			if brings != test.brings {
				t.Errorf("it brings %q, want %q", brings, test.brings)
			}
		})
	}
}

// An existing VM may name an image in its drive that is gone from the storage.
// The plan leaves the drive alone.
func TestTheImagesOfAVMThatExistsStay(t *testing.T) {
	t.Parallel()
	const iso = "local:iso/gone.iso"
	f := facts(t, twins()...)
	f.Nodes[0].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "windows", Config: map[string]string{"name": "windows", "ide2": iso + ",media=cdrom"}}
	placements, err := cluster.Place(cluster.Spec{Images: []cluster.Image{from(iso)}, Workstations: []cluster.Needs{
		{VM: workstation.VM{ID: 140, Name: "windows", Disks: []workstation.Disk{{Slot: "ide2", Volume: iso}}}}}}, f)
	if err != nil || placements[0].Node != "a" || placements[0].Why != "it is there" {
		t.Errorf("%v, %v", placements, err)
	}
	plan, err := cluster.Diff(cluster.Spec{Images: []cluster.Image{from(iso)}, Workstations: []cluster.Needs{{VM: placements[0].VM}}}, f)
	if err != nil || len(plan.Images) > 0 {
		t.Errorf("%v, %v: nothing has to be brought", plan.Images, err)
	}
}

// If one VM has a blocker on a node, another VM can still be placed on that
// node.
func TestABlockerIsOfOneVM(t *testing.T) {
	t.Parallel()
	f := facts(t, twins()[0])
	f.Nodes[0].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "windows", Config: map[string]string{"name": "windows"}}
	plan, err := cluster.Diff(cluster.Spec{Workstations: []cluster.Needs{
		{VM: workstation.VM{ID: 140, Name: "windows", Disks: []workstation.Disk{{Slot: "ide2", Volume: "local:iso/lost.iso"}}}}, {VM: linux(141, "")}}}, f)
	if err != nil || len(plan.Placements) != 2 {
		t.Fatal(plan.Placements, err)
	}
	finding(t, plan.Nodes[0].Findings, "workstation.image-missing", proxstation.Blocker, "local:iso/lost.iso")
}

// from returns an image that a node can fetch.
func from(volume string) cluster.Image {
	return cluster.Image{Volume: volume, URL: "https://example.org/image", SHA256: strings.Repeat("0", 64)}
}

// The function "nas" gives node b a storage for images. The parameter "has"
// says whether this storage holds the Windows image.
func nas(has bool) func(*cluster.Facts) {
	return func(f *cluster.Facts) {
		pool := storage.Pool{Storage: storage.Storage{Name: "nas", Type: "nfs", Content: []string{"iso"}, Active: true, Shared: true, Total: storage.TiB, Available: storage.GiB, Images: []storage.Volume{}}}
		if has {
			pool.Images = []storage.Volume{{ID: "nas:iso/Win11_25H2_English_x64.iso"}}
		}
		f.Nodes[1].Facts.Pools = append(f.Nodes[1].Facts.Pools, pool)
	}
}

// A VM may be different on each node, as a Mac is: On returns the VM for the
// node.
func TestAVMOfItsNode(t *testing.T) {
	t.Parallel()
	igpu := cluster.Card{Mapping: "igpu", Kind: cluster.Kind{Family: gpu.IntelCoffeeLake}}
	needs := cluster.Needs{VM: workstation.VM{ID: 130, Name: "macos"}, On: func(node workstation.Facts) (workstation.VM, []cluster.Image, error) {
		mapping, _ := node.PCI().Mapping("igpu")
		if len(mapping.On(node.Node)) == 0 {
			return workstation.VM{}, nil, errors.New("no iGPU")
		}
		card, _ := gpu.CardAt(node.IOMMU.Functions, mapping.On(node.Node)[0].Devices[0].Address)
		loader := "local:import/opencore-" + node.Node + ".raw"
		mac := profile.MacOS{ID: 130, Name: "macos", HostCPU: node.CPU, Card: card, Mapping: "igpu", OSK: proxstation.NewSecret(strings.Repeat("x", 64)), OpenCore: loader}
		return mac.VM(), []cluster.Image{{Volume: loader, Open: func() (io.ReadSeekCloser, error) { return nil, errors.New("not opened by a plan") }}}, nil
	}}
	spec := cluster.Spec{Cards: []cluster.Card{igpu}, Workstations: []cluster.Needs{needs}}
	placements, err := cluster.Place(spec, facts(t, mixed()...))
	if err != nil {
		t.Fatal(err)
	}
	if plan, err := cluster.Diff(spec, facts(t, mixed()...)); err != nil || len(plan.Images) != 1 || plan.Images[0].Node != "a" || plan.Images[0].Image.Volume != "local:import/opencore-a.raw" {
		t.Errorf("images %+v, %v: want the image of the chosen node", plan.Images, err)
	}
	if p := placements[0]; p.Node != "a" || !strings.Contains(p.String(), "b (refused): no iGPU") || p.VM.Guest != gpu.MacOSSequoia {
		t.Errorf("%+v", p)
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	card := func(name string, device iommu.ID) gpu.Card {
		a, _ := iommu.ParseAddress("0000:01:00.0")
		return gpu.Card{Functions: []iommu.Function{{Address: a, Class: 0x030000, Model: iommu.Model{Vendor: gpu.NVIDIA, Device: device}, Name: name}}}
	}
	super := card("NVIDIA Corporation GB203 [GeForce RTX 5070 Ti]", 0x2c05)
	at, _ := iommu.ParseAddress("0000:01:00.1")
	elsewhere, _ := iommu.ParseAddress("0000:02:00.0")
	for kind, want := range map[cluster.Kind]bool{
		{}:                            false,
		{Name: "RTX 5070"}:            true,
		{Name: "5070 ti geforce"}:     true,
		{Name: "RTX 507"}:             false,
		{Name: "RTX 5080"}:            false,
		{Family: gpu.NVIDIABlackwell}: true,
		{Family: gpu.NVIDIAAda}:       false,
		{Model: iommu.Model{Vendor: gpu.NVIDIA, Device: 0x2c05}}: true,
		{Model: iommu.Model{Vendor: gpu.NVIDIA, Device: 0x2c02}}: false,
		{Address: at}:                        true,
		{Address: elsewhere}:                 false,
		{Name: "RTX", Family: gpu.NVIDIAAda}: false,
		{Name: "()"}:                         false, // no word at all
	} {
		if kind.Is(super) != want {
			t.Errorf("%s is %s: %v, want %v", super, kind, kind.Is(super), want)
		}
	}
	if (cluster.Kind{Name: "RTX"}).Is(card("", 0x2c05)) {
		t.Error("a card without a name has a name")
	}
}

func TestAVMIDIsOneVM(t *testing.T) {
	t.Parallel()
	f := facts(t, twins()...)
	_, err := cluster.Diff(cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, "")}, {VM: profile.LinuxAI{ID: 140, Name: "second"}.VM()}}}, f)
	if !errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), "linux140 and second have it in the Spec") {
		t.Errorf("two VMs with one ID: %v", err)
	}
	_, err = cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: workstation.VM{ID: 140}, On: func(workstation.Facts) (workstation.VM, []cluster.Image, error) { return linux(141, ""), nil, nil }}}}, f)
	if !errors.Is(err, cluster.ErrNoPlace) || !strings.Contains(err.Error(), "VM 140 is VM 141 on node a") {
		t.Errorf("a VM that becomes another: %v", err)
	}
}
