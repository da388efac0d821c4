package inventory

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// An Inventory is a report on a machine, for people (String) and for programs
// (JSON). It comes from the machine itself or from the PVE API.
//
// The JSON is stable: fields may be added, no field goes or changes its
// meaning, and every field is always there. Lists are never null. A value that
// is not known is "unknown", or null where the field does not hold a word.
type Inventory struct {
	// Source is where it comes from: "this machine", "captured tree", "node pve".
	Source string `json:"source"`
	IOMMU  IOMMU  `json:"iommu"`
	// Boot is where the host's kernel arguments are configured.
	Boot Boot `json:"boot"`
	// GPUs are the graphics cards, in the order of their addresses.
	GPUs []GPU `json:"gpus"`
	// Disks are the physical disks, in the order of their names.
	Disks []Disk `json:"disks"`
	// Pools are PVE's storages, the fastest first.
	Pools []Pool `json:"pools"`
	// VMs are the host's VMs that take PCI devices, in the order of their VMIDs.
	VMs []VM `json:"vms"`
	// Findings say what is in the way, what is a risk, and what could not be
	// read. Their IDs are stable too.
	Findings []proxstation.Finding `json:"findings"`
}

// An IOMMU is the verdict on the IOMMU.
type IOMMU struct {
	// State is "on", "off" or "unknown", Why what says so.
	State string `json:"state"`
	Why   string `json:"why"`
	// InterruptRemapping is "yes", "no" or "unknown".
	InterruptRemapping proxstation.Answer `json:"interruptRemapping"`
	// Groups are the groups, in the order of their numbers.
	Groups []Group `json:"groups"`
}

// A Group is one IOMMU group.
type Group struct {
	ID      int             `json:"id"`
	Devices []iommu.Address `json:"devices"`
}

// A Boot says where a host's kernel arguments are configured.
type Boot struct {
	// Loader is "grub", "grub under proxmox-boot-tool", "systemd-boot under
	// proxmox-boot-tool" or "unknown", Why what says so.
	Loader iommu.Loader `json:"loader"`
	Why    string       `json:"why"`
	// File holds the arguments, and Command brings them to the boot loader; both
	// are "" where they are not known.
	File    string `json:"file"`
	Command string `json:"command"`
}

func boot(facts iommu.Facts) Boot {
	place := facts.Place()
	return Boot{Loader: place.Loader, Why: place.Why, File: place.File, Command: place.Command}
}

// A GPU is one graphics card.
type GPU struct {
	// Address is the address of the display controller: "0000:01:00.0".
	Address iommu.Address `json:"address"`
	// VendorID and DeviceID are four hexadecimal digits each: "10de", "2c05".
	VendorID iommu.ID `json:"vendorID"`
	DeviceID iommu.ID `json:"deviceID"`
	// Name is for people; Family is its generation, such as "NVIDIA Blackwell".
	Name   string     `json:"name"`
	Family gpu.Family `json:"family"`
	// Functions are all of the card's, the display controller among them.
	Functions []iommu.Address `json:"functions"`
	// Driver is what the display controller is bound to: "" for nothing, nil
	// where it is not known, as over the PVE API.
	Driver *string `json:"driver"`
	// Group is the number of the IOMMU group. Null stands for a card without a
	// group, or with an unknown group.
	Group iommu.GroupID `json:"group"`
	// Isolated says whether the card can go to a guest without other devices:
	// "yes", "no" or "unknown". Blockers are those devices.
	Isolated proxstation.Answer `json:"isolated"`
	Blockers []iommu.Address    `json:"blockers"`
}

// A Disk is one physical disk.
type Disk struct {
	Name  string      `json:"name"` // "nvme0n1"
	Model string      `json:"model"`
	Size  int64       `json:"size"` // bytes
	Bus   storage.Bus `json:"bus"`  // "nvme", "sata" ...; "" where it is not known
	// Tier is the tier of the slowest disk that holds the data. Why is the
	// evidence.
	Tier storage.Tier `json:"tier"`
	Why  string       `json:"why"`
}

// A Pool is one storage.
type Pool struct {
	Name string `json:"name"` // "local-lvm"
	Type string `json:"type"` // "lvmthin", "dir", "zfspool" ...
	// Tier is that of the slowest disk that holds its data, Why what says so.
	Tier storage.Tier `json:"tier"`
	// Disks are the names of those disks; empty where they are not known.
	Disks []string `json:"disks"`
	// Total and Available are in bytes; nil where they are not known, as in
	// the files of a host.
	Total     *int64 `json:"total"`
	Available *int64 `json:"available"`
	Why       string `json:"why"`
}

// Read reads the machine whose root directory is given (root/sys, root/proc,
// root/etc, root/boot, root/run). For nil it reads the machine that the program
// runs on. It works without root's rights, a PCI names database, an IOMMU or
// disks, and says what it could not read. The names of cards come from the
// database below root/usr/share. The error matches [iommu.ErrNothing]
// if root is not the root of a machine.
func Read(root fs.FS) (Inventory, error) {
	source := "this machine"
	if root != nil {
		source = "captured tree"
	}
	facts, err := iommu.Read(root)
	if err != nil {
		return Inventory{}, err
	}
	if len(gpu.Cards(facts.Functions)) > 0 { // only the names of cards are printed
		nameFunctions(root, facts.Functions)
	}
	stored, err := storage.Read(root)
	if err != nil {
		return Inventory{}, err
	}
	if root == nil {
		root = os.DirFS("/")
	}
	configs, mappings, unread := readVMs(root)
	report := Of(source, facts, stored.Disks, storage.Join(stored, nil), slices.Concat(stored.Unknown, unread)...)
	node := gpu.Node{Name: nodeName(root), Functions: facts.Functions, Mappings: mappings}
	report.add(checkShares(readShares(root), facts, node, report.addVMs(facts, node, configs)))
	return report, nil
}

// Of returns the report on a machine from what was read of it elsewhere, such
// as over the PVE API. The findings say what could not be read.
func Of(source string, facts iommu.Facts, disks []storage.Disk, pools []storage.Pool, unread ...proxstation.Finding) Inventory {
	state, why := facts.State()
	remapping, _ := facts.InterruptRemapping()
	i := Inventory{Source: source, IOMMU: IOMMU{State: state.String(), Why: why, InterruptRemapping: remapping, Groups: groups(facts)}, Boot: boot(facts),
		GPUs: []GPU{}, Disks: []Disk{}, Pools: []Pool{}, VMs: []VM{}, Findings: []proxstation.Finding{}}
	for _, card := range gpu.Cards(facts.Functions) {
		i.GPUs = append(i.GPUs, gpuInventory(card, facts))
		i.Findings = append(i.Findings, gpu.Ready(card, gpu.AnyGuest, facts)...)
	}
	for _, d := range disks {
		tier, why := d.Tier()
		i.Disks = append(i.Disks, Disk{Name: d.Name(), Model: d.Model, Size: int64(d.Size), Bus: d.Bus, Tier: tier, Why: why})
	}
	for _, p := range pools {
		names := []string{}
		for _, d := range p.Disks {
			names = append(names, d.Name())
		}
		pool := Pool{Name: p.Name, Type: p.Type, Tier: p.Tier, Disks: names, Why: p.Why}
		if p.Total > 0 {
			pool.Total, pool.Available = new(int64(p.Total)), new(int64(p.Available))
		}
		i.Pools = append(i.Pools, pool)
	}
	slices.SortStableFunc(i.Pools, func(a, b Pool) int { return rank(a.Tier) - rank(b.Tier) })
	i.Findings = distinct(slices.Concat(i.Findings, facts.Check(), storage.Check(pools), unread))
	return i
}

// distinct returns the findings without repetitions: a cause that several
// judgements met is one finding.
func distinct(findings []proxstation.Finding) []proxstation.Finding {
	kept, seen := []proxstation.Finding{}, map[proxstation.Finding]bool{}
	for _, f := range findings {
		if !seen[f] {
			kept, seen[f] = append(kept, f), true
		}
	}
	return kept
}

// rank orders tiers from the fastest to the slowest; an unknown tier comes
// last.
func rank(t storage.Tier) int {
	if t == storage.TierUnknown {
		return 100
	}
	return int(t)
}

func gpuInventory(card gpu.Card, facts iommu.Facts) GPU {
	d := card.Display()
	err := facts.IsolatedTogether(card.Own()...)
	isolated := proxstation.AnswerOf(err == nil)
	if errors.Is(err, iommu.ErrUnknown) {
		isolated = proxstation.Unknown
	}
	g := GPU{Address: d.Address, VendorID: d.Model.Vendor, DeviceID: d.Model.Device, Name: card.Name(), Family: card.Family(),
		Functions: card.Addresses(), Group: d.Group, Isolated: isolated, Blockers: []iommu.Address{}}
	if d.DriverKnown == proxstation.Yes || d.Driver != "" {
		g.Driver = &d.Driver
	}
	var shared *iommu.SharedError
	if errors.As(err, &shared) {
		for _, other := range shared.Others {
			g.Blockers = append(g.Blockers, other.Address)
		}
	}
	return g
}

// groups returns the IOMMU groups, put together from the functions where only
// they are known.
func groups(facts iommu.Facts) []Group {
	list := []Group{}
	for _, g := range facts.Groups {
		list = append(list, Group{ID: g.ID, Devices: append([]iommu.Address{}, g.Devices...)})
	}
	if len(facts.Groups) > 0 {
		return list
	}
	for _, f := range facts.Functions {
		id, ok := f.Group.Int()
		if !ok {
			continue
		}
		at := slices.IndexFunc(list, func(g Group) bool { return g.ID == id })
		if at < 0 {
			list, at = append(list, Group{ID: id}), len(list)
		}
		list[at].Devices = append(list[at].Devices, f.Address)
	}
	slices.SortFunc(list, func(a, b Group) int { return a.ID - b.ID })
	return list
}
