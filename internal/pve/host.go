package pve

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// A NodeStatus is a node's report about itself.
type NodeStatus struct {
	CPU     string // the model name
	Cores   int    // the number of logical CPUs
	Kernel  string // uname -r
	Version string // the version of PVE, such as "9.1.1"
	// MemoryAvailable is the total memory minus the used memory. PVE counts
	// memory as used unless the kernel reports it as available. PVE's value
	// "free" leaves out the page cache, and its value "available" only exists
	// since PVE 9 (pve-common PVE/ProcFSTools.pm).
	MemoryTotal, MemoryAvailable storage.Size
}

// NodeStatus returns the node's state. It needs Sys.Audit on the node.
func (c *Client) NodeStatus(ctx context.Context) (NodeStatus, error) {
	var s struct {
		Kernel struct {
			Release string `json:"release"`
		} `json:"current-kernel"`
		CPU struct {
			Model string `json:"model"`
			CPUs  number `json:"cpus"`
		} `json:"cpuinfo"`
		Memory struct {
			Total, Used number
		} `json:"memory"`
		Manager string `json:"pveversion"` // "pve-manager/9.1.1/42db4a6cf33dac83"
	}
	err := c.get(ctx, c.here("/status"), nil, &s)
	_, version, _ := strings.Cut(s.Manager, "/")
	version, _, _ = strings.Cut(version, "/")
	status := NodeStatus{Version: version, CPU: s.CPU.Model, Cores: int(s.CPU.CPUs.value), Kernel: s.Kernel.Release}
	if s.Memory.Total.known && s.Memory.Used.known {
		status.MemoryTotal, status.MemoryAvailable = storage.Size(s.Memory.Total.value), storage.Size(s.Memory.Total.value-s.Memory.Used.value)
	}
	return status, err
}

// Nodes returns the names of the cluster's nodes, in order.
func (c *Client) Nodes(ctx context.Context) ([]string, error) {
	var entries []struct{ Node string }
	if err := c.get(ctx, "/nodes", nil, &entries); err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Node)
	}
	slices.Sort(names)
	return names, nil
}

// Permissions holds the caller's privileges by path, as PVE computed them. The
// value of a privilege says whether the privilege also holds below the path. If
// a path is not listed, it has the privileges that the nearest listed path
// above it passes on.
type Permissions map[string]map[string]flag

// Permissions returns the caller's privileges.
func (c *Client) Permissions(ctx context.Context) (Permissions, error) {
	permissions := Permissions{}
	return permissions, c.get(ctx, "/access/permissions", nil, &permissions)
}

// Allows reports whether the caller has a privilege on a path.
func (p Permissions) Allows(path, privilege string) bool {
	if privileges, there := p[path]; there {
		_, has := privileges[privilege]
		return has
	}
	for path != "/" && path != "" {
		path = cmp.Or(path[:strings.LastIndex(path, "/")], "/")
		privileges, there := p[path]
		if there && (len(privileges) == 0 || slices.Contains(slices.Collect(maps.Values(privileges)), true)) {
			return bool(privileges[privilege])
		}
	}
	return false
}

// Grants reports whether the login has a privilege on a path. If the name is
// "A|B", one of the two privileges is enough. A bridge may be a virtual
// network. Only PVE knows the zone of such a network, so a privilege on the
// network counts in any zone.
func (p Permissions) Grants(path, name string) bool {
	vnet, local := strings.CutPrefix(path, "/sdn/zones/localnetwork/")
	for one := range strings.SplitSeq(name, "|") {
		if p.Allows(path, one) {
			return true
		}
		for other := range p {
			rest, inZone := strings.CutPrefix(other, "/sdn/zones/")
			if zone, _, _ := strings.Cut(rest, "/"); local && inZone && p.Allows("/sdn/zones/"+zone+"/"+vnet, one) {
				return true
			}
		}
	}
	return false
}

// PCI returns the PCI functions of the node, including bridges. Facts that only
// the host can read, such as drivers and reset methods, are absent. It needs
// Sys.Audit or Sys.Modify on /.
func (c *Client) PCI(ctx context.Context) ([]iommu.Function, error) {
	var entries []struct {
		ID              string `json:"id"`
		Class           string `json:"class"`
		Vendor          text   `json:"vendor"`
		Device          text   `json:"device"`
		SubsystemVendor text   `json:"subsystem_vendor"`
		SubsystemDevice text   `json:"subsystem_device"`
		VendorName      string `json:"vendor_name"`
		DeviceName      string `json:"device_name"`
		IOMMUGroup      number `json:"iommugroup"`
		MDev            flag   `json:"mdev"`
	}
	// The parameter is empty, so that PVE lists all functions. Without the
	// parameter, PVE leaves out bridges and memory.
	path := c.here("/hardware/pci")
	if err := c.get(ctx, path, url.Values{"pci-class-blacklist": {""}}, &entries); err != nil {
		return nil, err
	}
	var functions []iommu.Function
	for _, e := range entries {
		address, err := iommu.ParseAddress(e.ID)
		if err != nil { // a device without a valid address cannot be given to a VM
			c.odd(ctx, http.MethodGet, path, fmt.Sprintf("id %q: not a PCI address", e.ID))
			continue
		}
		f := iommu.Function{Address: address, Name: strings.TrimSpace(e.VendorName + " " + e.DeviceName), MDev: proxstation.AnswerOf(bool(e.MDev))}
		_ = f.Class.UnmarshalText([]byte(strings.TrimPrefix(e.Class, "0x"))) // 0 if the class is missing
		for id, s := range map[*iommu.ID]text{&f.Model.Vendor: e.Vendor, &f.Model.Device: e.Device,
			&f.Subsystem.Vendor: e.SubsystemVendor, &f.Subsystem.Device: e.SubsystemDevice} {
			*id, _ = iommu.ParseID(string(s)) // 0 if the number is missing
		}
		if e.IOMMUGroup.known && e.IOMMUGroup.value >= 0 {
			f.Group = iommu.Group(int(e.IOMMUGroup.value))
		}
		functions = append(functions, f)
	}
	slices.SortFunc(functions, func(a, b iommu.Function) int { return a.Address.Compare(b.Address) })
	return functions, nil
}

// Mappings returns the cluster's PCI resource mappings that the caller may see.
// Entries that cannot be read are kept as text, in Unread.
func (c *Client) Mappings(ctx context.Context) ([]gpu.Mapping, error) {
	var entries []struct {
		ID          string `json:"id"`
		Map         []text `json:"map"`
		Digest      string `json:"digest"`
		Description text   `json:"description"`
		MDev        flag   `json:"mdev"`
		Migrates    flag   `json:"live-migration-capable"`
	}
	if err := c.get(ctx, "/cluster/mapping/pci", nil, &entries); err != nil {
		return nil, err
	}
	var mappings []gpu.Mapping
	for _, e := range entries {
		m := gpu.Mapping{ID: e.ID, Digest: e.Digest, Description: string(e.Description), MDev: bool(e.MDev), LiveMigration: bool(e.Migrates)}
		for _, line := range e.Map {
			entry, err := gpu.ParseMappingEntry(string(line))
			if err != nil {
				m.Unread = append(m.Unread, string(line))
				continue
			}
			m.Entries = append(m.Entries, entry)
		}
		mappings = append(mappings, m)
	}
	return mappings, nil
}

// CreateMapping makes a PCI resource mapping. It needs Mapping.Modify on
// /mapping/pci.
func (c *Client) CreateMapping(ctx context.Context, m gpu.Mapping) error {
	params := map[string]any{"id": m.ID, "map": entries(m)}
	if m.MDev {
		params["mdev"] = 1
	}
	return c.post(ctx, "/cluster/mapping/pci", params, nil)
}

// UpdateMapping replaces the entries of a mapping. PVE refuses the change if
// the configuration has changed since the mapping's digest was read.
func (c *Client) UpdateMapping(ctx context.Context, m gpu.Mapping) error {
	params := map[string]any{"map": entries(m), "mdev": 0}
	if m.MDev {
		params["mdev"] = 1
	}
	if m.Digest != "" {
		params["digest"] = m.Digest
	}
	return c.call(ctx, "PUT", "/cluster/mapping/pci/"+url.PathEscape(m.ID), params, nil)
}

func entries(m gpu.Mapping) []string {
	var texts []string
	for _, e := range m.Entries {
		texts = append(texts, e.String())
	}
	return append(texts, m.Unread...) // PVE replaces all entries, so the unread entries must be sent too
}
