// Inventory shows what a machine has for workstation VMs: cards, IOMMU, disks
// by tier, storages, the VMs that take PCI devices, and blockers.
//
//	go run ./examples/inventory                   # this machine
//	go run ./examples/inventory -root DIR         # a captured tree: DIR/sys, DIR/proc, DIR/etc, DIR/boot, DIR/run
//	go run ./examples/inventory -root HOST.txt    # a described host (internal/hosttree)
//	go run ./examples/inventory -capture DIR      # copies this machine's files into a new directory, for -root elsewhere
//	go run ./examples/inventory -embedded         # the Proxmox VE node embedded in the program
//	go run ./examples/inventory -embedded-nodes 3 # a cluster of nodes embedded in the program
//	PROXMOX_VE_ENDPOINT=... go run ./examples/inventory   # a PVE node, or the cluster that it is in
//	PROXMOX_VE_ENDPOINT=... go run ./examples/inventory -node pve   # one node of a cluster
//
// With -describe it prints a description of a PVE node. The embedded node can be
// made from it, so that you can test your automation against a node like yours:
//
//	PROXMOX_VE_ENDPOINT=... go run ./examples/inventory -describe >host.json
//	go run ./examples/pvenode -host host.json
//
// A capture holds only the files that an inventory reads, so it fits in a bug
// report. Capture as root: other users cannot read all of these files.
//
// # JSON
//
// With -json it prints an [inventory.Inventory]. Its documentation says what
// every field means, and which value it has if it is not known:
//
//	source
//	boot.loader boot.why boot.file boot.command
//	iommu.state iommu.why iommu.interruptRemapping
//	iommu.groups[].id .devices[]
//	gpus[].address .vendorID .deviceID .name .family .functions[] .driver .group .isolated .blockers[]
//	disks[].name .model .size .bus .tier .why
//	pools[].name .type .tier .disks[] .total .available .why
//	vms[].id .name .onBoot .hostpci[]
//	findings[].id .severity .subject .seen .why .fix
//
// Fields may be added. No field is removed or changes its meaning, and every
// field is always there. A finding that keeps all cards from guests has severity
// blocker:
//
//	go run ./examples/inventory -json | jq '.findings[] | select(.severity == "blocker")'
//
// For a cluster it prints an object with the fields cluster, quorate, why, nodes,
// guests and findings. The field report of each node holds the fields above.
// go doc -u ./examples/inventory clusterReport says what each field means:
//
//	go run ./examples/inventory -json | jq '.nodes[] | select(.state != "online")'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/inventory"
)

const about = `Inventory shows what a machine has for workstation VMs: cards, IOMMU, disks by tier, storages, and
what is in the way. It reads this machine, or the node that PROXMOX_VE_ENDPOINT names and the
node's cluster, or the tree or node that -root or -embedded names. It changes nothing.`

func main() { connect.Main("inventory", run) }

func run(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("inventory", flag.ContinueOnError)
	connect.Describe(set, about, connect.VariablesOfMachine, "sudo go run ./examples/inventory\nPROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/inventory -json")
	node := connect.Register(set)
	root := set.String("root", "", "read this tree, or described host (.txt), instead of the running machine")
	embedded := set.Bool("embedded", false, "show the Proxmox VE node that is embedded in the program")
	nodes := set.Int("embedded-nodes", 0, "show a cluster of this many nodes that are embedded in the program")
	into := set.String("capture", "", "write what is read of this machine into this new directory")
	describes := set.Bool("describe", false, "print a PVE node as a host for the embedded node (go run ./examples/pvenode -host FILE)")
	asJSON := set.Bool("json", false, "print JSON, for programs (go doc ./examples/inventory)")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	if *nodes < 0 || *nodes > 32 {
		return errors.New("-embedded-nodes: want 1 to 32 nodes")
	}
	if count(*embedded, *nodes > 0, *root != "", *into != "") > 1 {
		return errors.New("-embedded, -embedded-nodes, -root and -capture exclude each other")
	}
	if !connect.Configured() || *embedded || *nodes > 0 || *root != "" || *into != "" {
		if err := node.UselessHere("a machine, a tree or an embedded node"); err != nil {
			return err
		}
	}
	if *into != "" {
		denied, err := capture(ctx, os.DirFS("/"), *into)
		if err == nil {
			tell(out, *into, denied)
		}
		return err
	}
	if *describes {
		if *nodes > 0 {
			return errors.New("-describe is about one node: leave out -embedded-nodes")
		}
		return describeNode(ctx, *embedded, node, out)
	}
	report, err := read(ctx, *root, *embedded, *nodes, node)
	if err != nil {
		return err
	}
	if !*asJSON {
		_, err := fmt.Fprint(out, report)
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// count returns how many of the flags were given.
func count(given ...bool) (n int) {
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

func read(ctx context.Context, root string, embedded bool, nodes int, flags *connect.Flags) (fmt.Stringer, error) {
	switch {
	case root != "":
		tree, err := hosttree.Open(root)
		if err != nil {
			return nil, err
		}
		return inventory.Read(tree)
	case nodes > 0, connect.Configured() && !embedded && flags.Node == "":
		return readCluster(ctx, nodes, flags)
	case embedded, connect.Configured():
		facts, err := observe(ctx, embedded, flags)
		if err != nil {
			return nil, err
		}
		return inventoryOf(facts), nil
	}
	return inventory.Read(nil)
}

// observe returns the facts of the embedded node, or of the node that the
// environment names.
func observe(ctx context.Context, embedded bool, flags *connect.Flags) (workstation.Facts, error) {
	if !embedded {
		node, err := flags.Open(ctx)
		if err != nil {
			return workstation.Facts{}, err
		}
		return node.Observe(ctx)
	}
	node, sim, err := connect.Embedded(ctx, 1)
	if err != nil {
		return workstation.Facts{}, err
	}
	defer sim.Close()
	return node.Observe(ctx)
}

// describeNode prints the description of a node, from which an embedded node
// can be made.
func describeNode(ctx context.Context, embedded bool, flags *connect.Flags, out io.Writer) error {
	if !embedded && !connect.Configured() {
		return errors.New("-describe needs a node: set PROXMOX_VE_ENDPOINT, or give -embedded")
	}
	facts, err := observe(ctx, embedded, flags)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(describe(facts))
}
