package pve

import (
	"context"
	"slices"
	"strings"
)

// A Membership describes a cluster as one of its nodes sees it.
type Membership struct {
	// Cluster is the cluster's name. It is empty for a node that is in no
	// cluster.
	Cluster string
	// Quorate says whether the node sees a majority of the votes. A node that
	// is in no cluster is quorate.
	Quorate bool
	Members []Member // sorted by name
}

// A Member is a node of a cluster.
type Member struct {
	Name    string
	Address string // IP address, empty if it is not known
	Online  bool   // corosync sees the node
	Local   bool   // the node answered the request
}

// Membership returns the cluster as the node that the client reaches sees it
// (pve-manager PVE/API2/Cluster.pm, get_status). It needs Sys.Audit on /.
func (c *Client) Membership(ctx context.Context) (Membership, error) {
	var entries []struct {
		Type, Name, IP         string
		Quorate, Online, Local flag
	}
	const path = "/cluster/status"
	if err := c.request(ctx, "GET", path, nil, &entries); err != nil {
		return Membership{}, err
	}
	m := Membership{Quorate: true}
	for _, e := range entries {
		switch e.Type {
		case "cluster":
			m.Cluster, m.Quorate = e.Name, bool(e.Quorate)
		case "node":
			m.Members = append(m.Members, Member{Name: e.Name, Address: e.IP, Online: bool(e.Online), Local: bool(e.Local)})
		}
	}
	if len(m.Members) == 0 {
		return Membership{}, c.unusable("GET", path, "it names no node")
	}
	slices.SortFunc(m.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}

// MembersSeen returns the members without their addresses. Every login may see
// these facts (pve-manager PVE/API2/Nodes.pm, index).
func (c *Client) MembersSeen(ctx context.Context) ([]Member, error) {
	var entries []struct{ Node, Status string }
	if err := c.request(ctx, "GET", "/nodes", nil, &entries); err != nil {
		return nil, err
	}
	var members []Member
	for _, e := range entries {
		members = append(members, Member{Name: e.Node, Online: e.Status != "offline"})
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return members, nil
}
