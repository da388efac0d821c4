package qmconf

import (
	"slices"

	"github.com/proxstation/proxstation/gpu"
)

// Claim returns the PCI devices that a VM with this configuration takes,
// including the devices named in args.
func Claim(vmid int, config map[string]string) gpu.Claim {
	claim := gpu.Claim{VMID: vmid, OnBoot: config["onboot"] == "1"}
	var keys []string
	for key := range config {
		if Family(key) == "hostpci" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if h, err := gpu.ParseHostPCI(config[key]); err == nil {
			claim.Values, claim.Keys = append(claim.Values, h), append(claim.Keys, key)
		} else {
			claim.Unread = append(claim.Unread, key+": "+config[key])
		}
	}
	var unread []string
	claim.ByArgs, unread = ArgDevices(config["args"])
	claim.Unread, claim.UUID = append(claim.Unread, unread...), ArgUUID(config["args"])
	return claim
}
