package pvetest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Values with a named format are checked before anything changes (qemu-server
// PVE/QemuServer.pm, CPUConfig.pm, RNG.pm, Machine.pm).
func TestConformanceValues(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	path := c.here("/qemu/%d/config", id)
	before := c.config(t, id)["digest"]
	for _, tt := range []struct {
		key, value string
		status     int
		says       string
	}{
		{"cpu", "foo", 400, `Built-in cputype 'foo' is not defined`},
		{"cpu", "host,flags=+nonsense", 400, `must be a subset of: .*aes`},
		{"cpu", "host,phys-bits=4", 400, `integer between 8 and 64`},
		{"smbios1", "product=a b", 400, `product: value does not match the regex pattern`},
		{"boot", "order=efidisk0", 400, `invalid boot device 'efidisk0'`},
		{"boot", "order=scsi7", 500, `invalid bootorder: device 'scsi7' does not exist`},
		{"hotplug", "disk,fans", 400, `invalid hotplug feature 'fans'`},
		{"rng0", "max_bytes=1024", 400, `source: property is missing`},
		{"watchdog", "model=foo", 400, `model: value 'foo' does not have a value in the enumeration`},
		{"scsi1", c.storage + ":1,speed=fast", 400, `speed`},
		{"scsi1", c.storage + ":1,mbps_max=5", 400, `unable to parse drive options`},
		{"virtio1", "none,media=cdrom", 400, `unable to parse drive options`},
		{"machine", "pc,viommu=intel", 500, `please set the machine type to q35`},
		{"cores", "+1", 500, `unable to parse value of 'cores'`},
		{"net40", "virtio", 400, `not defined in schema`},
	} {
		c.do(t, "PUT", path, url.Values{tt.key: {tt.value}}).want(t, tt.status, tt.says)
	}
	if after := c.config(t, id)["digest"]; after != before {
		t.Error("something changed")
	}
	// Like PVE's message, the message ends with line feeds.
	if r := c.do(t, "PUT", path, url.Values{"smbios1": {"product=a b"}}); !strings.Contains(r.errors["smbios1"], "format error\n") || !strings.HasSuffix(r.errors["smbios1"], "\n") {
		t.Errorf("%q", r.errors["smbios1"])
	}
}

// A problem that PVE finds before it starts the task is an error of the
// request, and not of the task (qemu-server PVE/API2/Qemu.pm, create_vm).
func TestConformanceCreationRefusedAtOnce(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	c.wantOK(t, "removing", c.do(t, "DELETE", c.here("/qemu/%d", id), nil))
	for _, tt := range []struct {
		key, value string
		status     int
		says       string
	}{
		{"scsi0", "no-such-storage:1", 500, `storage 'no-such-storage' does not exist`},
		{"pool", "no-such-pool", 403, `pool 'no-such-pool' does not exist`},
	} {
		c.do(t, "POST", c.here("/qemu"), url.Values{"vmid": {fmt.Sprint(id)}, tt.key: {tt.value}}).want(t, tt.status, tt.says)
		c.do(t, "GET", c.here("/qemu/%d/config", id), nil).want(t, 500, "does not exist")
	}
}

// A VM on a bridge that does not exist can be made, but does not start
// (pve-common PVE/Network.pm, read_bridge_mtu).
func TestConformanceBridge(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"net0": {"virtio,bridge=vmbr4093"}})
	if exit := c.finish(t, c.do(t, "POST", c.here("/qemu/%d/status/start", id), nil)); exit != "bridge 'vmbr4093' does not exist" {
		t.Errorf("the start ends with %q", exit)
	}
}

// A new value of the key "hotplug" takes effect in a running VM, unless the
// value contains "memory" (qemu-server PVE/QemuServer.pm,
// vmconfig_hotplug_pending).
func TestConformanceHotplugOfARunningVM(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"cores": {"1"}})
	c.wantOK(t, "starting", c.do(t, "POST", c.here("/qemu/%d/status/start", id), nil))
	path := c.here("/qemu/%d/config", id)
	for _, tt := range []struct {
		value string
		now   bool
	}{{"disk", true}, {"0", true}, {"disk,memory", false}} {
		c.do(t, "PUT", path, url.Values{"hotplug": {tt.value}}).want(t, 200, "")
		if now := c.do(t, "GET", path, url.Values{"current": {"1"}}).object(t)["hotplug"] == tt.value; now != tt.now {
			t.Errorf("hotplug=%s is in force: %v", tt.value, now)
		}
	}
}

// Only root@pam with a password may use skiplock (qemu-server
// PVE/API2/Qemu.pm).
func TestConformanceSkiplock(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	for _, call := range [][2]string{{"PUT", "config"}, {"POST", "status/start"}, {"POST", "status/stop"}, {"POST", "status/shutdown"}} {
		r := c.do(t, call[0], c.here("/qemu/%d/%s", id, call[1]), url.Values{"skiplock": {"1"}})
		if r.want(t, 400, ""); r.errors["skiplock"] != "Only root may use this option." {
			t.Errorf("%s: %v", call, r.errors)
		}
	}
}

// A disk is not destroyed while a snapshot needs it (qemu-server
// PVE/QemuServer.pm, try_deallocate_drive).
func TestConformanceSnapshotHoldsADisk(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"scsi0": {c.storage + ":1"}})
	if exit := c.finish(t, c.do(t, "POST", c.here("/qemu/%d/snapshot", id), url.Values{"snapname": {"before"}})); exit != "OK" {
		t.Skipf("storage %s: %s", c.storage, exit)
	}
	r := c.do(t, "PUT", c.here("/qemu/%d/config", id), url.Values{"delete": {"scsi0"}, "force": {"1"}}).want(t, 400, "")
	if !strings.Contains(r.errors["scsi0"], "unable to apply pending change scsi0 : unable to delete") || !strings.Contains(r.errors["scsi0"], "volume is still in use (snapshot?)") {
		t.Errorf("%v", r.errors)
	}
	if config := c.do(t, "GET", c.here("/qemu/%d/config", id), url.Values{"current": {"1"}}).object(t); config["scsi0"] == nil {
		t.Error("the disk is gone")
	}
	c.do(t, "PUT", c.here("/qemu/%d/config", id), url.Values{"revert": {"scsi0"}}).want(t, 200, "")
}

// A drive is stored in PVE's form, and not in the form of the request
// (qemu-server PVE/QemuServer/Drive.pm, parse_drive and print_drive).
func TestConformanceFormsOfDrives(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	path := c.here("/qemu/%d/config", id)
	c.do(t, "PUT", path, url.Values{"scsi1": {"ssd=on,volume=" + c.storage + ":1"}, "cdrom": {"none"}}).want(t, 200, "")
	config := c.config(t, id)
	if drive := fmt.Sprint(config["scsi1"]); !strings.HasPrefix(drive, c.storage+":") || !strings.HasSuffix(drive, ",size=1G,ssd=1") {
		t.Errorf("scsi1 is %q", drive)
	}
	if config["ide2"] != "none,media=cdrom" || config["cdrom"] != nil {
		t.Errorf("ide2 is %v, cdrom %v", config["ide2"], config["cdrom"])
	}
	c.do(t, "PUT", path, url.Values{"delete": {"cdrom"}}).want(t, 200, "")
	if config := c.config(t, id); config["ide2"] != nil {
		t.Errorf("ide2 is still %v", config["ide2"])
	}
}

// If a request has several faults, PVE reports the fault that it checks first.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	const token = "few@pve!tk=aaaaaaaa-0000-0000-0000-000000000000"
	host := machines(vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=1G tags:=a"))
	host.Users = []pvetest.User{{ID: "few@pve", Tokens: []pvetest.Token{{ID: "tk", Secret: strings.TrimPrefix(token, "few@pve!tk=")}},
		Privileges: map[string][]string{"/vms": {"VM.Audit", "VM.Config.Disk"}, "/storage/local-lvm": {"Datastore.AllocateSpace"}}}}
	inBubble(t, host, func(l *lab) {
		l.login = withToken(token)
		for _, tt := range []struct{ path, key, value, want string }{
			{"140", "scsi1", "local-lvm:vm-150-disk-0", "403 Permission check failed (/storage/local-lvm, Datastore.Audit)"}, // the volume does not exist, and its name contains the VMID of another VM
			{"140", "scsi1", "local-lvm:vm-140-disk-7", "500 no such logical volume pve/vm-140-disk-7"},
			{"140", "scsi1", "local-lvm:nonsense", "500 unable to parse lvm volume name 'nonsense'"},
			{"140", "scsi1", "service-pool:1", "403 Permission check failed (/storage/service-pool, Datastore.AllocateSpace)"},
			{"140", "scsi1", "nowhere:1", "403 Permission check failed (/storage/nowhere, Datastore.AllocateSpace)"},
			{"140", "tags", "b", "403 Permission check failed (/vms/140, VM.Config.Options)"},
			{"140", "serial0", "/dev/ttyS0", "500 only root can modify 'serial0' config for real devices"},
			{"140", "unused0", "local-lvm:vm-140-disk-0", ""},
			{"999", "cores", "2", "403 Permission check failed (/vms/999, VM.Config.CPU)"},
			{"999", "boot", "order=net0", "500 Configuration file 'nodes/pve/qemu-server/999.conf' does not exist"},
			{"999", "vga", "nonsense", "400 Parameter verification failed."},
		} {
			r := l.do(http.MethodPut, "/nodes/pve/qemu/"+tt.path+"/config", tt.key, tt.value)
			if got := fmt.Sprintf("%d %s", r.status, r.reason); got != tt.want && !(tt.want == "" && r.status == 200) {
				t.Errorf("%s=%s of VM %s: %s, want %q", tt.key, tt.value, tt.path, got, tt.want)
			}
		}
		if r := l.do(http.MethodDelete, "/nodes/pve/storage/local/content/iso/gone.iso"); r.status != 403 {
			t.Errorf("deleting what is not there: %v", r)
		}
	})
}
