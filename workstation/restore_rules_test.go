package workstation_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

func TestRestoreRules(t *testing.T) {
	t.Parallel()
	const disk = "local-lvm:vm-140-disk-0,size=64G"
	tests := map[string]struct {
		old, now string // "key:=value key:=value"
		set, del string
		boot     string // the boot order that a separate step sets
		find     string
	}{
		"nothing":                           {"cores:=4", "cores:=4", "", "", "", ""},
		"a value":                           {"cores:=4", "cores:=8", "cores:=4", "", "", ""},
		"a key that came":                   {"", "cores:=8", "", "cores", "", ""},
		"a key that went":                   {"cores:=4", "", "cores:=4", "", "", ""},
		"what came beside a value":          {"net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0", "net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1", "net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0", "", "", ""},
		"another spelling":                  {"agent:=1", "agent:=enabled=1", "", "", "", ""},
		"what PVE keeps for itself":         {"vmgenid:=a parent:=x", "vmgenid:=b meta:=m lock:=backup", "", "", "", "workstation.locked"},
		"an unused disk":                    {"", "unused0:=local-lvm:vm-140-disk-9", "", "", "", ""},
		"an unused disk that went":          {"unused0:=local-lvm:vm-140-disk-9", "", "", "", "", ""},
		"a disk that came":                  {"", "scsi1:=" + disk, "", "", "", "restore.disk-added"},
		"a disk that grew":                  {"scsi0:=" + disk, "scsi0:=local-lvm:vm-140-disk-0,size=128G", "", "", "", "restore.disk-grown"},
		"options of a disk that grew":       {"scsi0:=" + disk + ",ssd=1", "scsi0:=local-lvm:vm-140-disk-0,cache=writeback,size=128G", "scsi0:=local-lvm:vm-140-disk-0,ssd=1,size=128G", "", "", "restore.disk-grown"},
		"a disk in place of another":        {"scsi0:=" + disk, "scsi0:=service-pool:vm-140-disk-3,size=64G unused0:=local-lvm:vm-140-disk-0", "", "", "", "restore.disk-replaced"},
		"a disk that was detached":          {"scsi1:=" + disk + ",ssd=1", "unused0:=local-lvm:vm-140-disk-0", "scsi1:=local-lvm:vm-140-disk-0,ssd=1", "", "", ""},
		"a disk that is gone":               {"scsi1:=" + disk, "", "", "", "", "restore.disk-gone"},
		"a disk of the host":                {"scsi1:=/dev/disk/by-id/ata-X,size=4T", "", "scsi1:=/dev/disk/by-id/ata-X", "", "", "workstation.root-only"},
		"a disk where a CD was":             {"ide0:=none,media=cdrom", "ide0:=" + disk, "", "", "", "restore.disk-replaced"},
		"a CD that came":                    {"boot:=order=scsi0 scsi0:=" + disk, "boot:=order=scsi0;ide2 scsi0:=" + disk + " ide2:=none,media=cdrom", "", "ide2", "", ""},
		"a CD that went":                    {"boot:=order=scsi0 scsi0:=" + disk + " ide2:=local:iso/a.iso,media=cdrom,size=4M", "boot:=order=scsi0 scsi0:=" + disk, "ide2:=local:iso/a.iso,media=cdrom", "", "order=scsi0", ""},
		"a CD in place of a CD":             {"ide2:=local:iso/a.iso,media=cdrom", "ide2:=none,media=cdrom", "ide2:=local:iso/a.iso,media=cdrom", "", "", ""},
		"a drive of cloud-init that came":   {"", "ide2:=local-lvm:vm-140-cloudinit,media=cdrom", "", "ide2", "", ""},
		"a drive of cloud-init that went":   {"ide2:=local-lvm:vm-140-cloudinit,media=cdrom,size=4M", "", "ide2:=local-lvm:cloudinit,media=cdrom", "", "", ""},
		"the boot order":                    {"boot:=order=scsi0;net0 scsi0:=" + disk + " net0:=virtio", "boot:=order=net0 scsi0:=" + disk + " net0:=virtio", "boot:=order=scsi0;net0", "", "", ""},
		"a boot order of what is not there": {"boot:=order=scsi1;scsi0 scsi0:=" + disk + " scsi1:=local-lvm:vm-140-disk-1", "boot:=order=scsi0 scsi0:=" + disk, "", "", "", "restore.disk-gone"},
		"a password that came":              {"", "cipassword:=**********", "", "cipassword", "", ""},
		"a password that went":              {"cipassword:=**********", "", "", "", "", "restore.password"},
		"a password that is there":          {"cipassword:=**********", "cipassword:=**********", "", "", "", ""},
		"a VM made anew":                    {"meta:=ctime=1 cores:=2", "meta:=ctime=2", "", "", "", "restore.another"},
		"an address that only root gives":   {"hostpci0:=0000:01:00", "hostpci0:=mapping=rtx", "hostpci0:=0000:01:00", "", "", "workstation.root-only"},
		"an address that only root takes":   {"", "hostpci0:=0000:01:00", "", "hostpci0", "", "workstation.root-only"},
		"arguments that only root takes":    {"", "args:=-no-hpet", "", "args", "", "workstation.root-only"},
		"a mapping that is gone":            {"hostpci0:=mapping=rtx", "", "hostpci0:=mapping=rtx", "", "", "gpu."},
	}
	fixes := map[string]string{"an address that only root gives": ", or name a resource mapping in place of the address or the port.",
		"arguments that only root takes": "Log in as root@pam with a password.", "a disk of the host": "Log in as root@pam with a password."}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := workstation.Facts{Node: "pve", RootTicket: proxstation.No, VMs: map[int]workstation.VMFacts{140: {ID: 140, Name: "a", Digest: "d1", Config: values(test.now)}}}
			facts.VMs[140] = locked(facts.VMs[140])
			p, err := workstation.RestorePlan(workstation.Snapshot{Node: "pve", Configs: map[int]map[string]string{140: values(test.old)}}, facts)
			if err != nil {
				t.Fatal(err)
			}
			set, del, boot := "", "", ""
			for i, step := range p.Steps {
				change, isChange := step.(workstation.ChangeVM)
				if !isChange || change.Digest != "d1" || !change.Exact {
					t.Fatalf("step %+v", step)
				}
				if i > 0 {
					boot = change.Set["boot"]
					continue
				}
				set, del = joined(change.Set), strings.Join(change.Delete, " ")
			}
			found := ""
			for _, f := range p.Findings {
				found += f.ID + " "
				if f.ID == "workstation.root-only" && !strings.HasSuffix(f.Fix, fixes[name]) {
					t.Errorf("fix %q, want %q", f.Fix, fixes[name])
				}
			}
			if set != test.set || del != test.del || boot != test.boot || test.find == "" && found != "" || !strings.Contains(found, test.find) {
				t.Errorf("set %q, delete %q, boot %q, findings %q; want %q, %q, %q, %q", set, del, boot, found, test.set, test.del, test.boot, test.find)
			}
		})
	}
}

// This parses a configuration of the form "key:=value key:=value".
func values(text string) map[string]string {
	config := map[string]string{}
	for field := range strings.SplitSeq(text, " ") {
		if key, value, found := strings.Cut(field, ":="); found {
			config[key] = value
		}
	}
	return config
}

func joined(config map[string]string) string {
	var fields []string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		fields = append(fields, key+":="+config[key])
	}
	return strings.Join(fields, " ")
}

func locked(v workstation.VMFacts) workstation.VMFacts {
	v.Lock = v.Config["lock"]
	return v
}
