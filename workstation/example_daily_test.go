package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// Status returns which VM has the card, and which VM could get it.
func ExampleNode_Status() {
	node, closeNode := embeddedNode(pair())
	defer closeNode()
	status, err := node.Status(context.Background(), both)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range status.Members {
		fmt.Println(m.VMID, m.Name, m.Running, m.CanStart)
	}
	// Output:
	// 140 windows true yes
	// 141 linux-ai false yes
}

// Watch lets a program follow which VM has the card.
func ExampleNode_Watch() {
	node, closeNode := embeddedNode(pair())
	defer closeNode()
	for status, err := range node.Watch(context.Background(), both, 10*time.Second) {
		if err != nil {
			fmt.Println(err) // the next request may be answered
			continue
		}
		fmt.Println(status.Running, "has the card")
		break
	}
	// Output: 140 has the card
}

// The error of a failed switch names the phase in which it failed, and the VM
// that runs now.
func ExampleSwitchError() {
	host := pair()
	host.Guests = map[int]pvetest.Guest{141: {NoAgent: true}} // its guest agent never answers, so the VM is never up
	node, closeNode := embeddedNode(host)
	defer closeNode()
	duo := workstation.DualBoot{Members: []int{140, 141}, Boot: 2 * time.Second}
	err := node.Switch(context.Background(), duo, 141, nil)
	if failed, ok := errors.AsType[*workstation.SwitchError](err); ok {
		fmt.Println(failed.Phase, failed.Running, failed.Returned)
	}
	// Output: up 141 false
}

// The steps of a plan are data, so a program can approve a plan by its own
// rules.
func ExamplePlan() {
	node, closeNode := embeddedNode(pvetest.Reference())
	defer closeNode()
	facts, err := node.Observe(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := workstation.Diff(dualBootSpec(), facts)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, change := range plan.Changes() {
		switch s := plan.Steps[i].(type) {
		case workstation.PutMapping:
			fmt.Println("a mapping:", s.Mapping.ID)
		case workstation.CreateVM:
			fmt.Println("a VM:", s.VMID, s.Config["scsi0"])
		}
		fmt.Println("  needs", change.Needs[0])
	}
	fmt.Println(plan.Destroys())
	// Output:
	// a mapping: rtx5070ti
	//   needs /mapping/pci Mapping.Modify
	// a VM: 140 local-lvm:128,discard=on,iothread=1,ssd=1
	//   needs /mapping/pci/rtx5070ti Mapping.Use
	// a VM: 141 local-lvm:64,discard=on,iothread=1,ssd=1
	//   needs /mapping/pci/rtx5070ti Mapping.Use
	// false
}

// A VM is removed only by a separate plan, which names the VM's disks.
func ExampleDestroyPlan() {
	node, closeNode := embeddedNode(pair())
	defer closeNode()
	facts, err := node.Observe(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := workstation.DestroyPlan(facts, 141)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(errors.Is(node.Apply(context.Background(), plan, nil), workstation.ErrDestructive))
	fmt.Println(node.Apply(context.Background(), plan, &workstation.ApplyOptions{AllowDestroy: true}))
	// Output:
	// true
	// <nil>
}

// This runs a command in a guest and reads a file from it.
func ExampleAgent() {
	ctx := context.Background()
	host := pair()
	host.Guests = map[int]pvetest.Guest{140: {Files: map[string][]byte{"/etc/hostname": []byte("gaming\n")}}}
	node, closeNode := embeddedNode(host)
	defer closeNode()
	agent := node.Agent(140)
	if err := agent.Wait(ctx, time.Minute); err != nil {
		fmt.Println(err)
		return
	}
	out, err := agent.Run(ctx, proxstation.GuestCommand{Argv: []string{"false"}})
	fmt.Println(out.Code, err) // a command that fails is not an error
	name, err := agent.ReadFile(ctx, "/etc/hostname")
	fmt.Printf("%s%v\n", name, err)
	// Output:
	// 1 <nil>
	// gaming
	// <nil>
}

// This configures the RustDesk of all workstations to use a private server.
func ExampleAgent_rustDesk() {
	own := rustdesk.Config{Server: rustdesk.Server{ID: "rd.example", Key: proxstation.NewSecret("OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=")}}
	host := pair()
	host.VMs[0].Running, host.VMs[1].Running = false, true
	host.Guests = map[int]pvetest.Guest{141: {Exec: func([]string, []byte) pvetest.Result { // answers rustdesk --get-id
		return pvetest.Result{Stdout: []byte("123456789\n")}
	}}}
	node, closeNode := embeddedNode(host)
	defer closeNode()
	agent := node.Agent(141)
	if err := agent.Wait(context.Background(), time.Minute); err != nil {
		fmt.Println(err)
		return
	}
	plan, err := rustdesk.PlanFor(context.Background(), []rustdesk.Target{{Name: "VM 141", Guest: agent, OS: rustdesk.Linux, Config: own}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	// Output:
	// Plan for RustDesk: 1 guest to change, 0 not reached
	//
	// ~ VM 141 (linux)
	//     + custom-rendezvous-server: "" -> "rd.example"
	//     + key: "" -> "[secret]"
}
