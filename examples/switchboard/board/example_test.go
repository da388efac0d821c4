package board_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func ExampleNew() {
	host := pvetest.Reference()
	for id, name := range map[int]string{140: "windows", 141: "linux-ai"} {
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: id == 140, Config: map[string]string{"name": name, "hostpci0": "0000:01:00"}})
	}
	token := host.RootTokens[0]
	ctx := context.Background()
	node, err := workstation.Connect(ctx, workstation.Endpoint{URL: "https://pve.example:8006", Token: "root@pam!" + token.ID + "=" + token.Secret,
		Transport: pvetest.New(host, nil).Transport()}, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	duo := workstation.DualBoot{Members: []int{140, 141}}
	b := board.New(ctx, node, duo, board.Options{Host: node.Name(), Labels: map[int]string{140: "Windows", 141: "Linux"}})
	defer b.Close()
	server := httptest.NewServer(b.Handler()) // your own program calls http.Serve here
	defer server.Close()

	response, err := server.Client().Post(server.URL+"/api/switch", "application/json", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status) // the body names no system, so it is refused
	// Output: 400 Bad Request
}
