package pve

import "context"

// Bridges returns the names of the bridges and vnets that the login may give to
// a VM. PVE leaves out all others (pve-manager PVE/API2/Network.pm). The
// request needs no privilege.
func (c *Client) Bridges(ctx context.Context) ([]string, error) {
	var entries []struct {
		Name string `json:"iface"`
	}
	if err := c.get(ctx, c.here("/network?type=any_bridge"), nil, &entries); err != nil {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}

// CPUModels returns the CPU models that a VM can have. Models that the cluster
// defines have "custom-" in front (qemu-server PVE/API2/Qemu/CPU.pm). The
// request needs no privilege. If the login lacks Sys.Audit on /nodes, PVE
// leaves out the custom models. In a cluster, the node that the client reaches
// answers for all nodes: PVE does not pass the request on.
func (c *Client) CPUModels(ctx context.Context) ([]string, error) {
	var entries []struct {
		Name string `json:"name"`
	}
	if err := c.getAlike(ctx, "CPU models", c.here("/capabilities/qemu/cpu"), nil, &entries); err != nil {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names, nil
}
