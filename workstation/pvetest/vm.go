package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A vm is a virtual machine as the node keeps it.
type vm struct {
	id      int
	config  map[string]string // in force
	pending map[string]string // will be in force at the next start
	drop    map[string]bool   // keys that will be gone then; true destroys the disk
	snaps   []snapshot

	running  bool
	paused   bool
	asleep   bool // paused by the guest itself
	waiting  bool // paused since QEMU started, for a backup: prelaunch
	closing  bool // the guest is shutting down
	reboot   bool // it is to start again when it is off
	frozen   bool // the guest's file systems are
	pid      int
	memory   int64 // bytes that its process has
	started  time.Time
	answers  time.Time // when the agent answers, if it ever does
	devices  []PCI     // that its process has
	commands map[int]*command
}

func newVM(id int) *vm {
	return &vm{id: id, config: map[string]string{}, pending: map[string]string{}, drop: map[string]bool{}}
}

// next returns the configuration with which the VM would start.
func (v *vm) next() map[string]string {
	config := maps.Clone(v.config)
	for key := range v.drop {
		delete(config, key)
	}
	maps.Copy(config, v.pending)
	return config
}

// digest is the SHA-1 of the configuration file, pending part included.
func (v *vm) digest() string {
	var file strings.Builder
	for _, section := range []map[string]string{v.config, v.pending} {
		for _, key := range slices.Sorted(maps.Keys(section)) {
			fmt.Fprintf(&file, "%s: %s\n", key, section[key])
		}
		file.WriteString("[PENDING]\n")
	}
	fmt.Fprintf(&file, "delete: %s\n", strings.Join(slices.Sorted(maps.Keys(v.drop)), ","))
	return fmt.Sprintf("%x", sha1.Sum([]byte(file.String())))
}

func (v *vm) name() string {
	if name := v.config["name"]; name != "" {
		return name
	}
	return fmt.Sprintf("VM %d", v.id)
}

// qmpStatus is QEMU's report of the guest's state, if QEMU runs.
func (v *vm) qmpStatus() string {
	switch {
	case !v.running:
		return "stopped"
	case v.waiting:
		return "prelaunch"
	case v.asleep:
		return "suspended"
	case v.paused:
		return "paused"
	}
	return "running"
}

func (v *vm) bootDisk() string {
	for device := range strings.SplitSeq(strings.TrimPrefix(v.config["boot"], "order="), ";") {
		if isDrive(device) && property(v.config[device], "media") != "cdrom" {
			return device
		}
	}
	return ""
}

// A command is a command that runs or ran in a guest.
type command struct {
	result Result
	done   time.Time
}

// A snapshot holds a VM's state at a moment.
type snapshot struct {
	name, description string
	taken             time.Time
	ram               bool
	config            map[string]string
}

// locked refuses a change of a VM while the key "lock" is set.
func locked(v *vm) error {
	if lock := v.config["lock"]; lock != "" {
		return refuse("VM is locked (%s)", lock)
	}
	return nil
}

// cleanPending forgets changes that would change nothing (cleanup_pending of
// pve-guest-common PVE/AbstractConfig.pm).
func (v *vm) cleanPending() {
	for key, value := range v.pending {
		if v.config[key] == value {
			delete(v.pending, key)
		}
	}
	for key := range v.drop {
		if _, there := v.config[key]; !there {
			delete(v.drop, key)
		}
	}
}
