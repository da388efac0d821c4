package pvetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A commandLine holds the IDs, buses and firmware units that QEMU's arguments
// have used so far.
type commandLine struct {
	ids     map[string]bool   // "device net0", "drive drive-scsi0"
	buses   map[string]string // kind of each bus, by its name
	count   map[string]int    // number of buses that QEMU named itself, by kind of bus
	flashed [2]bool           // firmware units in use
}

// newCommandLine returns the devices that PVE itself puts into QEMU's command
// line (qemu-server PVE/QemuServer.pm, config_to_command;
// PVE/QemuServer/PCI.pm, USB.pm, DriveDevice.pm; pve-q35-4.0.cfg and
// pve-usb.cfg). The arguments in the key args may conflict with these devices.
func newCommandLine(config map[string]string, devices []hostpci) *commandLine {
	l := &commandLine{ids: map[string]bool{}, buses: map[string]string{"isa.0": "ISA", "i2c": "i2c-bus"}, count: map[string]int{}}
	l.flashed = [2]bool{config["bios"] == "ovmf", config["bios"] == "ovmf"}
	if config["bios"] == "ovmf" {
		l.ids["drive drive-efidisk0"] = config["efidisk0"] != ""
	}
	if strings.Contains(config["machine"], "q35") {
		l.q35()
	} else {
		l.i440fx(config)
	}
	l.usb(config)
	if config["agent"] == "1" || strings.HasPrefix(config["agent"], "1,") || property(config["agent"], "enabled") == "1" {
		l.device("virtio-serial", "qga0")
		l.ids["chardev qga0"] = true
	}
	if config["balloon"] != "0" {
		l.device("virtio-balloon-pci", "balloon0")
	}
	if config["tablet"] != "0" && !strings.HasPrefix(config["vga"], "qxl") && !strings.HasPrefix(config["vga"], "serial") {
		l.device("usb-tablet", "tablet")
	}
	if kind, _, _ := strings.Cut(config["vga"], ","); kind != "none" && !strings.HasPrefix(kind, "serial") {
		l.device("VGA", "vga")
	}
	for _, key := range sorted(config) {
		l.add(key, config)
	}
	for _, d := range devices {
		l.hostPCI(d)
	}
	return l
}

func (l *commandLine) q35() {
	l.buses["pcie.0"] = "PCIE"
	for i := range 6 { // ports of the chipset's AHCI controller
		l.buses[fmt.Sprint("ide.", i)] = "IDE"
	}
	l.count["IDE"] = 6
	for _, id := range []string{"ehci", "ehci-2"} {
		l.device("ich9-usb-ehci1", id)
	}
	for i := range 6 {
		l.ids[fmt.Sprint("device uhci-", i+1)] = true // companion controllers, which share the ports of ehci
	}
	l.device("ich9-intel-hda", "audio0")
	for i := range 4 {
		l.device("pcie-root-port", fmt.Sprint("ich9-pcie-port-", i+1))
	}
	for _, id := range []string{"pcidmi", "pci.0", "pci.1", "pci.2", "pci.3"} {
		l.device("pci-bridge", id)
	}
}

func (l *commandLine) i440fx(config map[string]string) {
	l.buses["pci.0"], l.buses["ide.0"], l.buses["ide.1"], l.count["IDE"] = "PCI", "IDE", "IDE", 2
	l.device("pci-bridge", "pci.1")
	l.device("pci-bridge", "pci.2")
	if config["scsihw"] == "virtio-scsi-single" {
		l.device("pci-bridge", "pci.3")
	}
	l.device("piix3-usb-uhci", "uhci")
}

// usbTwice returns QEMU's message for the argument -usb. This argument adds a
// USB controller at the address at which PVE adds its own controller.
func (l *commandLine) usbTwice() string {
	line, driver, slot, function := "-device piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2", "piix3-usb-uhci", 1, 2
	if l.buses["pcie.0"] != "" {
		line, driver, slot, function = "-readconfig /usr/share/qemu-server/pve-q35-4.0.cfg", "ich9-usb-ehci1", 29, 7
	}
	return fmt.Sprintf("kvm: %s: PCI: slot %d function %d not available for %s, in use by %s,id=(null)", line, slot, function, driver, driver)
}

// beforeXHCI matches machine versions before 7.1. From 7.1 on, PVE gives modern
// guests one xHCI controller for all USB devices.
var beforeXHCI = regexp.MustCompile(`^pc-(q35|i440fx)-([0-6]\.|7\.0)`)

func (l *commandLine) usb(config map[string]string) {
	modern := slices.Contains([]string{"l26", "win8", "win10", "win11"}, config["ostype"]) && !beforeXHCI.MatchString(config["machine"])
	two, three := false, false
	for key, value := range config {
		if strings.HasPrefix(key, "usb") {
			fast := property(value, "usb3") == "1"
			two, three = two || !fast, three || fast
			l.ids["device "+key] = true
		}
	}
	if modern && (two || three) || three {
		l.device("qemu-xhci", "xhci")
	}
	if two && !modern && !strings.Contains(config["machine"], "q35") {
		l.device("ich9-usb-ehci1", "ehci")
	}
}

// The method "add" adds the devices that PVE makes for one key of the
// configuration.
func (l *commandLine) add(key string, config map[string]string) {
	number := atoi(strings.TrimLeft(key, "abcdefghijklmnopqrstuvwxyz"), 0)
	switch family := strings.TrimRight(key, "0123456789"); {
	case family == "net":
		l.ids["netdev "+key] = true
		l.device("virtio-net-pci", key)
	case family == "audio":
		l.device("ich9-intel-hda", "audiodev0")
	case family == "scsi":
		most, prefix := 256, "scsihw"
		switch hardware := config["scsihw"]; {
		case hardware == "" || strings.HasPrefix(hardware, "lsi"):
			most = 7
		case hardware == "virtio-scsi-single":
			most, prefix = 1, "virtioscsi"
		}
		l.device("virtio-scsi-pci", fmt.Sprint(prefix, number/most))
	case family == "sata":
		l.device("ahci", "ahci0")
	}
	if isDrive(key) {
		l.ids["device "+key] = true
		l.ids["drive drive-"+key] = parseDrive(config[key]).volume != "none"
	}
}

// hostPCI adds a passed-through device. If the device has several functions,
// the ID of each function has a number at its end.
func (l *commandLine) hostPCI(d hostpci) {
	key := "hostpci" + text(d.slot)
	if !d.multifunction() || d.keys["mdev"] != "" {
		l.ids["device "+key] = true
		return
	}
	for i := range d.alternatives[0] {
		l.ids[fmt.Sprintf("device %s.%d", key, i)] = true
	}
}

func (l *commandLine) device(driver, id string) {
	l.ids["device "+id] = true
	l.make(driver, id)
}

// The method "make" adds the buses of a device. If the device has an ID, QEMU
// names its buses after the ID. If not, QEMU names each bus after the kind of
// the bus and a number (QEMU hw/core/bus.c, qbus_init).
func (l *commandLine) make(driver, id string) {
	kind, several := "", 1
	switch {
	case slices.Contains([]string{"pcie-root-port", "ioh3420", "x3130-upstream", "xio3130-downstream", "pxb-pcie"}, driver):
		l.buses[id] = "PCIE"
		return
	case slices.Contains([]string{"pci-bridge", "i82801b11-bridge", "pcie-pci-bridge", "pxb"}, driver):
		l.buses[id] = "PCI"
		return
	case driver == "nvme":
		kind = "nvme-bus"
	case strings.Contains(driver, "-ehci") || strings.Contains(driver, "xhci") || strings.Contains(driver, "-uhci") || driver == "pci-ohci":
		kind = "usb-bus"
	case strings.HasPrefix(driver, "virtio-serial"):
		kind = "virtio-serial-bus"
	case strings.HasSuffix(driver, "intel-hda"):
		kind = "HDA"
	case driver == "ahci" || driver == "ich9-ahci":
		kind, several = "IDE", 6
	case strings.HasPrefix(driver, "virtio-scsi") || strings.HasPrefix(driver, "lsi") || strings.HasPrefix(driver, "megasas") ||
		slices.Contains([]string{"pvscsi", "mptsas1068", "am53c974", "dc390", "usb-bot", "usb-uas"}, driver):
		kind = "SCSI"
	}
	for i := range several {
		switch {
		case kind == "":
		case id != "":
			l.buses[fmt.Sprintf("%s.%d", id, i)] = kind
		default:
			l.buses[fmt.Sprintf("%s.%d", strings.ToLower(kind), l.count[kind])] = kind
			l.count[kind]++
		}
	}
}

// ahci reports whether an IDE bus is a port of an AHCI controller, which
// accepts one drive only. The IDE buses of i440fx do not belong to an AHCI
// controller.
func (l *commandLine) ahci(bus string) bool {
	return l.buses["pcie.0"] != "" || !strings.HasPrefix(bus, "ide.")
}
