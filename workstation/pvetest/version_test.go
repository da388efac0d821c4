package pvetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The table shows the answers that differ between versions of PVE.
func TestVersions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		method, path string
		params       []string
		answers      map[string]string // by version: a part of the answer that must be there, or with "!" must not
	}{
		{"the version of QEMU", "GET", "/qemu/141/status/current", nil,
			map[string]string{"8.4.14": "running-qemu:9.2.0", "9.1.4": "running-qemu:10.1.2", "9.2.11": "running-qemu:11.0.0"}},
		{"pressures", "GET", "/qemu/141/status/current", nil, map[string]string{"8.4.14": "!pressure", "9.1.4": "pressurecpusome:0"}},
		{"what of memory is available", "GET", "/status", nil, map[string]string{"8.4.14": "!available", "9.1.4": "available"}},
		{"host-tunnel", "PUT", "/qemu/140/config", []string{"net0", "virtio,host-tunnel=1"}, map[string]string{"8.4.14": "net0.host-tunnel: property is not defined", "9.1.4": "net0.host-tunnel: property is not defined", "9.2.11": "200"}},
		{"a CPU's level", "PUT", "/qemu/140/config", []string{"cpu", "host,level=30"}, map[string]string{"9.1.4": "cpu.level: property is not defined", "9.2.11": "200"}},
		{"a device's driver", "PUT", "/qemu/140/config", []string{"hostpci0", "mapping=card,driver=keep"}, map[string]string{"8.4.14": "hostpci0.driver: property is not defined", "9.1.4": "200"}},
		{"KSM", "PUT", "/qemu/140/config", []string{"allow-ksm", "0"}, map[string]string{"8.4.14": "allow-ksm:property is not defined", "9.1.4": "200"}},
		{"a vIOMMU's width", "PUT", "/qemu/140/config", []string{"machine", "q35,viommu=virtio,aw-bits=40"}, map[string]string{"8.4.14": "machine.aw-bits: property is not defined", "9.1.4": "200"}},
		{"cylinders", "PUT", "/qemu/140/config", []string{"scsi1", "local-lvm:1,cyls=5"}, map[string]string{"8.4.14": "200", "9.1.4": "scsi1.cyls: property is not defined"}},
		{"a machine version to come", "GET", "/capabilities/qemu/machines", nil, map[string]string{"8.4.14": "!pc-q35-10.0", "9.1.4": "pc-q35-10.1", "9.2.11": "pc-q35-11.0"}},
	}
	for _, tt := range tests {
		for version, want := range tt.answers {
			t.Run(tt.name+" in "+version, func(t *testing.T) {
				t.Parallel()
				host := machines(vm(140, ""), running(141, "memory:=64"))
				host.Version = version
				inBubble(t, host, func(l *lab) {
					r := l.do(tt.method, "/nodes/pve"+tt.path, tt.params...)
					got := fmt.Sprintf("%d %v %v", r.status, r.errors, r.data)
					if not, absent := strings.CutPrefix(want, "!"); absent && strings.Contains(got, not) || !absent && !strings.Contains(got, want) {
						t.Errorf("%s, want %s", got, want)
					}
				})
			})
		}
	}
}

// Newer versions of PVE put newer certificates into the EFI variables, and give
// the drive the option ms-cert.
func TestVersionsOfCertificates(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{"8.4.14": "", "9.1.4": "", "9.2.11": ",ms-cert=2023k"} {
		host := pvetest.Reference()
		host.Version = version
		inBubble(t, host, func(l *lab) {
			if exit := l.task("POST", "/nodes/pve/qemu", "vmid", "150", "efidisk0", "local-lvm:1,efitype=4m,pre-enrolled-keys=1"); exit != "OK" {
				t.Fatal(exit)
			}
			state, _ := l.VM(150)
			if got := state.Config["efidisk0"]; got != "local-lvm:vm-150-disk-0,efitype=4m"+want+",pre-enrolled-keys=1,size=4M" {
				t.Errorf("%s: %s", version, got)
			}
		})
	}
}
