package pvetest

import "time"

// A Host describes a PVE node as data: what it is made of, what is stored on
// it and who may use it. The zero value of a part means that the host has none
// of it. A Host can be written as JSON.
type Host struct {
	Name    string `json:"name"`    // of the node: "pve"
	Version string `json:"version"` // of PVE: "9.1.1"
	Release string `json:"release"` // of PVE: "9.1"
	Kernel  string `json:"kernel"`  // uname -r
	CPU     string `json:"cpu"`     // model name
	Cores   int    `json:"cores"`   // logical CPUs
	Memory  int64  `json:"memory"`  // bytes
	NoIOMMU bool   `json:"noIOMMU,omitempty"`

	PCI         []PCI         `json:"pci,omitempty"`
	Disks       []Disk        `json:"disks,omitempty"`
	Groups      []VG          `json:"groups,omitempty"`      // LVM volume groups
	ThinPools   []ThinPool    `json:"thinPools,omitempty"`   // LVM thin pools
	ZPools      []ZPool       `json:"zpools,omitempty"`      //
	Directories []Directory   `json:"directories,omitempty"` // mounts that PVE manages
	Storages    []Storage     `json:"storages,omitempty"`    //
	Bridges     []string      `json:"bridges,omitempty"`     // network bridges
	Mappings    []Mapping     `json:"mappings,omitempty"`    // PCI resource mappings
	VMs         []VM          `json:"vms,omitempty"`         // that exist at the start
	Users       []User        `json:"users,omitempty"`       // beside root@pam
	RootTokens  []Token       `json:"rootTokens,omitempty"`  // of root@pam
	Password    string        `json:"password,omitempty"`    // of root@pam; "" is "secret"
	HA          []int         `json:"ha,omitempty"`          // VMs under HA
	Backups     []BackupJob   `json:"backups,omitempty"`     //
	Guests      map[int]Guest `json:"guests,omitempty"`      // behaviour by VMID; the rest behave as the zero Guest
}

// A PCI is one PCI function of the host.
type PCI struct {
	Address                string `json:"address"`   // "0000:01:00.0"
	Class                  int    `json:"class"`     // 24 bits
	Vendor                 int    `json:"vendor"`    // 16 bits
	Device                 int    `json:"device"`    // 16 bits
	SubVendor              int    `json:"subVendor"` // 16 bits
	SubDevice              int    `json:"subDevice"` // 16 bits
	Group                  int    `json:"group"`     // IOMMU group, -1 for none
	MDev                   bool   `json:"mdev,omitempty"`
	VendorName, DeviceName string `json:",omitempty"`
}

// A Disk is a physical disk as /disks/list tells it.
type Disk struct {
	Path       string      `json:"path"` // "/dev/nvme0n1"
	Model      string      `json:"model"`
	Serial     string      `json:"serial"`
	Size       int64       `json:"size"`    // bytes
	Type       string      `json:"type"`    // "nvme", "ssd", "hdd", "usb" or "unknown"
	RPM        int         `json:"rpm"`     // 0 for SSD, -1 for unknown
	Wearout    int         `json:"wearout"` // percent of life left; -1 is N/A
	Health     string      `json:"health"`  // "PASSED", "OK", "FAILED", "UNKNOWN"
	Used       string      `json:"used"`    // "LVM", "ZFS", "partitions", "mounted", "" for nothing
	ByID       string      `json:"byID"`    // "/dev/disk/by-id/..."
	Partitions []Partition `json:"partitions,omitempty"`
}

// A Partition is a part of a [Disk].
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
	Name, VG     string
	Size         int64 // bytes
	Used         int64 // bytes
	MetadataSize int64 // bytes
	MetadataUsed int64 // bytes
}

// A ZPool is a ZFS pool. Its devices stand under the vdev that holds them:
// {"mirror-0": {"/dev/sda", "/dev/sdb"}}, {"special": ...}.
type ZPool struct {
	Name   string
	Size   int64 // bytes
	Used   int64 // bytes
	Health string
	VDevs  []VDev
}

// A VDev is a part of a [ZPool]: a disk, a mirror, a raidz, or a class such as
// "special", "cache" and "logs" with vdevs below it.
type VDev struct {
	Name     string
	Children []VDev `json:",omitempty"`
}

// A Directory is a mount that PVE manages with a systemd unit.
type Directory struct {
	Path   string // "/mnt/pve/media-pool"
	Device string // "/dev/disk/by-uuid/..."
	Type   string // "ext4"
}

// A Storage is an entry of storage.cfg and what it holds.
type Storage struct {
	Name     string
	Type     string            // "lvmthin", "dir", "zfspool", ...
	Content  string            // "images,rootdir"
	Total    int64             // bytes
	Used     int64             // bytes, of the volumes below and of others
	Shared   bool              `json:",omitempty"`
	Inactive bool              `json:",omitempty"` // enabled, but not reachable
	Config   map[string]string `json:",omitempty"` // "path", "vgname", "thinpool", "pool", "server", ...
	Volumes  []Volume          `json:",omitempty"` // ISO images, templates, snippets
}

// A Volume is something that lies on a [Storage].
type Volume struct {
	Name   string // as after the colon of a volume ID: "iso/windows11.iso", "vm-140-disk-0"
	Size   int64  // bytes
	VMID   int    `json:",omitempty"` // its owner
	Format string `json:",omitempty"` // "iso", "raw", "qcow2", "snippet"
}

// A Mapping is a PCI resource mapping.
type Mapping struct {
	ID   string
	Map  []string // "node=pve,path=0000:01:00,id=10de:2c05,..."
	MDev bool     `json:",omitempty"`
}

// A VM is a virtual machine that exists at the start. Its disks must be named
// in Config by volume ID with a size; they are made on their storage.
type VM struct {
	ID      int
	Config  map[string]string
	Running bool
}

// A User is an account other than root@pam.
type User struct {
	ID       string // "ops@pve"
	Password string `json:",omitempty"`
	// Privileges holds what the user may do, by path: {"/vms": {"VM.Audit"}}.
	// They hold for everything below the path too.
	Privileges map[string][]string
	Tokens     []Token
}

// A Token is an API token. Without Privileges it may do what its user may
// (privilege separation off).
type Token struct {
	ID         string // "automation"
	Secret     string
	Privileges map[string][]string `json:",omitempty"`
}

// A BackupJob is an entry of /cluster/backup.
type BackupJob struct {
	ID       string
	Schedule string
	VMIDs    string // "140,141", or "" with All
	All      bool
	Mode     string // "stop", "suspend" or "snapshot"
	Enabled  bool
	Storage  string
}

// A Guest says how the system inside a VM behaves. The zero Guest boots in ten
// seconds, answers to its agent if one is configured, and shuts down in five
// seconds when asked.
type Guest struct {
	// Boot is the time from power-on until the agent answers; 0 is ten seconds.
	Boot time.Duration
	// Shutdown is the time from a request until the VM is off; 0 is five seconds.
	Shutdown time.Duration
	// NoAgent is set for a guest in which no agent runs.
	NoAgent bool
	// IgnoreACPI is set for a guest that does nothing on a power button.
	IgnoreACPI bool
	// Hang is set for a guest that starts to shut down and never ends.
	Hang bool
	// OS is what guest-get-osinfo answers; nil has a Linux.
	OS map[string]string
	// Addresses are the guest's IP addresses with prefix length.
	Addresses []string
	// Files are the files in the guest, by path.
	Files map[string][]byte
	// Exec runs a command in the guest; nil knows "true" and "false" only.
	Exec func(argv []string, input []byte) Result `json:"-"`
	// Panic is set for a guest that powers off as soon as it has booted.
	Panic bool
}

// A Result is what a command in a guest left.
type Result struct {
	Code   int
	Stdout []byte
	Stderr []byte
	// After is how long the command runs.
	After time.Duration
}
