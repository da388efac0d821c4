// Switchboard is a page with a button for each system that shares the card,
// for the phone beside the sofa: who has the card, who could have it, why not,
// and the switch.
//
//	go run ./examples/switchboard         # on an embedded node: nothing to set up
//	PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/switchboard -members 140,141
//
// It asks nobody who they are: whoever reaches the address may switch. So it
// listens on this machine only, unless -listen says otherwise (a VPN's address,
// for instance), and turns away pages of other origins and names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

func main() { connect.Main("switchboard", run) }

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("switchboard", flag.ContinueOnError)
	flags := connect.Register(set)
	listen := set.String("listen", "127.0.0.1:8140", "address of the page")
	name := set.String("name", "", "host name by which the page may be asked for, besides localhost and addresses")
	members := set.String("members", "140,141", "VMIDs of the VMs that share the card")
	force := set.Bool("force", false, "stop a guest that does not shut down, as by pulling the plug")
	var duo workstation.DualBoot
	set.BoolVar(&duo.ReturnIfNotUp, "return-if-not-up", false, "a VM that has started and is not up in time is shut down, and the VM that ran before starts; otherwise the card stays with it")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	host, _ := os.Hostname() // a program that was ended goes on with its lease, one elsewhere does not
	duo.Owner, duo.Force = "switchboard on "+host, *force
	for field := range strings.SplitSeq(*members, ",") {
		id, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil {
			return fmt.Errorf("-members %q: VMIDs with commas between them", *members)
		}
		duo.Members = append(duo.Members, id)
	}
	node, closeNode, err := open(ctx, flags, duo)
	if err != nil {
		return err
	}
	defer closeNode()
	if _, err := node.Status(ctx, duo); err != nil {
		return err // rather than a page that can only say so
	}
	return serve(ctx, out, *listen, newBoard(ctx, node, duo, *name, out))
}

// open connects to the node that the environment names, or makes the VMs on an
// embedded one.
func open(ctx context.Context, flags *connect.Flags, duo workstation.DualBoot) (node *workstation.Node, closeNode func(), err error) {
	if connect.Configured() {
		node, err = flags.Open(ctx)
		return node, func() {}, err
	}
	node, sim, err := connect.Embedded(ctx, 5)
	if err != nil {
		return nil, nil, err
	}
	facts, err := node.Observe(ctx)
	if err == nil {
		err = twoVMs(ctx, node, duo, facts)
	}
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return node, sim.Close, nil
}

// twoVMs makes the VMs on an embedded node.
func twoVMs(ctx context.Context, node *workstation.Node, duo workstation.DualBoot, facts workstation.Facts) error {
	if len(duo.Members) != 2 {
		return errors.New("the embedded node has two VMs: -members A,B")
	}
	const card = "workstation-gpu"
	spec := workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: card, Card: facts.Cards()[1].Address()}},
		VMs:      []workstation.VM{profile.Windows11{ID: duo.Members[0], Card: card}.VM(), profile.LinuxAI{ID: duo.Members[1], Card: card}.VM()},
	}
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		return err
	}
	return node.Apply(ctx, plan, nil)
}

// serve serves the page until the context ends, and then waits for a switch
// that is under way.
func serve(ctx context.Context, out io.Writer, address string, b *board) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	server := &http.Server{Handler: b.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // Serve returns, and says why
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	b.work.Wait()
	return nil
}
