package cluster

import (
	"errors"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/workstation"
)

// Facts holds the observed state of a cluster.
type Facts struct {
	// Name is the cluster's name. It is empty for a node that is in no cluster,
	// and if the login lacks Sys.Audit on /.
	Name string
	// Quorate says whether the node that answered sees a majority of the votes.
	// Without a quorum, PVE refuses every change of a configuration and every
	// start. QuorateSeen is the evidence.
	Quorate     proxstation.Answer
	QuorateSeen string
	// Nodes holds all nodes of the cluster, by name.
	Nodes []NodeFacts
	// Guests holds the VMs and containers that the login may see, by VMID,
	// including the guests of nodes that are away.
	Guests []Guest
	// Findings judge the cluster as a whole. Each node has its own findings.
	Findings []proxstation.Finding
}

// Node returns the facts of one node. ok is false if the cluster has no node of
// this name.
func (f Facts) Node(name string) (node NodeFacts, ok bool) {
	i := slices.IndexFunc(f.Nodes, func(n NodeFacts) bool { return n.Name == name })
	if i < 0 {
		return NodeFacts{}, false
	}
	return f.Nodes[i], true
}

// NodeFacts holds the observed state of one node of a cluster.
type NodeFacts struct {
	Name string
	// Address is the IP address by which the other nodes know the node. It is
	// empty if the login lacks Sys.Audit on /.
	Address string
	State   State
	// Facts is the result of [workstation.Node.Observe] for the node. It is
	// zero unless the State is Online or Forbidden. In the State Forbidden most
	// parts are missing, and Facts.Unknown names them.
	Facts workstation.Facts
	// Err is the reason why the Facts could not be read, or nil.
	Err error
	// Findings reports why the node could not be read. It also reports a node
	// that runs another version of PVE than other nodes.
	Findings []proxstation.Finding
}

// A Guest is a VM or a container of the cluster.
type Guest struct {
	VMID      int
	Name      string
	Node      string // the node that holds the guest's configuration
	Container bool
	// Running is unknown for the guests of nodes that are away: such a node may
	// still run them, although the other nodes do not see it.
	Running proxstation.Answer
	Pool    string // its resource pool; "" if it is in no pool, or the login lacks Pool.Audit
}

// A State says whether a node could be observed.
type State uint8

// The states of a node.
const (
	Unread    State = iota // the node answers, but an error kept its facts from being read
	Online                 // the facts were read
	Forbidden              // the login lacks Sys.Audit on the node
	Slow                   // the node did not answer in time
	Away                   // the other nodes do not reach the node
)

var states = []string{"unread", "online", "forbidden", "slow", "away"}

// ErrState reports a text that is not the name of a [State].
var ErrState = errors.New("cluster: unknown state of a node")

// String returns "unread", "online", "forbidden", "slow" or "away".
func (s State) String() string { return enum.Name(states, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrState].
func (s *State) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, states, string(text), ErrState)
}
