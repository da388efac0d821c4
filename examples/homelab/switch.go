package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
)

// watch prints a set each time the set changes.
func (a *app) watch(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	every := set.Duration("every", 5*time.Second, "how often the node is asked")
	return func(ctx context.Context) error {
		source, err := a.read()
		if err != nil {
			return err
		}
		if len(source.Page.DualBoot) == 0 {
			return fmt.Errorf("%s has no dualboot set to watch", a.path)
		}
		s, err := a.open(ctx, source.Page)
		if err != nil {
			return err
		}
		last := ""
		for ctx.Err() == nil {
			for _, name := range setNames(source.Page) {
				v, err := setStatus(ctx, s.node, source.Page, name)
				if err != nil && ctx.Err() == nil {
					return err
				}
				if text, _ := json.Marshal(v); err == nil && string(text) != last {
					last = string(text)
					a.printChange(v, text)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(max(*every, time.Second)):
			}
		}
		return nil
	}
}

// printChange prints the state of a set in one line.
func (a *app) printChange(v setView, text []byte) {
	if a.json {
		fmt.Fprintf(a.out, "%s\n", text)
		return
	}
	says := "nobody has the card."
	for _, m := range v.Members {
		switch {
		case m.Running && len(noCard(m.Why)) > 0:
			says = m.Name + " is running, without the card."
		case m.Running:
			says = m.Name + " has the card."
		}
	}
	a.say("%s  %s: %s %s", time.Now().Format(time.TimeOnly), v.Name, says, v.Lease)
}

// switchTo gives the card to a workstation.
func (a *app) switchTo(set *flag.FlagSet) func(context.Context) error {
	a.onPage(set)
	a.onNode(set)
	force := set.Bool("force", false, "stop a guest that does not shut down in time, as by pulling the plug")
	a.onNodeOff(set)
	takeOver := set.Bool("take-over", false, "take over the lease of another controller at once, only if you know that the controller is dead")
	return func(ctx context.Context) error {
		source, names, err := a.named()
		if err != nil {
			return err
		}
		in := source.Page.SetOf(names[0])
		if in == "" {
			return fmt.Errorf("%s takes turns with nobody: it is in no set of dualboot", names[0])
		}
		db, err := source.Page.Set(in)
		if err != nil {
			return err
		}
		s, err := a.open(ctx, source.Page)
		if err != nil {
			return err
		}
		db.Force, db.NodesOff = db.Force || *force, a.off
		if db.Owner == "" {
			host, _ := os.Hostname() // the name is the same in each call, so a repeated call can continue with its lease
			db.Owner = "homelab on " + host
		}
		return a.doSwitch(ctx, s.node, db, source.Page.Workstations[names[0]].VMID(), *takeOver)
	}
}

func (a *app) doSwitch(ctx context.Context, node *workstation.Node, db workstation.DualBoot, to int, takeOver bool) error {
	status, err := node.Status(ctx, db)
	if err != nil {
		return err
	}
	if takeOver && status.Lease != nil {
		db.TakeOver = status.Lease.ID
	}
	for _, m := range status.Members {
		if m.VMID == to && m.CanStart == proxstation.No {
			if a.json {
				return result(a.show(m.Why), connect.Blocked(m.Why))
			}
			a.out.Findings(m.Why)
			a.out.ToDo(m.Why)
			a.nodesOff(status)
			return connect.Blocked(m.Why)
		}
		if m.VMID == to && !a.json {
			a.out.Findings(noCard(m.Why))
		}
	}
	var progress func(workstation.Event)
	if !a.json {
		progress = a.out.Progress()
	}
	if err := node.Switch(ctx, db, to, progress); err != nil {
		return err
	}
	if a.json {
		return a.show(map[string]int{"running": to})
	}
	return nil
}

// nodesOff prints how to use the flag -node-off. With this flag, a person tells
// the program that a node is off.
func (a *app) nodesOff(status workstation.DualBootStatus) {
	told := map[string]bool{}
	for _, m := range status.Members {
		if m.Away && !told[m.Node] {
			told[m.Node] = true
			a.say("\nIf somebody has seen that node %s is off, add -node-off %[1]s to the switch.", m.Node)
		}
	}
}
