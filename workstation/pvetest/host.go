package pvetest

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A Host describes a PVE node as data: its parts, the content of its storages,
// and its users. If a part has the zero value, the host does not have the part.
// A Host can be written as JSON.
type Host struct {
	Name    string `json:"name"`    // of the node: "pve"
	Version string `json:"version"` // of PVE: "9.1.1"
	Release string `json:"release"` // of PVE: "9.1"
	Kernel  string `json:"kernel"`  // release of the kernel (uname -r)
	CPU     string `json:"cpu"`     // model name of the processor
	Cores   int    `json:"cores"`   // logical CPUs
	Memory  int64  `json:"memory"`  // bytes
	NoIOMMU bool   `json:"noIOMMU,omitempty"`
	Address string `json:"address,omitempty"` // of the node, with prefix length; "" is 192.168.1.10/24

	PCI         []PCI          `json:"pci,omitempty"`
	Disks       []Disk         `json:"disks,omitempty"`
	Groups      []VG           `json:"groups,omitempty"`      // LVM volume groups
	ThinPools   []ThinPool     `json:"thinPools,omitempty"`   // LVM thin pools
	ZPools      []ZPool        `json:"zpools,omitempty"`      //
	Directories []Directory    `json:"directories,omitempty"` // mounts that PVE manages
	Storages    []Storage      `json:"storages,omitempty"`    //
	Bridges     []string       `json:"bridges,omitempty"`     // network bridges
	Mappings    []Mapping      `json:"mappings,omitempty"`    // PCI resource mappings
	VMs         []VM           `json:"vms,omitempty"`         // VMs that exist at the start
	Containers  map[int]string `json:"containers,omitempty"`  // names of running containers, by VMID
	// ContainerConfigs holds the configurations of containers, as far as a test
	// needs them: "dev0", and "lxc" with lines such as "lxc.mount.entry: ...".
	ContainerConfigs map[int]map[string]string `json:"containerConfigs,omitempty"`
	Users            []User                    `json:"users,omitempty"`      // users other than root@pam
	RootTokens       []Token                   `json:"rootTokens,omitempty"` // API tokens of root@pam
	Password         string                    `json:"password,omitempty"`   // of root@pam; "" is "secret"
	HA               []int                     `json:"ha,omitempty"`         // VMs under high availability, by VMID
	HAIgnored        []int                     `json:"haIgnored,omitempty"`  // VMs that high availability ignores, by VMID
	Pools            map[string][]int          `json:"pools,omitempty"`      // VMIDs by the name of their resource pool
	Backups          []BackupJob               `json:"backups,omitempty"`    //
	Downloads        map[string]int64          `json:"downloads,omitempty"`  // sizes of downloadable files in bytes, by URL
	Files            map[string]int64          `json:"files,omitempty"`      // sizes of disk images outside of storages in bytes, by path
	Guests           map[int]Guest             `json:"guests,omitempty"`     // behaviours of guests, by VMID; a VM without an entry has the zero Guest
}

// A PCI is a PCI function of the host.
type PCI struct {
	Address    string `json:"address"`   // "0000:01:00.0"
	Class      int    `json:"class"`     // 24 bits
	Vendor     int    `json:"vendor"`    // 16 bits
	Device     int    `json:"device"`    // 16 bits
	SubVendor  int    `json:"subVendor"` // 16 bits
	SubDevice  int    `json:"subDevice"` // 16 bits
	Group      int    `json:"group"`     // IOMMU group; -1 if there is no group
	MDev       bool   `json:"mdev,omitempty"`
	VendorName string `json:"vendorName,omitempty"` // name of the maker, as in pci.ids
	DeviceName string `json:"deviceName,omitempty"` // name of the device, as in pci.ids
	// SubVendorName is the name of the board's maker, as in pci.ids.
	SubVendorName string `json:"subVendorName,omitempty"`
	// HostUses is set for a function that the host itself needs, such as the
	// controller of its disks or its network card. If a VM takes such a
	// function, the node is broken, and [Node.Check] returns an error.
	HostUses bool `json:"hostUses,omitempty"`
	// ResetFails is set for a function that cannot be reset. The only effect is
	// a line in the log of the start task.
	ResetFails bool `json:"resetFails,omitempty"`
}

// A Disk is a physical disk with the values that /disks/list shows.
type Disk struct {
	Path       string      `json:"path"` // "/dev/nvme0n1"
	Model      string      `json:"model"`
	Serial     string      `json:"serial"`
	Size       int64       `json:"size"`    // bytes
	Type       string      `json:"type"`    // "nvme", "ssd", "hdd", "usb" or "unknown"
	RPM        int         `json:"rpm"`     // speed; 0 for an SSD, -1 if unknown
	Wearout    int         `json:"wearout"` // percent of life left; -1 if PVE shows N/A
	Health     string      `json:"health"`  // "PASSED", "OK", "FAILED", "UNKNOWN"
	Used       string      `json:"used"`    // "LVM", "ZFS", "partitions", "mounted", "" for nothing
	ByID       string      `json:"byID"`    // "/dev/disk/by-id/..."
	WWN        string      `json:"wwn,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
}

// A Partition is a partition of a [Disk].
type Partition struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"` // bytes
	Used    string `json:"used"`
	Mounted bool   `json:"mounted,omitempty"`
}

// A VG is an LVM volume group.
type VG struct {
	Name    string   `json:"name"`
	Size    int64    `json:"size"`    // bytes
	Free    int64    `json:"free"`    // bytes
	Volumes []string `json:"volumes"` // its physical volumes: "/dev/nvme0n1p3"
}

// A ThinPool is an LVM thin pool.
type ThinPool struct {
	Name         string `json:"name"`         // of the logical volume: "data"
	VG           string `json:"vg"`           // the volume group that contains the pool
	Size         int64  `json:"size"`         // bytes
	Used         int64  `json:"used"`         // bytes
	MetadataSize int64  `json:"metadataSize"` // bytes
	MetadataUsed int64  `json:"metadataUsed"` // bytes
}

// A ZPool is a ZFS pool. Devices are listed under the vdev that contains them:
// {"mirror-0": {"/dev/sda", "/dev/sdb"}}, {"special": ...}.
type ZPool struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	Used   int64  `json:"used"` // bytes
	Health string `json:"health"`
	VDevs  []VDev `json:"vdevs"`
}

// A VDev is a part of a [ZPool]: a disk, a mirror, a raidz, or a class such as
// "special", "cache" and "logs" with vdevs below it.
type VDev struct {
	Name     string `json:"name"`
	Children []VDev `json:"children,omitempty"`
}

// A Directory is a mount that PVE manages with a systemd unit.
type Directory struct {
	Path   string `json:"path"`   // "/mnt/pve/media-pool"
	Device string `json:"device"` // "/dev/disk/by-uuid/..."
	Type   string `json:"type"`   // "ext4"
}

// A Storage is an entry of storage.cfg with its content.
type Storage struct {
	Name     string `json:"name"`
	Type     string `json:"type"`    // "lvmthin", "dir", "zfspool", ...
	Content  string `json:"content"` // "images,rootdir"
	Total    int64  `json:"total"`   // bytes
	Used     int64  `json:"used"`    // bytes, including the bytes of Volumes
	Shared   bool   `json:"shared,omitempty"`
	Inactive bool   `json:"inactive,omitempty"` // the storage is enabled but not reachable
	// The field Elsewhere is set for a storage that is limited to other nodes.
	Elsewhere bool              `json:"elsewhere,omitempty"`
	Config    map[string]string `json:"config,omitempty"`  // "path", "vgname", "thinpool", "pool", "server", ...
	Volumes   []Volume          `json:"volumes,omitempty"` // ISO images, templates, snippets
}

// A Volume is a disk image or file on a [Storage].
type Volume struct {
	Name   string `json:"name"`             // as after the colon of a volume ID: "iso/windows11.iso", "vm-140-disk-0"
	Size   int64  `json:"size"`             // bytes
	VMID   int    `json:"vmid,omitempty"`   // the VM that owns the volume
	Format string `json:"format,omitempty"` // "iso", "raw", "qcow2", "snippet"
}

// A Mapping is a PCI resource mapping.
type Mapping struct {
	ID   string   `json:"id"`
	Map  []string `json:"map"` // "node=pve,path=0000:01:00,id=10de:2c05,..."
	MDev bool     `json:"mdev,omitempty"`
	// LiveMigration is set for devices that can stay attached during a live
	// migration.
	LiveMigration bool   `json:"liveMigration,omitempty"`
	Description   string `json:"description,omitempty"`
}

// A VM is a virtual machine that exists at the start. Config must name its
// disks by volume ID with a size. [New] makes the disks on their storages.
type VM struct {
	ID      int               `json:"id"`
	Config  map[string]string `json:"config"`
	Running bool              `json:"running"`
}

// A User is an account other than root@pam.
type User struct {
	ID       string `json:"id"` // "ops@pve"
	Password string `json:"password,omitempty"`
	// Privileges holds the user's privileges, by path: {"/vms": {"VM.Audit"}}.
	// An entry also applies to all paths below it, except where a longer path
	// has its own entry.
	Privileges map[string][]string `json:"privileges"`
	Tokens     []Token             `json:"tokens"`
}

// A Token is an API token. Without Privileges it may do everything that its
// user may do (privilege separation off). With Privileges it may do only the
// things that both the token and the user may do.
type Token struct {
	ID         string              `json:"id"` // "automation"
	Secret     string              `json:"secret"`
	Privileges map[string][]string `json:"privileges,omitempty"`
}

// A BackupJob is an entry of /cluster/backup.
type BackupJob struct {
	ID       string `json:"id"`
	Schedule string `json:"schedule"`
	VMIDs    string `json:"vmids"` // "140,141", or "" with All or Pool
	All      bool   `json:"all"`
	Exclude  string `json:"exclude,omitempty"` // "150", with All
	Pool     string `json:"pool,omitempty"`
	Node     string `json:"node,omitempty"` // the only node on which the job runs
	Mode     string `json:"mode"`           // "stop", "suspend" or "snapshot"
	Enabled  bool   `json:"enabled"`
	Storage  string `json:"storage"`
}

// The method "major" returns the first number of PVE's version.
func (h Host) major() int {
	major, _, _ := strings.Cut(h.Version, ".")
	return atoi(major, 9)
}

// The method "address" returns the node's IP address.
func (h Host) address() string {
	address, _, _ := strings.Cut(h.cidr(), "/")
	return address
}

// cidr returns the node's IP address with its prefix length.
func (h Host) cidr() string { return cmp.Or(h.Address, "192.168.1.10/24") }

// clone returns a copy, which the node can change without changing h.
func (h Host) clone() Host {
	h.PCI, h.Storages, h.VMs = slices.Clone(h.PCI), slices.Clone(h.Storages), slices.Clone(h.VMs)
	h.Backups, h.HA, h.Guests = slices.Clone(h.Backups), slices.Clone(h.HA), maps.Clone(h.Guests)
	h.Mappings = slices.Clone(h.Mappings)
	for i, m := range h.Mappings {
		h.Mappings[i].Map = slices.Clone(m.Map)
	}
	pools := map[string][]int{}
	for name, guests := range h.Pools {
		pools[name] = slices.Clone(guests)
	}
	h.Pools = pools
	for id, g := range h.Guests {
		g.Files = maps.Clone(g.Files)
		h.Guests[id] = g
	}
	return h
}
