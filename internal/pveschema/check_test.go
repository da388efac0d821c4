package pveschema

import (
	"maps"
	"strings"
	"testing"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, path string
		values             map[string]string
		problems           map[string]string // a part of each expected message, by parameter
	}{
		{"a start", "POST", "/nodes/pve/qemu/140/status/start", map[string]string{"timeout": "30"}, nil},
		{"an unknown parameter", "POST", "/nodes/pve/qemu/140/status/start", map[string]string{"forceStop": "1"},
			map[string]string{"forceStop": "not defined in schema"}},
		{"a boolean", "POST", "/nodes/pve/qemu/140/status/shutdown", map[string]string{"forceStop": "yes"},
			map[string]string{"forceStop": "type check ('boolean') failed - got 'yes'"}},
		{"an integer and its minimum", "POST", "/nodes/pve/qemu/140/status/shutdown", map[string]string{"timeout": "-1"},
			map[string]string{"timeout": "minimum value of 0"}},
		{"not an integer", "POST", "/nodes/pve/qemu/140/status/shutdown", map[string]string{"timeout": "soon"},
			map[string]string{"timeout": "type check ('integer') failed - got 'soon'"}},
		{"a VMID in the path", "GET", "/nodes/pve/qemu/7/config", nil, map[string]string{"vmid": "valid VM ID"}},
		{"an enumeration", "POST", "/nodes/pve/qemu", map[string]string{"vmid": "140", "bios": "efi"},
			map[string]string{"bios": "does not have a value in the enumeration 'seabios, ovmf'"}},
		{"a missing parameter", "POST", "/nodes/pve/qemu", nil, map[string]string{"vmid": "not optional"}},
		{"hostpci takes a mapping", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"hostpci0": "mapping=rtx,pcie=1,x-vga=on"}, nil},
		{"hostpci takes several addresses", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"hostpci0": "01:00.0;10000:01:00.1"}, nil},
		{"hostpci has sixteen slots", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"hostpci16": "01:00"},
			map[string]string{"hostpci16": "not defined in schema"}},
		{"hostpci has no such key", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"hostpci0": "01:00,vga=1"},
			map[string]string{"hostpci0": "hostpci0.vga: property is not defined in schema"}},
		{"hostpci's address", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"hostpci0": "1:0"},
			map[string]string{"hostpci0": "invalid format"}},
		{"a network card by alias", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}, nil},
		{"a multicast MAC address", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"net0": "virtio=01:24:11:00:00:01"},
			map[string]string{"net0": "unicast MAC"}},
		{"a new disk", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"scsi0": "local-lvm:64,iothread=1,discard=on,ssd=1"}, nil},
		{"a disk option PVE has not", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"scsi0": "local-lvm:64,speed=fast"},
			map[string]string{"scsi0": "scsi0.speed: property is not defined in schema"}},
		{"the EFI disk", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"efidisk0": "local-lvm:1,efitype=4m,pre-enrolled-keys=1"}, nil},
		{"the TPM", "PUT", "/nodes/pve/qemu/140/config", map[string]string{"tpmstate0": "local-lvm:1,version=v3.0"},
			map[string]string{"tpmstate0": "enumeration 'v1.2, v2.0'"}},
		{"a description of any length below the limit", "PUT", "/nodes/pve/qemu/140/config",
			map[string]string{"description": strings.Repeat("a", 8193)}, map[string]string{"description": "8192 characters long"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			endpoint, names, ok := Lookup(test.method, test.path)
			if !ok {
				t.Fatalf("no endpoint for %s %s", test.method, test.path)
			}
			values := Values{}
			for _, m := range []map[string]string{names, test.values} {
				for key, value := range m {
					values[key] = []string{value}
				}
			}
			problems := endpoint.Verify(values)
			for name, part := range test.problems {
				if !strings.Contains(problems[name], part) {
					t.Errorf("%s: %q, want %q in it", name, problems[name], part)
				}
				delete(problems, name)
			}
			if len(problems) > 0 {
				t.Errorf("also complains about %v", maps.Collect(maps.All(problems)))
			}
		})
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	endpoint, names, ok := Lookup("DELETE", "/nodes/pve/storage/local/content/local:iso/a.iso")
	if !ok || endpoint.Path != "/nodes/{node}/storage/{storage}/content/{volume}" || names["volume"] != "local:iso/a.iso" {
		t.Errorf("Lookup = %v, %v, %v", endpoint, names, ok)
	}
	if _, _, ok := Lookup("GET", "/nodes/pve/no/such"); ok {
		t.Error("found an endpoint that is not there")
	}
}

func FuzzParseProperties(f *testing.F) {
	for _, seed := range []string{"01:00,pcie=1", "mapping=rtx,x-vga=on", "virtio=BC:24:11:00:00:01", ",,=,", "a=b=c", "ip=10.0.0.5/24,gw=10.0.0.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, format := range []string{"pve-qm-hostpci", "@net[n]", "@scsi[n]", "@efidisk0", "@machine", "pve-qm-ipconfig"} {
			keys, err := ParseProperties(format, value)
			if err != nil {
				continue
			}
			var again []string
			for key, text := range keys {
				again = append(again, key+"="+text)
			}
			if back, err := ParseProperties(format, strings.Join(again, ",")); err != nil || !maps.Equal(keys, back) {
				t.Errorf("%s: %q is %v, printed and parsed again %v, %v", format, value, keys, back, err)
			}
		}
	})
}
