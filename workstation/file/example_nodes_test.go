package file_test

import (
	"fmt"
	"log"

	"github.com/proxstation/proxstation/workstation/file"
)

func ExampleHome() {
	source, err := file.Parse("homelab.yaml", []byte(`
cards:
  rtx: {model: RTX 5070} # on each node that has one
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
