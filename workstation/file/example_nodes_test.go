package file_test

import (
	"fmt"
	"log"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/loader"
)

func ExampleHome() {
	source, err := file.Parse("homelab.yaml", []byte(`
cards:
  rtx: {model: RTX 5070} # on each node that has such a card
workstations:
  windows: {id: 140, profile: windows11, card: rtx, node: pve2}
  linux: {id: 141, profile: linux-ai, card: rtx} # where it fits
`))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"windows", "linux"} {
		fmt.Printf("%s: %q\n", name, source.Page.NodeOf(name))
	}
	// Output:
	// windows: "pve2"
	// linux: ""
}

// The image of this Mac does not exist. The Copier therefore returns an error
// for each node, and each node is refused with this error.
func ExampleCopier() {
	source, err := file.Parse("homelab.yaml", []byte("workstations: {mac: {id: 130, profile: macos, opencore: {image: none.iso}}}\n"))
	if err != nil {
		log.Fatal(err)
	}
	var plan file.Copier = func(l file.Loader, node workstation.Facts) (loader.Copy, error) {
		return l.Source.Plan(l.Mac, node)
	}
	spec, err := source.Page.Cluster(cluster.Facts{}, nil, plan)
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = spec.Workstations[0].On(workstation.Facts{Node: "pve2"})
	fmt.Println(err)
	// Output: loader: VM 130: image: stat none.iso: no such file or directory
}

func ExampleHA() {
	source, err := file.Parse("homelab.yaml", []byte(`
workstations:
  windows: {id: 140, profile: windows11, ha: {state: started, nodes: {pve: 0, pve2: 0}, strict: true, apart: linux}}
  linux: {id: 141, profile: linux-ai, ha: {}}
`))
	if err != nil {
		log.Fatal(err)
	}
	spec := source.Page.HA()
	for _, vm := range spec.VMs {
		fmt.Printf("VM %d: %q\n", vm.VMID, file.HAState(vm.Wanted))
	}
	for _, rule := range spec.Rules {
		fmt.Println(rule.Name, "-", rule)
	}
	fmt.Println(source.Page.HA("linux").Rules)
	// Output:
	// VM 140: "started"
	// VM 141: ""
	// apart-140-141 - apart: VM 140, VM 141
	// nodes-140 - on nodes: VM 140 on pve,pve2, nowhere else
	// [on nodes: VM 140 on pve,pve2, nowhere else]
}
