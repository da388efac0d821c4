package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation/cluster"
)

var errOneNode = errors.New("there is no other node: the page or -node names one node, or the node is in no cluster")

// move moves a workstation that is off to another node of the cluster.
func (a *app) move(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	yes := set.Bool("yes", false, "do not ask")
	var opts cluster.MoveOptions
	set.Func("speed", "how much the network and the disks copy in a second, such as 110M; the plan then estimates the time", func(text string) (err error) {
		opts.Speed, err = storage.ParseSize(text)
		return err
	})
	return func(ctx context.Context) error {
		source, err := a.read()
		if err != nil {
			return err
		}
		if len(a.args) != 2 {
			return errors.New("which workstation, and to which node? homelab move NAME NODE")
		}
		to := a.args[1]
		a.args = a.args[:1]
		names, err := a.names(source.Page)
		if err != nil {
			return err
		}
		g := goal{source: source}
		if g.site, err = a.open(ctx, source.Page); err != nil {
			return err
		}
		if !g.site.isCluster() {
			return errOneNode
		}
		if g.site.all, err = g.site.cluster.Observe(ctx); err != nil { // a VM on the target may have the card, so all nodes are read
			return err
		}
		opts.Place = source.Page.Place
		if g.plan, err = g.site.moves(ctx, source.Page.Workstations[names[0]].VMID(), to, opts); err != nil {
			return err
		}
		return a.carryOut(ctx, g, *yes, "This moves the VM to the other node.", nil)
	}
}

// moves makes the plan that moves a VM.
func (s site) moves(ctx context.Context, id int, to string, opts cluster.MoveOptions) (cluster.Plan, error) {
	_, from, there := s.vm(id)
	if !there {
		return cluster.Plan{}, fmt.Errorf("VM %d does not exist: homelab apply makes it", id)
	}
	if from == to {
		return cluster.Plan{}, nil
	}
	facts, err := s.cluster.ObserveMove(ctx, id, from, to)
	if err != nil {
		return cluster.Plan{}, err
	}
	if home, _ := s.all.Node(from); slices.Contains(home.Facts.HA, id) {
		if opts.HA, err = s.cluster.ObserveHA(ctx); err != nil {
			return cluster.Plan{}, err
		}
	}
	return facts.Plan(s.all, &opts), nil
}
