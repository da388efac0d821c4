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
// (JSON). The facts come from the machine itself or from the PVE API.
//
// The JSON is stable. Fields may be added, but no field is removed or changes
// its meaning, and every field is always present. Lists are never null. An
// unknown value is "unknown" in a field of words, and null in any other field.
type Inventory struct {
	// Source says where the facts come from: "this machine", "captured tree",
	// "node pve".
	Source string `json:"source"`
	IOMMU  IOMMU  `json:"iommu"`
	// Boot says where the host's kernel arguments are configured.
	Boot Boot `json:"boot"`
	// GPUs holds the graphics cards, sorted by address.
	GPUs []GPU `json:"gpus"`
	// Disks holds the physical disks, sorted by name.
	Disks []Disk `json:"disks"`
	// Pools holds PVE's storages, the fastest first.
	Pools []Pool `json:"pools"`
	// VMs holds the host's VMs that take PCI devices, sorted by VMID.
	VMs []VM `json:"vms"`
	// Findings holds blockers, risks, and facts that could not be read. Their
	// IDs are stable too.
	Findings []proxstation.Finding `json:"findings"`
}

// An IOMMU is the state of the host's IOMMU.
type IOMMU struct {
	// State is "on", "off" or "unknown". The field Why holds the evidence.
	State string `json:"state"`
	Why   string `json:"why"`
	// InterruptRemapping is "yes", "no" or "unknown".
	InterruptRemapping proxstation.Answer `json:"interruptRemapping"`
	// Groups holds the IOMMU groups, sorted by number.
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
	// proxmox-boot-tool" or "unknown". The field Why holds the evidence.
	Loader iommu.Loader `json:"loader"`
	Why    string       `json:"why"`
	// File is the file that holds the arguments. Command passes them to the
	// boot loader. Both are "" if they are not known.
	File    string `json:"file"`
	Command string `json:"command"`
}

func boot(facts iommu.Facts) Boot {
	place := facts.Place()
	return Boot{Loader: place.Loader, Why: place.Why, File: place.File, Command: place.Command}
}

// A GPU is one graphics card.
type GPU struct {
	// Address is the address of the display controller, such as "0000:01:00.0".
	Address iommu.Address `json:"address"`
	// VendorID and DeviceID have four hexadecimal digits each, such as "10de"
	// and "2c05".
	VendorID iommu.ID `json:"vendorID"`
	DeviceID iommu.ID `json:"deviceID"`
	// Name is a name for people. Family is the card's generation, such as
	// "NVIDIA Blackwell".
	Name   string     `json:"name"`
	Family gpu.Family `json:"family"`
	// Functions holds all functions of the card, with the display controller.
	Functions []iommu.Address `json:"functions"`
	// Driver is the driver to which the display controller is bound. It is ""
	// if the controller is not bound, and nil if the driver is not known, as
	// over the PVE API.
	Driver *string `json:"driver"`
	// Group is the number of the IOMMU group. It is null if the card has no
	// group or its group is not known.
	Group iommu.GroupID `json:"group"`
	// Isolated says whether a guest can get the card without other devices:
	// "yes", "no" or "unknown". Blockers are the other devices that the guest
	// would get.
	Isolated proxstation.Answer `json:"isolated"`
	Blockers []iommu.Address    `json:"blockers"`
}

// A Disk is one physical disk.
type Disk struct {
	Name  string      `json:"name"` // such as "nvme0n1"
	Model string      `json:"model"`
	Size  int64       `json:"size"` // in bytes
	Bus   storage.Bus `json:"bus"`  // such as "nvme" or "sata"; "" if it is not known
	// Tier is the tier of the disk. The field Why holds the evidence for the
	// tier, or the reason why the tier is not known.
	Tier storage.Tier `json:"tier"`
	Why  string       `json:"why"`
}

// A Pool is one storage.
type Pool struct {
	Name string `json:"name"` // such as "local-lvm"
	Type string `json:"type"` // such as "lvmthin", "dir" or "zfspool"
	// Tier is the tier of the slowest disk that holds the storage's data. The
	// field Why holds the evidence for it.
	Tier storage.Tier `json:"tier"`
	// Disks holds the names of the disks with the storage's data. It is empty
	// if they are not known.
	Disks []string `json:"disks"`
	// Total and Available are sizes in bytes. They are nil if they are not
	// known. The PVE API reports them, but the files of a host do not contain
	// them.
	Total     *int64 `json:"total"`
	Available *int64 `json:"available"`
	Why       string `json:"why"`
}

// Read reads the machine whose root directory is root (root/sys, root/proc,
// root/etc, root/boot, root/run). If root is nil, it reads the machine that the
// program runs on. It also works without root's rights, a PCI names database,
// an IOMMU or disks, and reports what it could not read. The names of cards
// come from the database below root/usr/share. The error matches
// [iommu.ErrNothing] if root is not the root of a machine.
func Read(root fs.FS) (Inventory, error) {
	source := "this machine"
	if root != nil {
		source = "captured tree"
	}
	facts, err := iommu.Read(root)
	if err != nil {
		return Inventory{}, err
	}
	if len(gpu.Cards(facts.Functions)) > 0 { // the names of other functions are not printed
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

// Of makes the report on a machine whose facts were read elsewhere, such as
// over the PVE API. The parameter "unread" holds findings about facts that could
// not be read. Of adds these findings to the report.
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

// The function "distinct" removes repeated findings, because several checks may
// find the same fault.
func distinct(findings []proxstation.Finding) []proxstation.Finding {
	kept, seen := []proxstation.Finding{}, map[proxstation.Finding]bool{}
	for _, f := range findings {
		if !seen[f] {
			kept, seen[f] = append(kept, f), true
		}
	}
	return kept
}

// The function "rank" orders tiers from the fastest to the slowest. An unknown
// tier is last.
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

// groups returns the IOMMU groups. If the facts hold no groups, it makes them
// from the group numbers of the functions.
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
