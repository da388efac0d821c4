package pvetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const startPath = "/nodes/pve/qemu/140/status/start"

// A start checks the PCI devices of the configuration by the rules of
// qemu-server PVE/QemuServer/PCI.pm.
func TestStartJudgesTheConfiguration(t *testing.T) {
	t.Parallel()
	const igd = "hostpci0:=0000:00:02.0,legacy-igd=1"
	for _, tt := range []struct{ config, exit string }{
		{"", "OK"},
		{"machine:=q35 hostpci0:=0000:01:00,pcie=1", "OK"},
		{"hostpci0:=01:00", "OK"},
		{"hostpci0:=0000:01:00.0 hostpci1:=0000:01:00.1", "OK"},
		{"hostpci0:=0000:01:00,pcie=1", "q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510."},
		{"hostpci0:=0000:09:00", "no PCI device found for '0000:09:00'"},
		{"hostpci0:=0000:01:00 hostpci1:=0000:01:00.1", "device '0000:01:00.1' assigned more than once"},
		{"hostpci0:=mapping=nothing", "PCI device mapping not found for 'nothing'"},
		{"hostpci0:=0000:01:00,mapping=card", "Cannot set both 'host' and 'mapping'."},
		{"hostpci0:=rombar=1", "Either 'host' or 'mapping' must be set."},
		{"hostpci0:=0000:01:00,mdev=nvidia-63", "cannot use mediated device with multifunction device"},
		{igd + " vga:=none", "OK"},
		{igd, "legacy IGD assignment requires VGA mode to be 'none'"},
		{igd + ",rombar=0 vga:=none", "legacy IGD assignment requires rombar to be enabled"},
		{igd + ",x-vga=1 vga:=none", "legacy IGD assignment is not compatible with x-vga"},
		{igd + " vga:=none machine:=q35", "legacy IGD assignment is not compatible with q35"},
		{"vga:=none hostpci0:=0000:01:00,legacy-igd=1", "legacy IGD assignment is not compatible with multifunction devices"},
		{"vga:=none hostpci0:=0000:01:00.0,legacy-igd=1", "legacy IGD assignment only works for devices on host bus 00:02.0"},
		{igd + " vga:=none hostpci1:=0000:01:00.0,legacy-igd=1", "only one device can be assigned in legacy-igd mode"},
		{"template:=1", "you can't start a vm if it's a template"},
		{"lock:=backup", "VM is locked (backup)"},
		{"lock:=suspended", "OK"},
		{"hookscript:=local:snippets/gone.pl", "hookscript error for 140 on pre-start: script 'local:snippets/gone.pl' does not exist"},
		{"memory:=999999", "start failed: QEMU exited with code 1"},
		{"machine:=pc-q35-6.2", "WARNINGS: 1"},
		{"machine:=pc-q35-9.2+pve1", "OK"},
	} {
		t.Run(tt.config, func(t *testing.T) {
			t.Parallel()
			inBubble(t, machines(vm(140, tt.config)), func(l *lab) {
				if exit := l.task("POST", startPath); exit != tt.exit {
					t.Errorf("the start ends with %q, want %q", exit, tt.exit)
				}
				if up := tt.exit == "OK" || strings.HasPrefix(tt.exit, "WARN"); up != slices.Equal(l.Running(), []int{140}) {
					t.Errorf("running: %v", l.Running())
				}
				if _, state := l.VM(140); state && len(l.Running()) == 0 && len(l.Reservations()) > 0 {
					t.Errorf("a start that failed left %v", l.Reservations())
				}
			})
		})
	}
}

// A start compares a mapping with the hardware (pve-guest-common
// PVE/Mapping/PCI.pm, assert_valid).
func TestStartComparesAMappingWithTheHardware(t *testing.T) {
	t.Parallel()
	const changed = "PCI device mapping invalid (hardware probably changed): "
	for name, tt := range map[string]struct {
		entry string
		mdev  bool
		exit  string
	}{
		"as it is":       {entry: cardMap, exit: "OK"},
		"one function":   {entry: strings.Replace(cardMap, "01:00,", "01:00.0,", 1), exit: "OK"},
		"another card":   {entry: strings.Replace(cardMap, "2c05", "2684", 1), exit: changed + "'id' does not match for 'card' (10de:2c05 != 10de:2684)"},
		"another group":  {entry: strings.Replace(cardMap, "=12", "=13", 1), exit: changed + "'iommugroup' does not match for 'card' (12 != 13)"},
		"another board":  {entry: strings.Replace(cardMap, "5315", "9999", 1), exit: changed + "'subsystem-id' does not match for 'card' (1462:5315 != 1462:9999)"},
		"no group":       {entry: strings.Replace(cardMap, "iommugroup=12,", "", 1), exit: changed + "missing expected property 'iommugroup' for device '0000:01:00.0'"},
		"no subsystem":   {entry: strings.TrimSuffix(cardMap, ",subsystem-id=1462:5315"), exit: changed + "missing expected property 'subsystem-id' for device '0000:01:00.0'"},
		"no such slot":   {entry: strings.Replace(cardMap, "0000:01", "0000:07", 1), exit: changed + "pci device '0000:07:00.0' not found"},
		"mdev":           {entry: cardMap, mdev: true, exit: changed + "'mdev' does not match for 'card' (0 != 1)"},
		"another node's": {entry: strings.Replace(cardMap, "node=pve", "node=other", 1), exit: "PCI device mapping not found for 'card'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(vm(140, "machine:=q35 hostpci0:=mapping=card,pcie=1"))
			host.Mappings = []pvetest.Mapping{{ID: "card", Map: []string{tt.entry}, MDev: tt.mdev}}
			inBubble(t, host, func(l *lab) {
				if exit := l.task("POST", startPath); exit != tt.exit {
					t.Errorf("the start ends with %q, want %q", exit, tt.exit)
				}
			})
		})
	}
}

// The result of a start depends on the state of the node.
func TestStartMeetsTheNode(t *testing.T) {
	t.Parallel()
	const card = "hostpci0:=0000:01:00"
	for name, tt := range map[string]struct {
		vms  []pvetest.VM
		host func(*pvetest.Host)
		act  func(*lab)
		exit string
		log  string
	}{
		"the card is in use":     {vms: []pvetest.VM{vm(140, card), running(141, card)}, exit: "PCI device '0000:01:00.0' already in use by VMID '141'"},
		"one function is in use": {vms: []pvetest.VM{vm(140, "hostpci0:=0000:01:00.0"), running(141, "hostpci0:=0000:01:00.1")}, exit: "start failed: QEMU exited with code 1", log: "/dev/vfio/12: Device or resource busy"},
		"another VM is starting": {vms: []pvetest.VM{vm(140, card), vm(141, card)}, act: func(l *lab) { l.want("POST", "/nodes/pve/qemu/141/status/start"); time.Sleep(time.Second) }, exit: "PCI device '0000:01:00.0' is currently reserved for use by VMID '141'"},
		"its process has just ended": {vms: []pvetest.VM{vm(140, card), running(141, card)}, act: func(l *lab) {
			l.SetGuest(141, pvetest.Guest{Shutdown: 900 * time.Millisecond})
			l.want("POST", "/nodes/pve/qemu/141/status/shutdown")
			time.Sleep(600 * time.Millisecond)
		}, exit: "OK", log: "leftover PCI reservation found for 0000:01:00.0, lets take it..."},
		"it runs already":                     {vms: []pvetest.VM{running(140, "")}, exit: "VM 140 already running"},
		"a backup keeps it running":           {vms: []pvetest.VM{running(140, "lock:=backup")}, exit: "OK"},
		"it migrates":                         {vms: []pvetest.VM{running(140, "lock:=migrate")}, exit: "VM is locked (migrate)"},
		"it does not exist":                   {exit: "Configuration file 'nodes/pve/qemu-server/140.conf' does not exist"},
		"the card fell off the bus":           {vms: []pvetest.VM{vm(140, card)}, act: func(l *lab) { l.LoseCard("0000:01:00") }, exit: "start failed: QEMU exited with code 1", log: "stuck in D3"},
		"the reset fails":                     {vms: []pvetest.VM{vm(140, card)}, host: func(h *pvetest.Host) { h.PCI[11].ResetFails = true }, exit: "OK", log: "failed to reset PCI device '0000:01:00.0', but trying to continue"},
		"the IOMMU is off":                    {vms: []pvetest.VM{vm(140, card)}, host: func(h *pvetest.Host) { h.NoIOMMU = true }, exit: "cannot prepare PCI pass-through, IOMMU not present"},
		"the card has no group":               {vms: []pvetest.VM{vm(140, card)}, act: func(l *lab) { l.MoveCard("0000:01:00", "0000:01:00", -1) }, exit: "Cannot open iommu_group: No such file or directory"},
		"the card moved":                      {vms: []pvetest.VM{vm(140, card)}, act: func(l *lab) { l.MoveCard("0000:01:00", "0000:04:00", 12) }, exit: "no PCI device found for '0000:01:00'"},
		"a storage is away":                   {vms: []pvetest.VM{vm(140, "scsi0:=service-pool:vm-140-disk-0,size=8G")}, host: func(h *pvetest.Host) { h.Storages[2].Inactive = true }, exit: "storage 'service-pool' is not online"},
		"a zvol is gone":                      {vms: []pvetest.VM{vm(140, "scsi0:=media-pool:vm-140-disk-0,size=8G")}, act: lose("media-pool:vm-140-disk-0"), exit: "timeout: no zvol device link for 'vm-140-disk-0' found after 300 sec."},
		"a logical volume is gone":            {vms: []pvetest.VM{vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=8G")}, act: lose("local-lvm:vm-140-disk-0"), exit: "no such logical volume pve/vm-140-disk-0"},
		"more virtual CPUs than the host has": {vms: []pvetest.VM{vm(140, "sockets:=2 cores:=8")}, exit: "MAX 8 vcpus allowed per VM on this node"},
		"huge pages without NUMA":             {vms: []pvetest.VM{vm(140, "hugepages:=2 memory:=2048")}, exit: "numa needs to be enabled to use hugepages at /usr/share/perl5/PVE/QemuServer/Memory.pm line 388."},
		"memory of broken pages":              {vms: []pvetest.VM{vm(140, "hugepages:=1024 numa:=1 memory:=2560")}, exit: "Memory size 2560 is not a multiple of the requested hugepages size 1024"},
		"huge pages":                          {vms: []pvetest.VM{vm(140, "hugepages:=1024 numa:=1 memory:=2048")}, exit: "OK"},
		"an image is gone":                    {vms: []pvetest.VM{vm(140, "ide2:=local:iso/gone.iso,media=cdrom")}, exit: "volume 'local:iso/gone.iso' does not exist"},
		"another task has the VM": {vms: []pvetest.VM{running(140, "")}, act: func(l *lab) {
			l.SetGuest(140, pvetest.Guest{Hang: true})
			l.want("POST", "/nodes/pve/qemu/140/status/shutdown", "timeout", "100")
		}, exit: "can't lock file '/var/lock/qemu-server/lock-140.conf' - got timeout", log: "trying to acquire lock..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(tt.vms...)
			if tt.host != nil {
				tt.host(&host)
			}
			synctestNode(t, host, func(l *lab) {
				if tt.act != nil {
					tt.act(l)
				}
				upid, _ := l.want("POST", startPath).(string)
				if exit := l.wait(upid); exit != tt.exit {
					t.Errorf("the start ends with %q, want %q", exit, tt.exit)
				}
				if log := l.log(upid); !strings.Contains(log, tt.log) || !strings.Contains(log, "TASK ") {
					t.Errorf("its log is %q, want %q in it", log, tt.log)
				}
			})
		})
	}
}

// The function "lose" returns a function that deletes a volume while a VM still
// names it.
func lose(volume string) func(*lab) {
	pool, _, _ := strings.Cut(volume, ":")
	return func(l *lab) { l.task("DELETE", "/nodes/pve/storage/"+pool+"/content/"+volume) }
}

// If a mapping has several entries, a VM gets the first device that is free.
func TestStartTakesAnAlternative(t *testing.T) {
	t.Parallel()
	host := pvetest.AMD()
	radeon := "node=pve,path=0000:0c:00.0,id=1002:73df,iommugroup=22,subsystem-id=1043:87c0"
	geforce := "node=pve,path=0000:0d:00.0,id=10de:2504,iommugroup=24,subsystem-id=1043:87c0"
	host.Mappings = []pvetest.Mapping{{ID: "any", Map: []string{radeon, geforce}}}
	for id := 140; id < 143; id++ {
		host.VMs = append(host.VMs, vm(id, "hostpci0:=mapping=any"))
	}
	inBubble(t, host, func(l *lab) {
		for i, exit := range []string{"OK", "OK", "could not find a free device for 'hostpci0'"} {
			if got := l.task("POST", fmt.Sprintf("/nodes/pve/qemu/%d/status/start", 140+i)); got != exit {
				t.Errorf("start of VM %d: %q, want %q", 140+i, got, exit)
			}
		}
		for id, address := range map[int]string{140: "0000:0c:00.0", 141: "0000:0d:00.0"} {
			if state, _ := l.VM(id); !slices.Equal(state.Devices, []string{address}) {
				t.Errorf("VM %d has %v, want %s", id, state.Devices, address)
			}
		}
	})
}

// After a power cut, tasks are gone and cards are back. If two VMs with onboot
// need the same card, one of them gets it.
func TestRestart(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "onboot:=1 startup:=order=2 hostpci0:=0000:01:00"), vm(141, "onboot:=1 startup:=order=1 hostpci0:=0000:01:00"), running(142, ""))
	inBubble(t, host, func(l *lab) {
		upid, _ := l.want("POST", "/nodes/pve/qemu/142/status/reset").(string)
		l.LoseCard("0000:01:00")
		l.Restart()
		if exit := l.wait(upid); exit != "unexpected status" {
			t.Errorf("a task in the middle ended with %q", exit)
		}
		time.Sleep(time.Minute)
		if got := l.Running(); !slices.Equal(got, []int{141}) {
			t.Errorf("running: %v", got)
		}
	})
}

// If a VM takes the controller of the host's own disk, Check returns an error.
func TestCheckSeesWhatTheHostLost(t *testing.T) {
	t.Parallel()
	host := pvetest.SharedGroup()
	host.VMs = []pvetest.VM{vm(140, "hostpci0:=0000:04:00")}
	synctestNode(t, host, func(l *lab) {
		if exit := l.task("POST", startPath); exit != "OK" {
			t.Errorf("start: %s", exit)
		}
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), "the host has lost 0000:01:00.1") {
			t.Errorf("Check: %v", err)
		}
	})
}
