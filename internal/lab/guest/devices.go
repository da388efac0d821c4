package guest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// modernUSB reports whether all USB devices are on one xHCI controller, as from
// machine version 7.1 on (qemu-server PVE/QemuServer/USB.pm, $use_qemu_xhci).
func (k *kvm) modernUSB() bool {
	old := regexp.MustCompile(`^pc-(q35|i440fx)-([0-6]\.|7\.0)`).MatchString(k.config["machine"])
	return !old && slices.Contains([]string{"l26", "win8", "win10", "win11"}, k.config["ostype"])
}

func (k *kvm) usbControllers() {
	usb2, usb3 := false, false
	for key, value := range k.config {
		if strings.HasPrefix(key, "usb") {
			three := strings.Contains(value, "usb3=1")
			usb2, usb3 = usb2 || !three, usb3 || three
		}
	}
	switch {
	case k.modernUSB() && (usb2 || usb3):
		k.device("qemu-xhci,id=xhci,p2=15,p3=15,bus=pci.1,addr=0x1b")
		return
	case usb3:
		k.device("nec-usb-xhci,id=xhci,bus=pci.1,addr=0x1b")
	}
	if usb2 && !k.q35 && !k.modernUSB() { // PVE uses the file pve-usb.cfg for this
		k.device("ich9-usb-ehci1,id=ehci,addr=1d.7,multifunction=on")
		for i := range 3 {
			k.device("ich9-usb-uhci%d,id=uhci-%d,addr=1d.%d,multifunction=on,masterbus=ehci.0,firstport=%d", i+1, i+1, i, 2*i)
		}
	}
}

func (k *kvm) display() {
	kind, _, _ := strings.Cut(k.config["vga"], ",")
	if kind == "" && strings.Contains(k.config["hostpci0"], "x-vga=1") {
		kind = "none"
	}
	// VGA replaces qxl, because some builds of QEMU have no qxl.
	model, known := map[string]string{"": "VGA", "std": "VGA", "vmware": "vmware-svga", "virtio": "virtio-vga", "qxl": "VGA", "none": "", "serial0": ""}[kind]
	switch {
	case !known:
		k.fail("vga: %s", k.config["vga"])
	case model == "":
		k.add("-vga", "none")
	case k.q35:
		k.device("%s,id=vga,bus=pcie.0,addr=0x1", model)
	default:
		k.device("%s,id=vga,bus=pci.0,addr=0x2", model)
	}
}

// card adds the devices that replace a passed-through device.
func (k *kvm) card(key, value string) {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "hostpci"))
	if err != nil {
		k.fail("%w", err)
	}
	place := fmt.Sprintf("bus=pci.0,addr=0x%x", []int{0x10, 0x11, 0x1b, 0x1c}[n])
	switch {
	case strings.Contains(value, "legacy-igd=1"):
		place = "bus=pci.0,addr=0x2"
	case strings.Contains(value, "pcie=1"):
		place = fmt.Sprintf("bus=ich9-pcie-port-%d,addr=0x0", n+1)
	}
	functions := k.host(value)
	for i, f := range functions {
		at, more := "", ""
		if len(functions) > 1 {
			at = fmt.Sprint(".", i)
		}
		if i == 0 {
			more = k.bootIndex(key)
			if at != "" {
				more += ",multifunction=on"
			}
		}
		k.function(f, key, fmt.Sprintf("id=%s%s,%s%s", key, at, place, at), more)
	}
}

// The method "function" adds the device that replaces one function of the host.
// Only the replacement of an NVMe disk gets a boot index, because the firmware
// cannot start from the other replacements.
func (k *kvm) function(f iommu.Function, key, place, more string) {
	start := regexp.MustCompile(`,bootindex=\d+`)
	switch f.Class.Sub() {
	case 0x0108:
		k.add("-drive", "if=none,id=on-%s,format=raw,file=%s", key, k.image("on-"+key, 64<<20))
		k.device("nvme,serial=host,drive=on-%s,%s%s", key, place, more)
	case 0x0106:
		k.device("ahci,%s%s", place, start.ReplaceAllString(more, ""))
	case 0x0c03:
		k.device("qemu-xhci,%s%s", place, start.ReplaceAllString(more, ""))
	case 0x0403:
		k.device("ich9-intel-hda,%s%s", place, start.ReplaceAllString(more, ""))
	default:
		k.device("VGA,%s%s", place, start.ReplaceAllString(more, ""))
	}
}

func (k *kvm) usb(key, value string) {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "usb"))
	if err != nil {
		k.fail("%w", err)
	}
	switch {
	case k.modernUSB():
		k.device("usb-mouse,id=%s,bus=xhci.0,port=%d", key, n+1)
	case strings.Contains(value, "usb3=1"):
		k.device("usb-mouse,id=%s,bus=xhci.0", key)
	default:
		k.device("usb-mouse,id=%s", key)
	}
}

func (k *kvm) audio(_, value string) {
	model, rest, _ := strings.Cut(strings.TrimPrefix(value, "device="), ",")
	k.device("%s,id=audiodev0,bus=pci.2,addr=0xc", model)
	k.device("hda-duplex,bus=audiodev0.0,cad=1,audiodev=backend")
	k.add("-audiodev", "%s,id=backend", strings.TrimPrefix(rest, "driver="))
}

var macAddress = regexp.MustCompile(`([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}`)

func (k *kvm) nic(key, value string) {
	model, _, _ := strings.Cut(value, "=")
	if model == "virtio" {
		model = "virtio-net-pci"
	}
	n, err := strconv.Atoi(strings.TrimPrefix(key, "net"))
	if err != nil || n > 5 {
		k.fail("%s: %v", key, err)
	}
	start := k.bootIndex(key)
	if k.bootable { // otherwise the firmware would wait for the network
		start = ",romfile="
	}
	address := cmp.Or(macAddress.FindString(value), "BC:24:11:00:00:01")
	k.add("-netdev", "%s,id=%s", k.network, key)
	k.device("%s,mac=%s,netdev=%s,bus=pci.0,addr=0x%x,id=%s%s", model, address, key, 0x12+n, key, start)
}
