package pve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
)

// sixty returns two clients of a node with sixty PCI functions: go-proxmox's
// client and ours. The node answers all other requests with an empty answer.
// Each answer takes a millisecond.
func sixty(b *testing.B) (*proxmox.Client, *pve.Client) {
	b.Helper()
	var entries []map[string]any
	for i := range 60 {
		entries = append(entries, map[string]any{"id": fmt.Sprintf("0000:%02x:00.0", i), "class": "0x030000", "vendor": "0x10de", "device": "0x2c05",
			"subsystem_vendor": "0x1462", "subsystem_device": "0x5315", "vendor_name": "NVIDIA Corporation", "device_name": "GB203", "iommugroup": i})
	}
	body, err := json.Marshal(map[string]any{"data": entries})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		if r.URL.Path == "/nodes/pve/hardware/pci" {
			_, _ = w.Write(body)
			return
		}
		if r.URL.Path == "/nodes/pve/disks/lvm" {
			_, _ = w.Write([]byte(`{"data":{}}`))
			return
		}
		_, _ = w.Write([]byte(`{"data":[]}`))
	}))
	b.Cleanup(server.Close)
	client := proxmox.NewClient(server.URL, proxmox.WithAPIToken("u@pve!t", "s"))
	return client, pve.New(client, "pve")
}

func BenchmarkPCI(b *testing.B) {
	_, c := sixty(b)
	for b.Loop() {
		if _, err := c.PCI(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPCIUntyped decodes the answer of BenchmarkPCI through go-proxmox
// into maps. The difference is the cost of typed decoding.
func BenchmarkPCIUntyped(b *testing.B) {
	client, _ := sixty(b)
	for b.Loop() {
		var devices []map[string]any
		if err := client.Get(b.Context(), "/nodes/pve/hardware/pci", &devices); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStorage reads a node's storages and disks with seven concurrent
// requests.
func BenchmarkStorage(b *testing.B) {
	_, c := sixty(b)
	for b.Loop() {
		if _, err := c.Storage(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStorageInTurn makes the requests of BenchmarkStorage one after the
// other, as a client without concurrency does.
func BenchmarkStorageInTurn(b *testing.B) {
	client, _ := sixty(b)
	for b.Loop() {
		for _, path := range []string{"/storage", "/nodes/pve/storage", "/nodes/pve/disks/list", "/nodes/pve/disks/lvm", "/nodes/pve/disks/lvmthin",
			"/nodes/pve/disks/zfs", "/nodes/pve/disks/directory"} {
			var data any
			if err := client.Get(b.Context(), path, &data); err != nil {
				b.Fatal(err)
			}
		}
	}
}
