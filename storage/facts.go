package storage

import "github.com/proxstation/proxstation"

// Facts holds the known facts about a machine's storage. They were read on the
// machine itself or over PVE's API.
type Facts struct {
	Disks     []Disk        `json:"disks"`
	Storages  []Storage     `json:"storages"`
	Groups    []VolumeGroup `json:"groups,omitempty"`
	ThinPools []ThinPool    `json:"thinPools,omitempty"`
	ZPools    []ZPool       `json:"zpools,omitempty"`
	Mounts    []Mount       `json:"mounts,omitempty"`
	// Unknown names the facts that could not be read, and says why.
	Unknown []proxstation.Finding `json:"unknown,omitempty"`
}

// A Storage is an entry of PVE's storage configuration (/etc/pve/storage.cfg;
// PVE manual, Storage).
type Storage struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`              // "lvmthin", "dir", "zfspool" ...
	Content []string `json:"content,omitempty"` // "images", "iso", "backup", "import", "snippets", "rootdir", "vztmpl"
	Shared  bool     `json:"shared,omitempty"`
	// Active says whether the node reaches the storage. Storages that are
	// disabled, or limited to other nodes, are not in the list.
	Active bool `json:"active"`
	// Total, Used and Available are in bytes. They are 0 if they are not known.
	Total     Size `json:"total"`
	Used      Size `json:"used"`
	Available Size `json:"available"`
	// Committed is the sum of the sizes of all volumes, whether or not their
	// data has been written. It is nil if it is not known, for example because
	// the login may not see all volumes.
	Committed *Size `json:"committed,omitempty"`

	// Volumes holds the disk images on the storage. It is nil if the images
	// were not listed.
	Volumes []Volume `json:"volumes,omitempty"`
	// Images holds the images from which a guest can be installed or imported.
	// It is nil if the images were not listed.
	Images []Volume `json:"images,omitempty"`

	// Nodes lists the nodes that may use the storage. nil means all nodes. A
	// single node's API lists only the storages of this node.
	Nodes []string `json:"nodes,omitempty"`
	// MountPoint is the directory that must be mounted before PVE uses the
	// storage (is_mountpoint). It is empty if the storage has no such
	// condition.
	MountPoint string `json:"mountPoint,omitempty"`

	Path     string `json:"path,omitempty"`     // for dir and btrfs
	Group    string `json:"group,omitempty"`    // for lvm and lvmthin
	ThinPool string `json:"thinPool,omitempty"` // for lvmthin
	ZPool    string `json:"zpool,omitempty"`    // for zfspool: the pool or a dataset in it
	Server   string `json:"server,omitempty"`   // for network storages
	// Sparse says whether a storage of the type zfspool reserves no space for
	// its volumes.
	Sparse bool `json:"sparse,omitempty"`
}

// A Volume is a disk image on a storage.
type Volume struct {
	ID   string `json:"id"`             // "local-lvm:vm-140-disk-0"
	Size Size   `json:"size"`           // the size that the guest sees, whether or not the data has been written
	VMID int    `json:"vmid,omitempty"` // the VM that owns the volume; 0 if it is not known
}

// A VolumeGroup is an LVM volume group.
type VolumeGroup struct {
	Name    string   `json:"name"`
	Size    Size     `json:"size"`
	Free    Size     `json:"free"`
	Devices []string `json:"devices"` // its physical volumes
}

// A ThinPool is an LVM thin pool. When its data or its metadata is full, every
// volume in the pool stops (lvmthin(7)).
type ThinPool struct {
	Name         string `json:"name"`
	Group        string `json:"group"`
	Size         Size   `json:"size"`
	Used         Size   `json:"used"`
	MetadataSize Size   `json:"metadataSize"`
	MetadataUsed Size   `json:"metadataUsed"`
}

// A ZPool is a ZFS pool.
type ZPool struct {
	Name    string    `json:"name"`
	Health  string    `json:"health,omitempty"` // "ONLINE", "DEGRADED" ...
	Devices []ZDevice `json:"devices"`
}

// A ZDevice is a device of a [ZPool].
type ZDevice struct {
	Path string `json:"path"`
	// Role is "data", or the class of a device that holds no data of its own:
	// "special", "cache", "logs", "spares", "dedup" (zpoolconcepts(7)).
	Role string `json:"role"`
}

// A Mount is a mounted file system.
type Mount struct {
	Path    string   `json:"path"`
	Devices []string `json:"devices"` // several devices for Btrfs; empty without a block device
	Type    string   `json:"type"`    // "ext4", "xfs", "btrfs" ...
	// The field How says in which way Devices was found: "by its type and
	// size". It is empty if the mount itself names its devices.
	How string `json:"how,omitempty"`
}
