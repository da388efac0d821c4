package iommu

import (
	"io/fs"
	"path"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// Network holds the network interfaces and their configuration.
type Network struct {
	// Interfaces holds the interfaces of /sys/class/net.
	Interfaces []Interface `json:"interfaces,omitempty"`
	// Config holds /etc/network/interfaces and the files of interfaces.d that
	// it includes.
	Config []HostFile `json:"config,omitempty"`
}

// An Interface is a network interface.
type Interface struct {
	Name string `json:"name"`
	// Address is the address of the PCI function. It is nil for an interface
	// that is virtual or on another bus.
	Address *Address `json:"address,omitempty"`
	MAC     string   `json:"mac,omitempty"`    // the file address in /sys/class/net/NAME
	Master  string   `json:"master,omitempty"` // the bridge or bond of which it is a port
	// Names holds the other names that udev knows for the interface
	// (ID_NET_NAME_PATH and the like in /run/udev/data). Newer systems accept
	// these names too.
	Names []string `json:"names,omitempty"`
}

// The method "network" reads the interfaces and /etc/network/interfaces.
func (r *reader) network() {
	names, _ := sysfs.Names(r.Sys, "class/net") // if the files are missing, networkUses reports that
	for _, name := range names {
		dir := "class/net/" + name
		link := Interface{Name: name}
		if address, ok := pciOf(r.Sys, dir+"/device"); ok {
			link.Address = &address
		}
		link.MAC, _, _ = sysfs.Optional(r.Sys, dir+"/address")
		if master, err := sysfs.Real(r.Sys, dir+"/master"); err == nil {
			link.Master = path.Base(master)
		}
		if index, ok, _ := sysfs.Optional(r.Sys, dir+"/ifindex"); ok {
			link.Names = r.udevNames(index)
		}
		r.Network.Interfaces = append(r.Network.Interfaces, link)
	}
	r.Network.Config = r.configuration(r.Etc, "etc/", "network/interfaces", "network/interfaces.d/*")
}

// udevNames returns the names that udev knows for the interface with an index.
func (r *reader) udevNames(index string) []string {
	data, _ := fs.ReadFile(r.Run, "udev/data/n"+index)
	var names []string
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.HasPrefix(key, "E:ID_NET_NAME") {
			names = append(names, value)
		}
	}
	return names
}
