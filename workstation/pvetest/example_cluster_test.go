package pvetest_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A node loses its power while a VM starts on it. The other nodes report this.
// The VM is not started, and the cluster still has quorum.
func ExampleCluster() {
	one, two, three := pvetest.Reference(), pvetest.Reference(), pvetest.AMD()
	one.Name, two.Name, three.Name = "one", "two", "three"
	two.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"name": "windows", "memory": "8192"}}}
	clock := time.Now()
	cluster := pvetest.NewCluster([]pvetest.Host{one, two, three}, &pvetest.Options{
		Now: func() time.Time { return clock }, Speed: 1000,
	})
	client := &http.Client{Transport: cluster.Transport()}
	ask := func(method, path string) {
		request, err := http.NewRequest(method, "https://one:8006/api2/json"+path, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		request.Header.Set("Authorization", "PVEAPIToken=root@pam!lab=11111111-2222-3333-4444-555555555555")
		answer, err := client.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		fmt.Println(method, path+":", answer.Status)
	}

	cluster.Node("two").Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.PowerBefore})
	ask("POST", "/nodes/two/qemu/140/status/start")
	clock = clock.Add(time.Second)
	ask("GET", "/nodes/two/qemu/140/status/current")
	cluster.Up("two")
	ask("GET", "/nodes/two/qemu/140/status/current")
	fmt.Println(cluster.Where(140), cluster.Node("two").Running(), cluster.Node("two").Tasks(), cluster.Check())
	// Output:
	// POST /nodes/two/qemu/140/status/start: 200 OK
	// GET /nodes/two/qemu/140/status/current: 595 No route to host
	// GET /nodes/two/qemu/140/status/current: 200 OK
	// two [] [qmstart 140: unexpected status] <nil>
}
