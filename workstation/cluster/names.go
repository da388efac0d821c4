package cluster

import "context"

// Names returns the names of the cluster's nodes in order: first the nodes that
// are online, then the nodes that are away. It makes one request, which needs
// no privilege.
func (c *Cluster) Names(ctx context.Context) (online, away []string, err error) {
	err = c.anywhere(ctx, func(ctx context.Context) error {
		members, err := c.pve.MembersSeen(ctx)
		online, away = nil, nil
		for _, m := range members {
			if m.Online {
				online = append(online, m.Name)
			} else {
				away = append(away, m.Name)
			}
		}
		return err
	})
	return online, away, err
}
