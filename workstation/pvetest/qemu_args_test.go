package pvetest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/slow"
)

// argsVM is the configuration of the VM for which args are checked. The VM has
// a disk, a CD drive, a network card, a card with two functions, a controller
// with one function, and PVE's own devices.
const argsVM = "bios:=ovmf ostype:=win11 agent:=1 scsihw:=virtio-scsi-single scsi0:=local-lvm:vm-140-disk-0 ide2:=none,media=cdrom " +
	"net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0 hostpci0:=0000:01:00 hostpci1:=0000:00:14.0 usb0:=host=046d:c52b vga:=std"

// argsCases holds values of args with QEMU's message. The message is "" if QEMU
// accepts the value.
var argsCases = []struct{ machine, args, says string }{
	{"q35", "-device usb-kbd,bus=ehci.0,port=2", ""},
	{"pc", "-device usb-kbd,bus=ehci.0,port=2", "Bus 'ehci.0' not found"},
	{"pc", "-device usb-kbd,bus=uhci.0,port=2", ""},
	{"q35", "-device usb-kbd,bus=uhci.0", "Bus 'uhci.0' not found"},
	{"q35", "-device usb-kbd,bus=uhci-1.0", "Bus 'uhci-1.0' not found"},
	{"pc", "-device virtio-rng-pci,bus=pcie.0", "Bus 'pcie.0' not found"},
	{"pc", "-device pcie-root-port,id=rp", ""},
	{"q35", "-device pcie-root-port,id=rp,chassis=9 -device qemu-xhci,bus=rp", ""},
	{"q35", "-device pcie-root-port,id=rp,chassis=9 -device qemu-xhci,bus=rp.0", "Bus 'rp.0' not found"},
	{"q35", "-device usb-kbd,bus=mine.0 -device qemu-xhci,id=mine", "Bus 'mine.0' not found"},
	{"q35", "-device qemu-xhci,id=mine -device usb-kbd,bus=mine.0 -device usb-tablet,bus=mine.0", ""},
	{"q35", "-device nec-usb-xhci -device usb-kbd,bus=usb-bus.0", ""},
	{"q35", "-device usb-kbd,bus=usb-bus.0", "Bus 'usb-bus.0' not found"},
	{"q35", `-device '{"driver":"usb-kbd","bus":"nowhere.0"}'`, "Bus 'nowhere.0' not found"},
	{"q35", "-device usb-kbd,bus=pcie.0", "Device 'usb-kbd' can't go on PCIE bus"},
	{"q35", "-device nosuch,id=a", "'nosuch' is not a valid device model name"},
	{"q35", "--device nosuch", "'nosuch' is not a valid device model name"},
	{"q35", "-device isa-applesmc,osk=x -smbios type=2 -device vmcoreinfo", ""},
	{"q35", "-device virtio-rng-pci,id=net0", "Duplicate ID 'net0' for device"},
	{"q35", "-device virtio-rng-pci,id=tablet", "Duplicate ID 'tablet' for device"},
	{"q35", "-device virtio-rng-pci,id=hostpci0", ""}, // the ID is free, because the IDs of the card are hostpci0.0 and hostpci0.1
	{"q35", "-device virtio-rng-pci,id=hostpci0.1", "Duplicate ID 'hostpci0.1' for device"},
	{"q35", "-device virtio-rng-pci,id=1st", "Parameter 'id' expects an identifier"},
	{"q35", "-drive if=none,id=drive-scsi0,file=DISK,format=raw", "Duplicate ID 'drive-scsi0' for drive"},
	{"q35", "-drive if=none,id=a,file=DISK,format=raw -drive if=none,id=a,file=DISK,format=raw", "Duplicate ID 'a' for drive"},
	{"q35", "-drive if=none,id=a,file=DISK,format=raw -device ide-hd,bus=ide.1,unit=1,drive=a", "Can't create IDE unit 1, bus supports only 1 units"},
	{"pc", "-drive if=none,id=a,file=DISK,format=raw -device ide-hd,bus=ide.1,unit=1,drive=a", ""},
	{"pc", "-drive if=none,id=a,file=DISK,format=raw -device ide-hd,bus=ide.2,drive=a", "Bus 'ide.2' not found"},
	{"q35", "-device virtio-scsi-pci,id=more -drive if=none,id=a,file=DISK,format=raw -device scsi-hd,bus=more.0,drive=a", ""},
	{"q35", "-device ich9-ahci,id=more -drive if=none,id=a,file=DISK,format=raw -device ide-hd,bus=more.5,drive=a", ""},
	{"q35", "-netdev user,id=net0", "Duplicate ID 'net0' for netdev"},
	{"q35", "-drive if=pflash,format=raw,file=DISK", "machine type does not support if=pflash,bus=0,unit=2"},
	{"pc", "-pflash DISK", "machine type does not support if=pflash,bus=0,unit=2"},
	{"q35", "-drive if=pflash,unit=0,format=raw,file=DISK", "drive with bus=0, unit=0 (index=-1) exists"},
	{"q35", "-set device.hostpci1.multifunction=on", ""},
	{"q35", "-set device.hostpci2.multifunction=on", `there is no device "hostpci2" defined`},
	{"q35", "-set device.hostpci0.0.multifunction=on", `there is no device "hostpci0" defined`}, // QEMU reads the ID up to its first "."
	{"q35", "-set device.hostpci1", `can't parse: "device.hostpci1"`},
	{"q35", "-set hostpci1.multifunction=on", `can't parse: "hostpci1.multifunction=on"`},
	{"q35", "-set drive.drive-scsi0.cache=none", ""},
	{"q35", "-set drive.drive-scsi1.cache=none", `there is no drive "drive-scsi1" defined`},
	{"q35", "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -global nec-usb-xhci.msi=off", ""},
	{"pc", "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off", ""},
	{"q35", "-global nec-usb-xhci.msi", "Invalid parameter 'nec-usb-xhci.msi'"},
	{"q35", "-global driver=cfi.pflash01,property=secure", "options 'driver', 'property', and 'value' are required"},
	{"q35", "-foo", "-foo: invalid option"},
	{"q35", "-device", "-device: requires an argument"},
	{"q35", "-uuid 00000000-0000-0000-0000-000000000100 -no-reboot", ""},
	{"q35", "-usb", "PCI: slot 29 function 7 not available for ich9-usb-ehci1, in use by ich9-usb-ehci1,id=(null)"}, // PVE has already added this controller
	{"pc", "-usb", "PCI: slot 1 function 2 not available for piix3-usb-uhci, in use by piix3-usb-uhci,id=(null)"},
	{"q35", "word", "word: Could not open 'word': No such file or directory"},
	{"q35", "-smbios 'type=2,product=A B' -cpu max,kvm=off", ""},
}

// If QEMU refuses args, the start task fails, and its log has QEMU's words.
func TestStartJudgesArgs(t *testing.T) {
	t.Parallel()
	for _, tt := range argsCases {
		t.Run(tt.machine+" "+tt.args, func(t *testing.T) {
			t.Parallel()
			machine := vm(140, argsVM+" machine:="+tt.machine)
			machine.Config["args"] = tt.args
			inBubble(t, machines(machine), func(l *lab) {
				upid := fmt.Sprint(l.want("POST", startPath))
				exit := l.wait(upid)
				if want := map[bool]string{true: "OK", false: "start failed: QEMU exited with code 1"}[tt.says == ""]; exit != want {
					t.Errorf("the start ends with %q, want %q", exit, want)
				}
				if log := l.log(upid); tt.says != "" && !strings.Contains(log, "kvm: ") || !strings.Contains(log, tt.says) {
					t.Errorf("the log lacks %q:\n%s", tt.says, log)
				}
			})
		})
	}
}

// A real QEMU gives the same message for the same arguments.
func TestQEMUSaysTheSameOfArgs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts QEMU")
	}
	const firmware = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	_, err := exec.LookPath("qemu-system-x86_64")
	if err == nil {
		_, err = os.Stat(firmware)
	}
	switch {
	case err != nil && os.Getenv("PROXSTATION_LAB") == "required":
		t.Fatal(err)
	case err != nil:
		t.Skip("no QEMU: ", err)
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, tt := range slow.Pick(t, 12, argsCases, func(c struct{ machine, args, says string }) string { return c.args }) {
		said := qemu(t, tt.machine, firmware, disk, strings.ReplaceAll(tt.args, "DISK", disk))
		if refused := said != ""; refused != (tt.says != "") || !strings.Contains(said, tt.says) {
			t.Errorf("%d: %s, %s: QEMU says %q, want %q", i, tt.machine, tt.args, said, tt.says)
		}
	}
}

// qemu starts QEMU with the devices that PVE makes for the configuration
// argsVM. It returns QEMU's message if QEMU refuses the arguments.
func qemu(t *testing.T, machine, firmware, disk, args string) string {
	t.Helper()
	line := []string{"-name", "vm", "-machine", machine, "-m", "64", "-cpu", "max", "-nodefaults", "-display", "none", "-S", "-monitor", "stdio",
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + firmware, "-drive", "if=pflash,unit=1,format=raw,readonly=on,id=drive-efidisk0,file=" + firmware}
	add := func(devices ...string) {
		for _, device := range devices {
			line = append(line, "-device", device)
		}
	}
	tablet := "uhci"
	if machine == "q35" {
		tablet = "ehci"
		add("ich9-usb-ehci1,id=ehci,multifunction=on,bus=pcie.0,addr=1d.7")
		for i := range 3 {
			add(fmt.Sprintf("ich9-usb-uhci%d,id=uhci-%d,multifunction=on,bus=pcie.0,addr=1d.%d,masterbus=ehci.0,firstport=%d", i+1, i+1, i, 2*i))
		}
		for i := range 4 {
			add(fmt.Sprintf("pcie-root-port,id=ich9-pcie-port-%d,multifunction=on,bus=pcie.0,addr=1c.%d,port=%d,chassis=%d", i+1, i, i+1, i+1))
		}
		add("i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=1e.0")
		for i := range 4 {
			add(fmt.Sprintf("pci-bridge,id=pci.%d,bus=pcidmi,addr=%d.0,chassis_nr=%d", i, i+1, i+1))
		}
	} else {
		add("pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e", "pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f", "pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5",
			"piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2")
	}
	add("qemu-xhci,p2=15,p3=15,id=xhci,bus=pci.1,addr=0x1b", "usb-tablet,id=tablet,bus="+tablet+".0,port=1", "VGA,id=vga",
		"e1000,id=hostpci0.0,bus=pci.0,addr=0x10.0,multifunction=on", "e1000,id=hostpci0.1,bus=pci.0,addr=0x10.1", "e1000,id=hostpci1,bus=pci.0,addr=0x11", "usb-mouse,id=usb0,bus=xhci.0,port=1",
		"virtio-serial,id=qga0,bus=pci.0,addr=0x8", "virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3", "virtio-scsi-pci,id=virtioscsi0,bus=pci.3,addr=0x1")
	line = append(line, "-drive", "if=none,id=drive-scsi0,format=raw,file.locking=off,file="+disk)
	add("scsi-hd,bus=virtioscsi0.0,drive=drive-scsi0,id=scsi0", "ide-cd,bus=ide.1,id=ide2")
	line = append(line, "-netdev", "hubport,id=net0,hubid=0")
	add("virtio-net-pci,netdev=net0,bus=pci.0,addr=0x12,id=net0")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "-c", `exec qemu-system-x86_64 "$@" `+args, "sh")
	command.Args = append(command.Args, line...)
	command.Stdin = strings.NewReader("quit\n")
	text, err := command.CombinedOutput()
	if err == nil {
		return ""
	}
	_, said, _ := strings.Cut(string(text), "qemu-system-x86_64: ")
	return strings.TrimSpace(said + fmt.Sprintf(" (%v)", err))
}
