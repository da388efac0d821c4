package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A vm is the state of a virtual machine in the node.
type vm struct {
	id      int
	config  map[string]string // the current configuration
	pending map[string]string // changed values for the next start
	drop    map[string]bool   // keys to delete at the next start; if true, the disk is destroyed
	snaps   []snapshot

	running  bool
	paused   bool
	asleep   bool // whether the guest put itself to sleep
	waiting  bool // QEMU runs for a backup, but the guest has not started (prelaunch)
	closing  bool // the guest is shutting down
	reboot   bool // the VM starts again once it is off
	frozen   bool // the guest's file systems are frozen
	pid      int
	memory   int64 // memory of the VM's process, in bytes
	started  time.Time
	answers  time.Time // time from which the agent answers, if the guest has an agent
	devices  []PCI     // PCI functions of the VM's process
	commands map[int]*command
}

func newVM(id int) *vm {
	return &vm{id: id, config: map[string]string{}, pending: map[string]string{}, drop: map[string]bool{}}
}

// The method "next" returns the configuration that the VM would have after a
// start now.
func (v *vm) next() map[string]string {
	config := maps.Clone(v.config)
	for key := range v.drop {
		delete(config, key)
	}
	maps.Copy(config, v.pending)
	return config
}

// The method "digest" returns the SHA-1 of the configuration file, including
// its pending part.
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

// qmpStatus returns the guest's state in QEMU's words.
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

// A command is a command that was started in a guest. It runs or has finished.
type command struct {
	result Result
	done   time.Time
}

// A snapshot is a snapshot of a VM. It contains the VM's configuration at that
// time.
type snapshot struct {
	name, description string
	taken             time.Time
	ram               bool
	config            map[string]string
}

// The function "locked" returns PVE's refusal of a change if the VM's
// configuration has the key "lock".
func locked(v *vm) error {
	if lock := v.config["lock"]; lock != "" {
		return refuse("VM is locked (%s)", lock)
	}
	return nil
}

// cleanPending removes pending changes that would have no effect
// (cleanup_pending of pve-guest-common PVE/AbstractConfig.pm).
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
