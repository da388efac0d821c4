// Package cluster observes the nodes of a Proxmox VE cluster together.
//
// PVE itself is the distributed system: corosync decides which nodes have a
// quorum, pmxcfs keeps one configuration for all nodes, and every node passes
// each request on to the node that the request is about. This package relies on
// PVE for this and adds no daemon, no database and no consensus of its own.
//
// [Connect] reaches a cluster by one or more addresses, and [Open] with a
// client of the caller. [Cluster.Observe] reads the facts of all nodes at the
// same time. If a node is away, slow, without rights or of another version, the
// facts say so, and the facts of the other nodes can be used. A node that is in
// no cluster is a cluster of one node. [Cluster.ObserveFor] reads only what the
// plan for one [Spec] needs, which saves most requests of a large cluster.
//
// [Diff] compares a [Spec] with the facts. It places workstations by their
// needs, corrects the resource mappings of their cards on all nodes, and says
// which images have to be brought to a node. VMs that exist stay on their node.
// [Cluster.Apply] makes the changes. To move a VM that is off,
// [Cluster.ObserveMove] asks PVE what prevents the move, and [MoveFacts.Plan]
// says how long the move takes.
//
// [Cluster.ObserveHA] reads high availability. [HA.Judge] and [HA.Recovery]
// judge beforehand what happens when a node is lost, and [DiffHA] plans
// changes.
package cluster
