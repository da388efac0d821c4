package workstation_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns a host whose only VM has the given configuration.
func taken(config map[string]string) pvetest.Host {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 300, Config: config}}
	return host
}

// A plan leaves existing firmware volumes as they were made, and its findings
// about these volumes are true.
func TestFirmwareStaysAsItWasMade(t *testing.T) {
	t.Parallel()
	host := taken(map[string]string{"name": "windows", "memory": "8192", "cores": "4", "bios": "ovmf", "machine": "pc-q35-9.0", "ostype": "win11", "scsihw": "virtio-scsi-single",
		"efidisk0": "local-lvm:vm-300-disk-0,size=4M", "tpmstate0": "local-lvm:vm-300-disk-1,size=4M", "scsi0": "local-lvm:vm-300-disk-2,size=128G"})
	sim := pvetest.New(host, nil)
	vm := profile.Windows11{ID: 300, Name: "windows"}.VM()
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, sim))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range plan.Findings {
		if f.ID == "workstation.firmware" {
			seen++
		}
	}
	text, _, _ := strings.Cut(plan.String(), "warning")
	if seen != 3 || strings.Contains(text, "efidisk0") || strings.Contains(text, "tpmstate0") {
		t.Errorf("%d findings, %s", seen, plan)
	}
}

// A restore does not remove variables that PVE has written into the EFI disk,
// and it does not make PVE write them again.
func TestRestoreLeavesFirmwareAlone(t *testing.T) {
	t.Parallel()
	config := map[string]string{"name": "windows", "memory": "8192", "bios": "ovmf", "efidisk0": "local-lvm:vm-300-disk-0,efitype=4m,ms-cert=2023k,pre-enrolled-keys=1,size=4M"}
	before := observe(t, pvetest.New(taken(config), nil)).Snapshot()
	now := map[string]string{"name": "windows", "memory": "8192", "bios": "ovmf", "efidisk0": "local-lvm:vm-300-disk-0,efitype=4m,pre-enrolled-keys=1,size=4M"}
	plan, err := workstation.RestorePlan(before, observe(t, pvetest.New(taken(now), nil)))
	if err != nil || !plan.Empty() {
		t.Errorf("%v, %s", err, plan)
	}
}

// A mapping is written anew if its device has gained or lost mediated devices.
// Afterwards nothing is left to do.
func TestMappingForMediatedDevicesIsMended(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	for i := range host.PCI {
		if strings.HasPrefix(host.PCI[i].Address, "0000:01:00") {
			host.PCI[i].MDev = true
		}
	}
	host.Mappings = []pvetest.Mapping{{ID: "rtx", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	sim := pvetest.New(host, nil)
	spec := workstation.Spec{Mappings: []workstation.CardMapping{{ID: "rtx", Card: rtx}}}
	for i := range 2 {
		plan, err := workstation.Diff(spec, observe(t, sim))
		if err != nil || plan.Empty() != (i == 1) || i == 0 && !strings.Contains(plan.String(), "mdev") {
			t.Fatalf("%d: %v, %s", i, err, plan)
		}
		if err := open(sim).Apply(t.Context(), plan, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A value that PVE writes in its own form does not count as a difference.
func TestTakingOverAVMMadeByOthers(t *testing.T) {
	t.Parallel()
	host := taken(map[string]string{"name": "old", "memory": "2048", "machine": "q35", "net0": "e1000-82545em=BC:24:11:00:00:01,bridge=vmbr0", "vmgenid": "6f6d2b0a-1c2d-4e3f-8a9b-0c1d2e3f4a5b",
		"hostpci0": "01:00,pcie=1", "scsi0": "local-lvm:vm-300-disk-0,size=8G"})
	vm := workstation.VM{ID: 300, Name: "old", Guest: gpu.Linux, Disks: []workstation.Disk{{Slot: "scsi0", Size: 8 * storage.GiB, Options: map[string]string{"format": "raw"}}},
		Config: map[string]string{"net0": "model=e1000-82545em,bridge=vmbr0", "machine": "q35", "vmgenid": "1", "hostpci0": "0000:01:00,pcie=1"}}
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, pvetest.New(host, nil)))
	if err != nil || !plan.Empty() {
		t.Errorf("%v, %s", err, plan)
	}
	vm.Config["net0"] = "model=virtio,bridge=vmbr0"
	plan, err = workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, pvetest.New(host, nil)))
	if err != nil || !strings.Contains(plan.String(), "macaddr=BC:24:11:00:00:01") && !strings.Contains(plan.String(), "virtio=BC:24:11:00:00:01") {
		t.Errorf("another model: %v, %s", err, plan)
	}
}

func TestDisksAndProcessorsPVEWouldNotKeep(t *testing.T) {
	t.Parallel()
	host := taken(map[string]string{"name": "old", "memory": "2048", "scsi1": "local:iso/virtio-win-0.1.285.iso,media=cdrom,size=1G"})
	facts := observe(t, pvetest.New(host, nil))
	for says, vm := range map[string]workstation.VM{
		"the slot has a CD drive": {ID: 300, Name: "old", Disks: []workstation.Disk{{Slot: "scsi1", Size: 8 * storage.GiB}}},
		"at most 10000":           {ID: 300, Name: "old", Config: map[string]string{"cpuunits": "20000"}},
	} {
		if plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %s", says, err, plan)
		}
	}
	// A format is asked for only when the disk is made. The second plan is
	// empty.
	sim := pvetest.New(pvetest.Reference(), nil)
	vm := workstation.VM{ID: 300, Name: "new", Disks: []workstation.Disk{{Slot: "scsi0", Size: storage.GiB, Storage: "local-lvm", Options: map[string]string{"format": "raw"}}}}
	for i := range 2 {
		plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, sim))
		if err != nil || plan.Empty() != (i == 1) {
			t.Fatalf("%d: %v, %s", i, err, plan)
		}
		if err := open(sim).Apply(t.Context(), plan, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A step lists the privileges that PVE asks for, including the privileges
// outside the VM.
func TestPrivilegesElsewhere(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"net0 model=virtio,bridge=vmbr0":                   "/sdn/zones/localnetwork/vmbr0 SDN.Use",
		"net0 model=virtio,bridge=vmbr0,tag=7":             "/sdn/zones/localnetwork/vmbr0/7 SDN.Use",
		"virtiofs0 dirid=models,cache=auto":                "/mapping/dir/models Mapping.Use",
		"rng0 source=/dev/hwrng":                           "/mapping/hwrng Mapping.Use",
		"cpu custom-mine,flags=+aes":                       "/mapping/cpu/mine Mapping.Use",
		"vmstatestorage local-lvm":                         "/storage/local-lvm Datastore.AllocateSpace",
		"scsi1 local-lvm:vm-900-disk-0":                    "/vms/900 VM.Config.Disk",
		"scsi1 local-lvm:0,import-from=local:vm-900/x.raw": "Datastore.Audit|Datastore.AllocateSpace",
		"scsi1 local-lvm:0,import-from=lv:vm-900-disk-0":   "/vms/900 VM.Clone",
	} {
		key, text, _ := strings.Cut(value, " ")
		change := changeOf(workstation.CreateVM{VMID: 300, Name: "x", Config: map[string]string{key: text}})
		found := false
		for _, p := range change.Needs {
			found = found || p.String() == want || strings.HasSuffix(p.String(), want)
			if p.Name == "VM.Config.Disk" && p.Path == "/vms/300" && key == "scsi1" {
				t.Errorf("%s: making a VM wants %s", value, p)
			}
		}
		if !found {
			t.Errorf("%s needs %v, want %s", value, change.Needs, want)
		}
	}
	own := changeOf(workstation.CreateVM{VMID: 300, Name: "x", Config: map[string]string{"scsi1": "local-zfs:base-9000-disk-0/vm-300-disk-0"}})
	if len(own.Needs) != 1 {
		t.Errorf("a linked clone of its own needs %v", own.Needs)
	}
}

func changeOf(step workstation.Step) workstation.StepChange {
	return workstation.Plan{Steps: []workstation.Step{step}}.Changes()[0]
}
