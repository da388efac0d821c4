package cluster

import (
	"context"

	"github.com/proxstation/proxstation/workstation"
)

// Names returns the names of the cluster's nodes, in order: those that are
// online, and those that are away. It makes one request, which needs no
// privilege.
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

// Changes returns the changes that are not those of a single node's plan, in
// the order in which they are made: mappings, images, moves.
func (p Plan) Changes() []workstation.StepChange { return p.changes() }
