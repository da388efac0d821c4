package workstation

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/proxstation/proxstation/internal/pve"
)

// homes remembers on which node each member was seen last. The VM is looked for
// there first, but it may be elsewhere, because PVE and its HA manager move
// VMs.
type homes struct {
	mu   sync.Mutex
	node map[int]string
	// many is true if the cluster has several nodes. away holds the nodes that
	// the cluster has lost sight of, each with the evidence.
	many bool
	away map[string]string
}

// This stores what the cluster reported.
func (h *homes) see(r pve.Resources) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.many, h.away = len(r.Nodes) > 1, awayNodes(r.Nodes)
	if h.node == nil {
		h.node = map[int]string{}
	}
	for _, g := range r.Guests {
		if !g.Container && g.Node != "" {
			h.node[g.VMID] = g.Node
		}
	}
}

// awayNodes returns the nodes that corosync does not see, each with the
// evidence. A node that corosync sees is not away, even if it has not reported
// its state lately.
func awayNodes(nodes []pve.SeenNode) map[string]string {
	away := map[string]string{}
	for _, node := range nodes {
		if node.Status == "offline" {
			away[node.Name] = "/cluster/resources: node " + node.Name + " is offline"
		}
	}
	return away
}

// This returns the nodes that are away, each with the evidence.
func (h *homes) lost() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.away)
}

// This returns the node on which a VM was seen last. A VM that was not seen yet
// is looked for on this node.
func (n *Node) home(id int) string {
	n.homes.mu.Lock()
	defer n.homes.mu.Unlock()
	if node, seen := n.homes.node[id]; seen {
		return node
	}
	return n.name
}

// homesOf returns the nodes of the VMs, each once.
func (n *Node) homesOf(ids []int) []string {
	var nodes []string
	for _, id := range ids {
		if home := n.home(id); !slices.Contains(nodes, home) {
			nodes = append(nodes, home)
		}
	}
	return nodes
}

// This reports whether the cluster is known to have several nodes.
func (n *Node) clustered() bool {
	n.homes.mu.Lock()
	defer n.homes.mu.Unlock()
	return n.homes.many
}

// awayFrom returns the evidence that a node is away. It returns "" if the node
// is not known to be away.
func (n *Node) awayFrom(node string) string {
	n.homes.mu.Lock()
	defer n.homes.mu.Unlock()
	return n.homes.away[node]
}

// isAway reports whether the node of a VM is away.
func (n *Node) isAway(id int) bool { return n.awayFrom(n.home(id)) != "" }

// look asks the cluster where the VMs are, and which nodes are away. The node
// that is asked answers from its own memory, so other nodes cannot delay the
// answer.
func (n *Node) look(ctx context.Context) error {
	r, err := n.pve.Resources(ctx)
	if err == nil {
		n.homes.see(r)
	}
	return err
}

// This returns the client for the node of a VM.
func (n *Node) on(id int) *pve.Client { return n.pve.On(n.home(id)) }

// This makes a request to the node of a VM. If that node does not have the VM,
// the request had no effect: the VM is looked for, and the request is repeated
// on the node that has it. If that node does not answer, the VM is looked for
// too, so that the next request finds it.
func at[T any](ctx context.Context, n *Node, id int, ask func(*pve.Client) (T, error)) (T, error) {
	home := n.home(id)
	answer, err := ask(n.pve.On(home))
	missing := errors.Is(err, ErrNotFound)
	if !missing && !(n.clustered() && uncertain(err)) || n.look(ctx) != nil {
		return answer, err
	}
	if now := n.home(id); missing && now != home {
		return ask(n.pve.On(now))
	}
	return answer, err
}

// status, config and tasks read a VM on its node.
func (n *Node) status(ctx context.Context, id int) (pve.VMStatus, error) {
	return at(ctx, n, id, func(c *pve.Client) (pve.VMStatus, error) { return c.Status(ctx, id) })
}

func (n *Node) config(ctx context.Context, id int) (pve.Config, error) {
	return at(ctx, n, id, func(c *pve.Client) (pve.Config, error) { return c.Config(ctx, id) })
}

func (n *Node) tasks(ctx context.Context, id int) ([]pve.Task, error) {
	return at(ctx, n, id, func(c *pve.Client) ([]pve.Task, error) { return c.RunningTasks(ctx, id) })
}

func (n *Node) setConfig(ctx context.Context, id int, change pve.Change) error {
	_, err := at(ctx, n, id, func(c *pve.Client) (struct{}, error) { return struct{}{}, c.SetConfig(ctx, id, change) })
	return err
}
