package pveschema

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	tests := []struct{ key, value, says string }{
		{"cores", "8", ""},
		{"cores", "+8", "unable to parse value of 'cores' - type check ('integer') failed - got '+8'"},
		{"cores", "0", "value must have a minimum value of 1"},
		{"nonsense", "1", "unknown option 'nonsense'"},
		{"digest", "a", "unknown option 'digest'"},
		{"scsi31", "none", "unknown option 'scsi31'"},
		{"scsi[n]", "none", "unknown option 'scsi[n]'"},
		{"cpu", "host,flags=+aes;-pcid", ""},
		{"cpu", "custom-lab", ""}, // the node may define this model
		{"cpu", "custom-lab,flags=+x", "VM-specific CPU flags must be a subset of"},
		{"cpu", "foo", "Built-in cputype 'foo' is not defined"},
		{"cpu", "host,phys-bits=7", "must be an integer between 8 and 64"},
		{"smbios1", "product=TWFj,base64=1", ""},
		{"smbios1", "product=a b", "smbios1.product: value does not match the regex pattern"},
		{"boot", "order=scsi0;net0;hostpci0", ""},
		{"boot", "order=efidisk0", "invalid boot device 'efidisk0'"},
		{"hotplug", "disk,network,fans", "invalid hotplug feature 'fans'"},
		{"rng0", "source=/dev/urandom,max_bytes=1024", ""},
		{"rng0", "max_bytes=1024", "rng0.source: property is missing"},
		{"watchdog", "i6300esb,action=reboot", "watchdog.action: value 'reboot' does not have a value in the enumeration"},
		{"amd-sev", "std", ""},
		{"intel-tdx", "tdx", "intel-tdx.attestation: property is missing"},
		{"machine", "pc,viommu=intel", "to use Intel vIOMMU please set the machine type to q35"},
		{"machine", "q35,viommu=intel,aw-bits=40", "only 39 or 48 bits"},
		{"machine", "q35,aw-bits=39", "cannot set aw-bits if no vIOMMU is configured"},
		{"machine", "q35,viommu=virtio,aw-bits=40", ""},
		{"scsi0", "local-lvm:vm-140-disk-0,mbps_max=5", "unable to parse drive options"},
		{"scsi0", "local-lvm:vm-140-disk-0,iops=100,iops_rd=50", "unable to parse drive options"},
		{"virtio0", "none,media=cdrom", "unable to parse drive options"},
		{"scsi0", "local-lvm:vm-140-disk-0,product=my disk,ssd=1", ""},
		{"vga", "none,clipboard=vnc", "vga type none is not compatible with VNC clipboard"},
		{"net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,host-tunnel=1", ""},
		{"serial0", "/dev/ttyS0,x", "value does not match the regex pattern"},
		{"args", "-a\n-b", "property contains a line feed"},
		{"description", "a\nb", ""},
		{"hostpci0", "01:00,device-id=0x2c05", ""},
		{"hostpci0", "01:00,device-id=2c05", "hostpci0.device-id: value does not match"},
		{"startup", "0", "unable to parse startup options"},
		{"ipconfig0", "gw=10.0.0.1", "ipconfig0.ip: missing property required by 'ipconfig0.gw'"},
	}
	for _, tt := range tests {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			err := CheckConfig(tt.key, tt.value)
			switch {
			case err == nil && tt.says != "", err != nil && (tt.says == "" || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%v, want %q", err, tt.says)
			case errors.Is(err, ErrUnknownKey) != strings.HasPrefix(tt.says, "unknown option"):
				t.Errorf("%v and ErrUnknownKey", err)
			}
		})
	}
}

// TestCheckConfigAgreesWithPVE compares CheckConfig with recorded answers of
// PVE's own code. To record these answers, root@pam set one value after the
// other.
func TestCheckConfigAgreesWithPVE(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../../../shared/pve/answers/props.jsonl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have PVE's answers: %v", err)
		}
		t.Skipf("PVE's answers are not beside this checkout: %v", err)
	}
	defer file.Close()
	// onNode holds the values that PVE also compares with the state of the
	// node.
	onNode := []string{"hookscript", "vmstatestorage", "cpu=custom-foo", "boot=order=", "sshkeys", "scsi1=nostore", "scsi1=local:1",
		"scsi1=local:iso/none", "scsi1=local-lvm:x", "scsi1=local-lvm:1G", "scsi1=local-lvm:vm-", "scsi1=local-lvm:1,format", "scsi1=/dev"}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	compared := 0
	for lines.Scan() {
		var line struct {
			Case, Method, Path string
			Params             [][2]string
			Setup, Artefact    bool
			Status             int
			Errors             map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Setup || line.Artefact || line.Method != "PUT" || len(line.Params) != 1 || line.Params[0][0] == "delete" || steering[line.Params[0][0]] {
			continue
		}
		key, value := line.Params[0][0], line.Params[0][1]
		compared++
		err := CheckConfig(key, value)
		known := false
		for _, prefix := range onNode {
			known = known || strings.HasPrefix(key+"="+value, prefix)
		}
		if (err == nil) != (line.Status == 200) && !known {
			t.Errorf("%s=%q: %v, but PVE answers %d %v", key, value, err, line.Status, line.Errors)
		}
	}
	if compared < 300 {
		t.Errorf("only %d values compared", compared)
	}
}

func FuzzCheckConfig(f *testing.F) {
	for _, seed := range [][2]string{{"cpu", "host,flags=+aes"}, {"scsi0", "a:1,mbps=1"}, {"machine", "q35,viommu=intel"}, {"boot", "order=scsi0"}, {"hotplug", "1"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if err := CheckConfig(key, value); err == nil && Key(key) == nil {
			t.Errorf("%q is taken and no key", key)
		}
	})
}
