package pvetest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const configPath = "/nodes/pve/qemu/140/config"

// disks is the configuration of a VM with a disk, a CD and a boot order.
const disks = "cores:=2 memory:=2048 ostype:=l26 boot:=order=scsi0;ide2 scsi0:=local-lvm:vm-140-disk-0,size=8G " +
	"ide2:=local:iso/virtio-win-0.1.285.iso,media=cdrom net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0 "

// The table shows how a change affects a VM that is off. For each key it gives
// the value after the change. The value is "" if the key is gone.
func TestUpdateStoppedVM(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		params []string
		after  map[string]string
	}{
		"a number":                     {[]string{"cores", "4"}, map[string]string{"cores": "4"}},
		"delete":                       {[]string{"delete", "cores"}, map[string]string{"cores": ""}},
		"delete what is not there":     {[]string{"delete", "sockets"}, map[string]string{"cores": "2"}},
		"tags":                         {[]string{"tags", "b;A,b"}, map[string]string{"tags": "a;b"}},
		"description":                  {[]string{"description", "two\nlines \n"}, map[string]string{"description": "two\nlines"}},
		"another size is not believed": {[]string{"scsi0", "local-lvm:vm-140-disk-0,size=99G,ssd=1"}, map[string]string{"scsi0": "local-lvm:vm-140-disk-0,size=8G,ssd=1"}},
		"a new disk":                   {[]string{"scsi1", "local-lvm:4,discard=on"}, map[string]string{"scsi1": "local-lvm:vm-140-disk-1,discard=on,size=4G"}},
		"a disk in a directory":        {[]string{"scsi1", "files:1"}, map[string]string{"scsi1": "files:140/vm-140-disk-0.raw,size=1G"}},
		"EFI variables on LVM":         {[]string{"efidisk0", "local-lvm:1,efitype=4m,pre-enrolled-keys=1"}, map[string]string{"efidisk0": "local-lvm:vm-140-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M"}},
		"EFI variables on ZFS":         {[]string{"efidisk0", "media-pool:1,efitype=4m"}, map[string]string{"efidisk0": "media-pool:vm-140-disk-0,efitype=4m,size=1M"}},
		"EFI variables in a file":      {[]string{"efidisk0", "files:1,efitype=4m"}, map[string]string{"efidisk0": "files:140/vm-140-disk-0.raw,efitype=4m,size=528K"}},
		"more CPU units than cgroups":  {[]string{"cpuunits", "20000"}, map[string]string{"cpuunits": "10000"}},
		"TPM":                          {[]string{"tpmstate0", "local-lvm:1,version=v2.0"}, map[string]string{"tpmstate0": "local-lvm:vm-140-disk-1,size=4M,version=v2.0"}},
		"import":                       {[]string{"scsi1", "local-lvm:0,import-from=local:import/opencore-osx-proxmox-vm.raw"}, map[string]string{"scsi1": "local-lvm:vm-140-disk-1,size=150M"}},
		"cloud-init":                   {[]string{"ide0", "local-lvm:cloudinit"}, map[string]string{"ide0": "local-lvm:vm-140-cloudinit,media=cdrom", "boot": "order=scsi0;ide2"}},
		"cloud-init in a directory":    {[]string{"scsi9", "files:cloudinit"}, map[string]string{"scsi9": "files:140/vm-140-cloudinit.qcow2,media=cdrom", "boot": "order=scsi0;ide2"}},
		"a public key":                 {[]string{"sshkeys", "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a%20me%40desk%0A"}, map[string]string{"sshkeys": "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a%20me%40desk%0A"}},
		"a password":                   {[]string{"cipassword", "hunter2"}, map[string]string{"cipassword": "**********"}},
		"a detached disk":              {[]string{"delete", "scsi0"}, map[string]string{"scsi0": "", "unused0": "local-lvm:vm-140-disk-0", "boot": "order=ide2"}},
		"a destroyed disk":             {[]string{"delete", "scsi0", "force", "1"}, map[string]string{"scsi0": "", "unused0": ""}},
		"a disk in place of one":       {[]string{"scsi0", "local-lvm:4"}, map[string]string{"scsi0": "local-lvm:vm-140-disk-1,size=4G", "unused0": "local-lvm:vm-140-disk-0"}},
		"an empty CD drive":            {[]string{"ide2", "none,media=cdrom"}, map[string]string{"ide2": "none,media=cdrom"}},
		"a new CD drive":               {[]string{"sata5", "none,media=cdrom"}, map[string]string{"sata5": "none,media=cdrom", "boot": "order=scsi0;ide2;sata5"}},
		"a card's mapping":             {[]string{"hostpci0", "mapping=card,pcie=1"}, map[string]string{"hostpci0": "mapping=card,pcie=1"}},
		"Windows pins its machine":     {[]string{"ostype", "win11"}, map[string]string{"ostype": "win11", "machine": "pc-i440fx-10.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(vm(140, disks))
			host.Storages = append(host.Storages, pvetest.Storage{Name: "files", Type: "dir", Content: "images", Total: 1 << 40})
			inBubble(t, host, func(l *lab) {
				l.want("PUT", configPath, tt.params...)
				got := l.object(configPath)
				for key, want := range tt.after {
					have := ""
					if got[key] != nil {
						have = fmt.Sprint(got[key])
					}
					if have != want {
						t.Errorf("%s is %q, want %q", key, have, want)
					}
				}
				if state, _ := l.VM(140); len(state.Pending) > 0 {
					t.Errorf("pending in a VM that is off: %v", state.Pending)
				}
			})
		})
	}
}

// PVE refuses these changes. A refused change changes nothing.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	const missing = "property is not defined in schema and the schema does not allow additional properties"
	for name, tt := range map[string]struct {
		params []string
		want   string
	}{
		"nothing":                        {nil, "500 no options specified"},
		"unknown key":                    {[]string{"colour", "red"}, "400 Parameter verification failed. colour: " + missing},
		"bad type":                       {[]string{"cores", "many"}, "400 Parameter verification failed. cores: type check ('integer') failed - got 'many'"},
		"unknown key to delete":          {[]string{"delete", "colour"}, "400 Parameter verification failed. delete: unknown option 'colour'"},
		"set and deleted":                {[]string{"delete", "cores", "cores", "1"}, "400 Parameter verification failed. delete: you can't use '-cores' and -delete cores' at the same time"},
		"stale digest":                   {[]string{"cores", "4", "digest", strings.Repeat("0", 40)}, "500 checksum mismatch (file change by other user?)"},
		"balloon above memory":           {[]string{"balloon", "4096"}, "500 balloon value too large (must be smaller than assigned memory)"},
		"ISO as a disk":                  {[]string{"scsi1", "local:iso/virtio-win-0.1.285.iso"}, "400 Parameter verification failed. scsi1: explicit 'media=cdrom' is required for iso images"},
		"import with a size":             {[]string{"scsi1", "local-lvm:9,import-from=local:import/recovery-sequoia.raw"}, "400 Parameter verification failed. scsi1: 'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"},
		"import of nothing":              {[]string{"scsi1", "local-lvm:0,import-from=local:import/gone.raw"}, "500 cannot import from 'local:import/gone.raw' - volume 'local:import/gone.raw' does not exist"},
		"disk where no disks may be":     {[]string{"scsi1", "local:4"}, "400 Parameter verification failed. storage: storage 'local' does not support vm images"},
		"no such storage":                {[]string{"scsi1", "nowhere:4"}, "500 storage 'nowhere' does not exist"},
		"no such volume":                 {[]string{"scsi1", "local-lvm:vm-140-disk-7"}, "500 no such logical volume pve/vm-140-disk-7"},
		"volume group full":              {[]string{"scsi1", "thick:40"}, "500 not enough free space (33554432 < 41943040)"},
		"ZFS full":                       {[]string{"scsi1", "zfs:40"}, "500 zfs error: cannot create 'tank/vm-140-disk-0': out of space"},
		"boot from nothing":              {[]string{"boot", "order=scsi3"}, "500 invalid bootorder: device 'scsi3' does not exist'"},
		"second cloud-init drive":        {[]string{"sata0", "local-lvm:cloudinit"}, "500 sata0 - cloud-init drive is already attached at 'ide0'"},
		"a key not encoded":              {[]string{"sshkeys", "ssh-ed25519 AAAA"}, "400 Parameter verification failed. sshkeys: invalid format - invalid urlencoded string: ssh-ed25519 AAAA"},
		"a malformed key":                {[]string{"sshkeys", "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIHW0"}, "500 SSH public key validation error"},
		"a gateway without an address":   {[]string{"ipconfig0", "gw=10.0.0.1"}, "400 Parameter verification failed. ipconfig0: invalid format - format error\nipconfig0.ip: missing property required by 'ipconfig0.gw'"},
		"an address without its length":  {[]string{"ipconfig0", "ip=10.0.0.5"}, "400 Parameter verification failed. ipconfig0: invalid format - format error\nipconfig0.ip: invalid format - value does not look like a valid ipv4 network configuration"},
		"a malformed CPU list":           {[]string{"affinity", "4-2"}, "400 Parameter verification failed. affinity: invalid format - unable to parse cpuset option"},
		"token and pinning":              {[]string{"affinity", "0-3"}, "500 only root can set 'affinity' config"},
		"token and huge pages":           {[]string{"hugepages", "1024"}, "500 only root can set 'hugepages' config"},
		"hookscript that does not exist": {[]string{"hookscript", "local:snippets/x.pl"}, "400 Parameter verification failed. hookscript: script 'local:snippets/x.pl' does not exist"},
		"hookscript that is an ISO":      {[]string{"hookscript", "local:iso/virtio-win-0.1.285.iso"}, "400 Parameter verification failed. hookscript: 'local:iso/virtio-win-0.1.285.iso' is not in the snippets directory"},
		"token and arguments":            {[]string{"args", "-no-reboot"}, "500 only root can set 'args' config"},
		"token and raw card":             {[]string{"hostpci0", "0000:01:00"}, "500 only root can set 'hostpci0' config for non-mapped devices"},
		"token and ROM":                  {[]string{"hostpci0", "mapping=card,romfile=x.rom"}, "400 Parameter verification failed. hostpci0: only root@pam can set 'romfile' option"},
		"token and raw USB":              {[]string{"usb0", "host=046d:c52b"}, "500 only root can set 'usb0' config for real devices"},
		"token and skiplock":             {[]string{"cores", "4", "skiplock", "1"}, "400 Parameter verification failed. skiplock: Only root may use this option."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(vm(140, disks+"ide0:=local-lvm:vm-140-cloudinit,media=cdrom"))
			host.Storages = append(host.Storages, pvetest.Storage{Name: "thick", Type: "lvm", Content: "images", Total: 32 << 30, Config: map[string]string{"vgname": "thick"}},
				pvetest.Storage{Name: "zfs", Type: "zfspool", Content: "images", Total: 32 << 30, Config: map[string]string{"pool": "tank"}})
			host.Storages[1].Volumes = []pvetest.Volume{{Name: "vm-140-cloudinit", VMID: 140, Size: 4 << 20}}
			inBubble(t, host, func(l *lab) {
				before, _ := l.VM(140)
				if got := l.task("PUT", configPath, tt.params...); got != tt.want {
					t.Errorf("PVE says %q, want %q", got, tt.want)
				}
				after, _ := l.VM(140)
				if !maps.Equal(before.Config, after.Config) || before.Digest != after.Digest || len(l.Volumes()) != 2 {
					t.Errorf("something changed: %v -> %v, volumes %v", before, after, l.Volumes())
				}
			})
		})
	}
}

// The table shows which changes take effect in a running VM, and which changes
// wait for its next start (vmconfig_hotplug_pending).
func TestUpdateRunningVM(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		config, key, value string // if value is "", the key is deleted
		now                bool
	}{
		{"", "description", "x", true}, {"", "onboot", "1", true}, {"", "name", "other", true}, {"", "tags", "x", true},
		{"", "cores", "4", false}, {"", "memory", "4096", false}, {"", "machine", "q35", false}, {"", "agent", "1", false},
		{"", "hostpci0", "mapping=card", false}, {"", "boot", "order=scsi0", false}, {"", "balloon", "1024", true}, {"", "balloon", "0", false},
		{"", "net1", "virtio,bridge=vmbr0", true}, {"hotplug:=disk", "net1", "virtio,bridge=vmbr0", false}, {"", "net0", "", true},
		{"", "scsi1", "local-lvm:1", true}, {"hotplug:=0", "scsi1", "local-lvm:1", false}, {"", "virtio1", "local-lvm:1", true},
		{"", "sata1", "local-lvm:1", false}, {"", "efidisk0", "local-lvm:1,efitype=4m", false},
		{"", "scsi0", "local-lvm:vm-140-disk-0,discard=on", false}, {"", "scsi0", "local-lvm:vm-140-disk-0,iops=100", true},
		{"", "ide2", "none,media=cdrom", true}, {"", "scsi0", "", true}, {"", "ide2", "", false}, {"", "cpulimit", "2", true},
		{"", "nameserver", "192.0.2.1", true}, {"", "hugepages", "2", false},
	} {
		t.Run(tt.config+tt.key+"="+tt.value, func(t *testing.T) {
			t.Parallel()
			host := machines(running(140, disks+tt.config))
			inBubble(t, host, func(l *lab) {
				l.asRoot()
				before, _ := l.VM(140)
				params := []string{tt.key, tt.value}
				if tt.value == "" {
					params = []string{"delete", tt.key}
				}
				l.want("PUT", configPath, params...)
				after, _ := l.VM(140)
				if now := before.Config[tt.key] != after.Config[tt.key]; now != tt.now {
					t.Errorf("at once: %v, want %v; in force %q, pending %v", now, tt.now, after.Config[tt.key], after.Pending)
				}
				if !tt.now {
					waiting := func(entry any) bool {
						e, _ := entry.(map[string]any)
						return e["key"] == tt.key && (e["pending"] != nil || e["delete"] != nil)
					}
					if !slices.ContainsFunc(l.list("/nodes/pve/qemu/140/pending"), waiting) {
						t.Error("not listed as pending")
					}
				}
				if err := l.PowerOff(140); err != nil {
					t.Fatal(err)
				}
				if state, _ := l.VM(140); len(state.Pending) > 0 || tt.value == "" && state.Config[tt.key] != "" {
					t.Errorf("after the VM is off: %v, %v", state.Config[tt.key], state.Pending)
				}
			})
		})
	}
}

// If one key of a change fails, other keys may stay pending: PVE writes the
// keys one by one, in no fixed order.
func TestUpdateFailsHalfWay(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, disks)), func(l *lab) {
		partly := 0
		for range 20 {
			l.do("PUT", configPath, "scsi1", "local-lvm:vm-140-disk-7", "cores", "7", "sockets", "2")
			if state, _ := l.VM(140); len(state.Pending) > 0 {
				partly++
			}
			l.want("PUT", configPath, "revert", "cores,sockets")
		}
		if partly == 0 {
			t.Error("every change was all or nothing")
		}
	})
}

// POST makes a change in a task. Where PUT would answer with an error, the task
// of POST has this error as its exit status.
func TestUpdateInATask(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, disks)), func(l *lab) {
		for _, tt := range [][3]string{
			{"cores", "4", "OK"},
			{"scsi1", "nowhere:1", "500 storage 'nowhere' does not exist"},
			{"scsi1", "local-lvm:vm-140-disk-7", "no such logical volume pve/vm-140-disk-7"},
			{"hostpci0", "0000:01:00", "only root can set 'hostpci0' config for non-mapped devices"},
			{"hostpci0", "mapping=card,romfile=x", "400 Parameter verification failed. hostpci0: only root@pam can set 'romfile' option"},
			{"args", "-S", "500 only root can set 'args' config"},
		} {
			if exit := l.task("POST", configPath, tt[0], tt[1]); exit != tt[2] {
				t.Errorf("%s=%s: %q, want %q", tt[0], tt[1], exit, tt[2])
			}
		}
	})
}

// The version of a TPM's state cannot be changed. If the state has version
// v2.0, PVE also refuses a value without a version.
func TestTPMStateKeepsItsVersion(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "name:=win")), func(l *lab) {
		l.want("PUT", configPath, "tpmstate0", "local-lvm:1,version=v2.0")
		state, _ := l.VM(140)
		l.want("PUT", configPath, "tpmstate0", state.Config["tpmstate0"])
		if r := l.do("PUT", configPath, "tpmstate0", strings.Replace(state.Config["tpmstate0"], ",version=v2.0", "", 1)); r.status != 500 || r.reason != "cannot change TPM state version after creation" {
			t.Errorf("%d %s", r.status, r.reason)
		}
	})
}
