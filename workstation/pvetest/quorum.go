package pvetest

// quorate reports whether the node sees the majority of the cluster's votes. Each
// node has one vote (corosync votequorum(5), expected_votes/2 + 1).
func (n *Node) quorate() bool {
	votes := 0
	for _, other := range n.peers {
		votes += bit(n.sees(other))
	}
	return votes > len(n.peers)/2
}
