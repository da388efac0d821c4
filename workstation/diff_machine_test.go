package workstation_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// startsAlone reports whether a VM with this configuration starts on a node
// without other VMs.
func startsAlone(t *testing.T, config map[string]string) (ok bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		host.VMs = []pvetest.VM{{ID: 140, Config: config}}
		sim := pvetest.New(host, nil)
		err := open(sim).Start(t.Context(), 140)
		ok = err == nil
		if err != nil && !strings.Contains(err.Error(), "QEMU exited") {
			t.Errorf("%v: %v", config, err)
		}
	})
	return ok
}

// A plan may change the machine type or a device of a VM that has args. The
// plan must be refused if QEMU starts with these args before the change, but
// not after it. No other plan may be refused. The embedded node stands in for
// QEMU. TestQEMUSaysTheSameOfArgs of pvetest compares the embedded node with
// QEMU.
func TestArgsAgainstTheMachineThatWillBe(t *testing.T) {
	t.Parallel()
	var cases []map[string]string // configurations of existing VMs; a key that begins with > is a wanted value
	for _, args := range []string{
		"-device usb-kbd,bus=ehci.0,port=2", "-device usb-kbd,bus=uhci.0,port=2", "-device usb-kbd,bus=ehci-2.0", "-device virtio-rng-pci,bus=pcie.0", "-device virtio-rng-pci,bus=pci.0",
		"-device virtio-rng-pci,bus=ich9-pcie-port-2", "-device pcie-root-port,id=rp,chassis=9", "-device qemu-xhci,id=mine -device usb-kbd,bus=mine.0",
		"-drive if=none,id=a,file=/x,format=raw -device ide-hd,bus=ide.4,drive=a", "-drive if=none,id=a,file=/x,format=raw -device ide-hd,bus=ide.1,unit=1,drive=a",
		"-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -smbios type=2 -device vmcoreinfo", `-device '{"driver":"usb-kbd","bus":"ehci.0"}'`,
	} {
		for _, more := range []string{"", "usb0=host=046d:c52b", "usb0=host=046d:c52b,usb3=1"} {
			for _, ostype := range []string{"win11", "other"} {
				key, value, _ := strings.Cut(more, "=")
				cases = append(cases, map[string]string{"machine": "q35", ">machine": "pc", "args": args, "ostype": ostype, key: value}, map[string]string{"machine": "pc", ">machine": "q35", "args": args, "ostype": ostype, key: value})
			}
		}
	}
	card := map[string]string{">hostpci0": "0000:01:00"}
	controller := map[string]string{">hostpci0": "0000:00:14.0"}
	for _, args := range []string{"-device virtio-rng-pci,id=hostpci0.1", "-device virtio-rng-pci,id=hostpci0", "-device virtio-rng-pci,id=hostpci0.7"} {
		for _, wanted := range []map[string]string{card, controller} {
			cases = append(cases, with(wanted, map[string]string{"machine": "q35", "args": args}))
		}
	}
	cases = append(cases,
		map[string]string{"machine": "q35", "args": "-set device.hostpci0.multifunction=on", "hostpci0": "0000:01:00.0", ">hostpci0": "0000:01:00"},
		map[string]string{"machine": "q35", "args": "-pflash /x", ">bios": "ovmf"},
		map[string]string{"machine": "q35", "args": "-drive if=pflash,unit=1,format=raw,file=/x", ">bios": "ovmf"},
		map[string]string{"machine": "q35", ">args": "-usb"},
		map[string]string{"machine": "q35", ">args": "-drive if=none,id=drive-scsi0,file=/x"})
	refused := 0
	for _, c := range cases {
		have := map[string]string{"name": "vm", "scsihw": "virtio-scsi-single", "scsi0": "local-lvm:vm-140-disk-0,size=8G", "boot": "order=scsi0", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}
		want := map[string]string{}
		for key, value := range c {
			if wanted, is := strings.CutPrefix(key, ">"); is {
				want[wanted] = value
			} else if key != "" {
				have[key] = value
			}
		}
		will := with(have, want)
		facts := observe(t, pvetest.New(pvetest.Reference(), nil))
		facts.RootTicket = proxstation.Yes
		facts.VMs = map[int]workstation.VMFacts{140: {ID: 140, Name: "vm", Config: have}}
		vm := workstation.VM{ID: 140, Name: "vm", Guest: gpu.AnyGuest, Config: want}
		plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
		blocked := hasFindings(plan, "workstation.args")
		if breaks := startsAlone(t, have) && !startsAlone(t, will); err != nil || blocked != breaks {
			t.Errorf("%v: breaks: %v, refused: %v, %v\n%s", c, breaks, blocked, err, plan)
		}
		if blocked {
			refused++
		}
	}
	if refused < 20 {
		t.Errorf("%d of %d are refused", refused, len(cases))
	}
}
