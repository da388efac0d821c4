package pvetest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The function "crowded" returns the reference host with the given number of
// VMs. Every second VM runs.
func crowded(vms int) pvetest.Host {
	host := pvetest.Reference()
	host.Memory = 1 << 50
	for i := range vms {
		id := 100 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i%2 == 0, Config: map[string]string{
			"name": fmt.Sprintf("vm%d", id), "memory": "4096", "cores": "2", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
			"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=32G", id), "boot": "order=scsi0;net0", "ostype": "l26",
		}})
	}
	return host
}

// BenchmarkRequests measures requests to nodes with 10 to 10,000 VMs. It shows
// that only lists of VMs become slower with more VMs. A list of 1,000 VMs takes
// less than 10 ms.
func BenchmarkRequests(b *testing.B) {
	for _, vms := range []int{10, 1000, 10000} {
		node := pvetest.New(crowded(vms), nil)
		for _, request := range []string{
			"GET /nodes/pve/qemu", "GET /cluster/resources", "GET /nodes/pve/qemu/101/config", "GET /nodes/pve/qemu/100/status/current",
			"GET /nodes/pve/status", "GET /nodes", "GET /nodes/pve/storage", "GET /cluster/nextid", "PUT /nodes/pve/qemu/101/config?cores=2",
			"POST /nodes/pve/qemu/101/snapshot?snapname=current", "GET /nodes/pve/tasks?limit=1",
		} {
			method, path, _ := strings.Cut(request, " ")
			b.Run(fmt.Sprintf("%s of %d VMs", path[:min(len(path), 40)], vms), func(b *testing.B) {
				for b.Loop() {
					r, _ := http.NewRequest(method, node.URL()+path, nil)
					r.Header.Set("Authorization", "PVEAPIToken="+rootToken)
					response, err := node.Transport().RoundTrip(r)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			})
		}
	}
}

// The function "large" returns a cluster of 32 nodes with 1,000 VMs. Every
// second VM runs.
func large() *pvetest.Cluster {
	var hosts []pvetest.Host
	for i := range 32 {
		host := pvetest.Reference()
		host.Name, host.Memory = fmt.Sprintf("node%d", i+1), 1<<50
		for id := 100 + i; id < 1100; id += 32 {
			host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: id%2 == 0, Config: map[string]string{
				"name": fmt.Sprintf("vm%d", id), "memory": "4096", "cores": "2", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
				"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=32G", id), "boot": "order=scsi0;net0", "ostype": "l26",
			}})
		}
		hosts = append(hosts, host)
	}
	return pvetest.NewCluster(hosts, nil)
}

// BenchmarkCluster shows that requests to a large cluster take milliseconds. It
// also measures how long it takes to make and to check the cluster.
func BenchmarkCluster(b *testing.B) {
	b.Run("NewCluster", func(b *testing.B) {
		for b.Loop() {
			large()
		}
	})
	cluster := large()
	b.Run("Check", func(b *testing.B) {
		for b.Loop() {
			if err := cluster.Check(); err != nil {
				b.Fatal(err)
			}
		}
	})
	client := &http.Client{Transport: cluster.Transport()}
	for _, request := range []string{
		"GET /cluster/resources", "GET /cluster/resources?type=vm", "GET /cluster/status", "GET /nodes", "GET /cluster/nextid",
		"GET /nodes/node7/qemu", "GET /nodes/node7/qemu/106/config", "GET /nodes/node7/status", "GET /cluster/tasks",
	} {
		method, path, _ := strings.Cut(request, " ")
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				r, _ := http.NewRequest(method, "https://node1:8006/api2/json"+path, nil)
				r.Header.Set("Authorization", "PVEAPIToken="+rootToken)
				response, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		})
	}
}
