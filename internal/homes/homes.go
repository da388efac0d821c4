// Package homes finds the VMs of a cluster. It remembers on which node each VM
// was seen last, and asks that node.
package homes

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/proxstation/proxstation/internal/pve"
)

// A VMs finds the node of each VM of a cluster and sends requests there. PVE
// and its HA manager move VMs, so a VM may be on another node than before.
type VMs struct {
	client *pve.Client
	name   string // the node that is asked about a VM that was not seen yet
	*memory
}

// A memory is shared by all nodes that are reached through one address.
type memory struct {
	mu   sync.Mutex
	node map[int]string
	// many says that the cluster has several nodes. away holds the nodes that
	// the cluster has lost sight of, each with the evidence.
	many bool
	away map[string]string
}

// New returns the VMs that are reached through the client of a node.
func New(client *pve.Client, node string) VMs { return VMs{client, node, &memory{}} }

// For returns the same VMs, reached through the client of another node.
func (v VMs) For(client *pve.Client, node string) VMs { return VMs{client, node, v.memory} }

// See stores what the cluster reported.
func (h *memory) See(r pve.Resources) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.many, h.away = len(r.Nodes) > 1, Away(r.Nodes)
	if h.node == nil {
		h.node = map[int]string{}
	}
	for _, g := range r.Guests {
		if !g.Container && g.Node != "" {
			h.node[g.VMID] = g.Node
		}
	}
}

// Away returns the nodes that corosync does not see, each with the
// evidence. A node that corosync sees is not away, even if it has not reported
// its state lately.
func Away(nodes []pve.SeenNode) map[string]string {
	away := map[string]string{}
	for _, node := range nodes {
		if node.Status == "offline" {
			away[node.Name] = "/cluster/resources: node " + node.Name + " is offline"
		}
	}
	return away
}

// Lost returns the nodes that are away, each with the evidence.
func (h *memory) Lost() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.away)
}

// Home returns the node on which a VM was seen last. A VM that was not seen yet
// is looked for on this node.
func (v VMs) Home(id int) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if node, seen := v.node[id]; seen {
		return node
	}
	return v.name
}

// homesOf returns the nodes of the VMs, each once.
func (v VMs) homesOf(ids []int) []string {
	var nodes []string
	for _, id := range ids {
		if home := v.Home(id); !slices.Contains(nodes, home) {
			nodes = append(nodes, home)
		}
	}
	return nodes
}

// Clustered reports whether the cluster is known to have several nodes.
func (v VMs) Clustered() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.many
}

// IsAway reports whether the node of a VM is away.
func (v VMs) IsAway(id int) bool {
	home := v.Home(id)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.away[home] != ""
}

// Look asks the cluster where the VMs are, and which nodes are away. The node
// that is asked answers from its own memory, so other nodes cannot delay the
// answer.
func (v VMs) Look(ctx context.Context) error {
	r, err := v.client.Resources(ctx)
	if err == nil {
		v.See(r)
	}
	return err
}

// On returns the client for the node of a VM.
func (v VMs) On(id int) *pve.Client { return v.client.On(v.Home(id)) }

// At makes a request to the node of a VM. If that node does not have the VM,
// the request had no effect. At then asks the cluster where the VM is, and
// repeats the request there. If the node of the VM does not answer, At also
// asks the cluster, so that the next request reaches the right node.
func At[T any](ctx context.Context, v VMs, id int, ask func(*pve.Client) (T, error)) (T, error) {
	home := v.Home(id)
	answer, err := ask(v.client.On(home))
	missing := errors.Is(err, pve.ErrNotFound)
	if !missing && !(v.Clustered() && errors.Is(err, pve.ErrNoAnswer)) || v.Look(ctx) != nil {
		return answer, err
	}
	if now := v.Home(id); missing && now != home {
		return ask(v.client.On(now))
	}
	return answer, err
}

// Status reads the state of a VM on its node.
func (v VMs) Status(ctx context.Context, id int) (pve.VMStatus, error) {
	return At(ctx, v, id, func(c *pve.Client) (pve.VMStatus, error) { return c.Status(ctx, id) })
}

// Config reads the configuration of a VM on its node.
func (v VMs) Config(ctx context.Context, id int) (pve.Config, error) {
	return At(ctx, v, id, func(c *pve.Client) (pve.Config, error) { return c.Config(ctx, id) })
}

// Tasks reads the tasks that are at work on a VM.
func (v VMs) Tasks(ctx context.Context, id int) ([]pve.Task, error) {
	return At(ctx, v, id, func(c *pve.Client) ([]pve.Task, error) { return c.RunningTasks(ctx, id) })
}

// SetConfig changes the configuration of a VM on its node.
func (v VMs) SetConfig(ctx context.Context, id int, change pve.Change) error {
	_, err := At(ctx, v, id, func(c *pve.Client) (struct{}, error) { return struct{}{}, c.SetConfig(ctx, id, change) })
	return err
}

// Running returns those of the given VMs that run. It does not ask the nodes in
// off. If it returns an error, it also returns the VMs that are known to run.
func (v VMs) Running(ctx context.Context, ids []int, off []string) (running []pve.VMStatus, err error) {
	asked := map[string]bool{}
	seen := map[int]bool{}
	ask := func() {
		for _, home := range v.homesOf(ids) {
			if asked[home] || slices.Contains(off, home) {
				continue
			}
			asked[home] = true
			list, listErr := v.client.On(home).VMs(ctx)
			err = cmp.Or(err, listErr)
			for _, vm := range list {
				seen[vm.VMID] = true
				if vm.Running && slices.Contains(ids, vm.VMID) {
					running = append(running, vm)
				}
			}
		}
	}
	ask()
	elsewhere := func(id int) bool { return !seen[id] }
	if (err == nil || errors.Is(err, pve.ErrNoAnswer)) && slices.ContainsFunc(ids, elsewhere) && v.Look(ctx) == nil {
		ask()
	}
	return running, err
}
