package guest

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
)

// OVMF is the directory in which Debian's package ovmf keeps the firmware.
const OVMF = "/usr/share/OVMF"

// A kvm builds the command line that PVE makes from a configuration
// (qemu-server PVE/QemuServer.pm, config_to_command).
type kvm struct {
	config  map[string]string
	dir     string // the directory for the VM's files and sockets
	network string // the backend of the VM's networks
	args    []string
	q35     bool
	start   map[string]int // the bootindex of each key
	host    Host
	// bootable is set for a machine that the function [Bootable] describes.
	// Such a machine starts payloads.
	bootable bool
	err      error
}

// A Host returns the functions of the host that a hostpci value selects.
type Host func(value string) []iommu.Function

// cardOrIGPU is a [Host] that has a card with two functions, and an iGPU.
func cardOrIGPU(value string) []iommu.Function {
	if strings.Contains(value, "rtx") {
		return []iommu.Function{{Class: 0x030000}, {Class: 0x040300}}
	}
	return []iommu.Function{{Class: 0x030000}}
}

// fail stores an error. Only the first error is kept.
func (k *kvm) fail(format string, values ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("guest: "+format, values...)
	}
}

func (k *kvm) add(option, format string, values ...any) {
	k.args = append(k.args, option, fmt.Sprintf(format, values...))
}

func (k *kvm) device(format string, values ...any) { k.add("-device", format, values...) }

// Arguments returns the arguments with which PVE starts QEMU for a VM, adapted to
// a QEMU without KVM on a machine without the host's devices. The VM's drives are
// files in dir, named by their keys. Missing files are made, empty and sparse.
// QEMU makes the sockets "serial", "qmp" and "qga" in dir. network is a backend of
// QEMU's -netdev; "" connects the VM to nothing. If a key of the configuration
// has no translation, Arguments returns an error, so that no key is forgotten.
//
// These parts differ from PVE's arguments:
//
//   - -cpu max replaces -cpu host and the properties that KVM has for Windows.
//     The VM has at most 2 GiB and 2 CPUs. No guest of the tests needs more.
//   - A VGA and a sound device replace a card's functions, at the same addresses,
//     without the options of vfio-pci (a ROM, other ids, the x-igd properties).
//   - Mice replace USB devices, files replace volumes, ordinary memory replaces
//     huge pages, and QEMU's q35 replaces pc-q35-10.1.
//   - The firmware does not wait for a key, and drives leave the flushing of
//     their files to the host (cache=unsafe). Both save time only.
func Arguments(config map[string]string, dir, network string) ([]string, error) {
	k := &kvm{config: config, dir: dir, network: cmp.Or(network, "hubport,hubid=0"), host: cardOrIGPU}
	return k.line()
}

func (k *kvm) line() ([]string, error) {
	k.q35, k.start = strings.Contains(k.config["machine"], "q35"), bootIndexes(k.config)
	k.machine()
	k.firmware()
	k.bridges()
	k.display()
	k.keys()
	k.add("-chardev", "socket,id=qga0,path=%s/qga,server=on,wait=off", k.dir)
	if agent := k.config["agent"]; strings.HasPrefix(agent, "enabled=1") || agent == "1" || strings.HasPrefix(agent, "1,") {
		k.device("virtio-serial,id=qga0,bus=pci.0,addr=0x8")
		k.device("virtserialport,chardev=qga0,name=org.qemu.guest_agent.0")
	}
	k.own()
	return k.args, k.err
}

// keys adds the arguments for each key of the configuration.
func (k *kvm) keys() {
	nothing := func(string, string) {}
	handled := map[*regexp.Regexp]func(key, value string){
		regexp.MustCompile(`^(virtio|scsi|sata|ide)\d+$`): k.drive,
		regexp.MustCompile(`^hostpci\d+$`):                k.card,
		regexp.MustCompile(`^net\d+$`):                    k.nic,
		regexp.MustCompile(`^usb\d+$`):                    k.usb,
		regexp.MustCompile(`^audio0$`):                    k.audio,
		regexp.MustCompile(`^smbios1$`):                   k.smbios,
		regexp.MustCompile(`^vmgenid$`):                   func(_, value string) { k.device("vmgenid,guid=%s", value) },
		regexp.MustCompile(`^serial0$`):                   nothing, // every machine of this package has a serial port anyway
		// These keys either have an effect elsewhere, or only matter for
		// cloud-init, the host's scheduler and people.
		regexp.MustCompile(`^(agent|args|balloon|bios|boot|bootdisk|cores|cpu|efidisk0|hugepages|machine|memory|numa0?|ostype|scsihw|sockets|tablet|tpmstate0|vcpus|vga|virtiofs\d)$`): nothing,
		regexp.MustCompile(`^(affinity|autostart|cpuunits|description|hookscript|lock|meta|name|onboot|parent|startup|tags|template|unused\d+|vmstate|running.*)$`):                    nothing,
		regexp.MustCompile(`^(ci.*|ipconfig\d+|nameserver|searchdomain|sshkeys)$`):                                                                                                     nothing,
	}
	for _, key := range slices.Sorted(maps.Keys(k.config)) {
		found := false
		for pattern, handle := range handled {
			if pattern.MatchString(key) {
				handle(key, k.config[key])
				found = true
			}
		}
		if !found {
			k.fail("%s: %s is not translated", key, k.config[key])
		}
	}
}

func (k *kvm) machine() {
	kind := "pc"
	if k.q35 {
		kind = "q35"
	}
	k.add("-machine", "type=%s,hpet=off", kind)
	if k.bootable {
		k.args = append(k.args, "-cpu", "max,-la57,-svm", "-m", "512", "-nodefaults", "-display", "none", "-boot", "strict=on", "-debugcon", "stdio", "-no-reboot")
		return
	}
	memory, err := strconv.Atoi(k.config["memory"])
	cores, coresErr := strconv.Atoi(k.config["cores"])
	if err != nil || coresErr != nil || k.config["cpu"] != "host" || k.config["sockets"] != "1" || k.config["balloon"] != "0" {
		k.fail("memory %s, %s sockets of %s cores of %s", k.config["memory"], k.config["sockets"], k.config["cores"], k.config["cpu"])
	}
	k.add("-m", "%d", min(memory, 2048))
	k.add("-smp", "%d", min(cores, 2))
	if k.config["numa"] == "1" {
		k.add("-object", "memory-backend-ram,id=ram-node0,size=%dM", min(memory, 2048))
		k.add("-numa", "node,nodeid=0,cpus=0-%d,memdev=ram-node0", min(cores, 2)-1)
	}
	k.add("-cpu", "max,-la57,-svm") // the emulator would be slow with page tables of five levels
	k.args = append(k.args, "-nodefaults", "-display", "none", "-boot", "menu=on,strict=on,reboot-timeout=1000,splash-time=0")
	k.add("-chardev", "socket,id=serial0,path=%s/serial,server=on,wait=off", k.dir)
	k.device("isa-serial,chardev=serial0")
	k.add("-qmp", "unix:%s/qmp,server=on,wait=off", k.dir)
}

// firmware adds the OVMF that PVE chooses (PVE/QemuServer/OVMF.pm). On q35 this
// is the build for Secure Boot. If the configuration asks for enrolled keys,
// OVMF's variables hold the keys for Secure Boot.
func (k *kvm) firmware() {
	code, vars := "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"
	switch {
	case k.config["bios"] != "ovmf":
		return // there is no OVMF to add, because SeaBIOS is part of QEMU
	case k.bootable:
	case k.q35:
		code = "OVMF_CODE_4M.secboot.fd"
		k.add("-global", "driver=cfi.pflash01,property=secure,value=on")
	}
	if !k.bootable && strings.Contains(k.config["efidisk0"], "pre-enrolled-keys=1") {
		vars = "OVMF_VARS_4M.ms.fd"
	}
	data, err := os.ReadFile(filepath.Join(OVMF, vars))
	if _, missing := os.Stat(filepath.Join(k.dir, "vars")); err == nil && missing != nil {
		err = os.WriteFile(filepath.Join(k.dir, "vars"), data, 0o600)
	}
	if err != nil {
		k.fail("%w", err)
	}
	k.add("-drive", "if=pflash,unit=0,format=raw,readonly=on,file=%s", filepath.Join(OVMF, code))
	k.add("-drive", "if=pflash,unit=1,format=raw,file=%s/vars", k.dir)
	if k.config["tpmstate0"] != "" && !k.bootable {
		k.add("-chardev", "socket,id=tpmchar,path=%s/tpm", k.dir)
		k.add("-tpmdev", "emulator,id=tpmdev,chardev=tpmchar")
		k.device("tpm-tis,tpmdev=tpmdev")
	}
}

// bridges adds the buses. For q35, PVE has a separate file with the buses
// (pve-q35-4.0.cfg). For i440fx, PVE adds bridges.
func (k *kvm) bridges() {
	tablet := "uhci"
	if k.q35 {
		tablet = "ehci"
		for _, c := range []struct {
			slot   string
			number int
		}{{"1d", 1}, {"1a", 2}} {
			id := map[int]string{1: "ehci", 2: "ehci-2"}[c.number]
			k.device("ich9-usb-ehci%d,id=%s,multifunction=on,bus=pcie.0,addr=%s.7", c.number, id, c.slot)
			for i := range 3 {
				k.device("ich9-usb-uhci%d,multifunction=on,bus=pcie.0,addr=%s.%d,masterbus=%s.0,firstport=%d", 3*(c.number-1)+i+1, c.slot, i, id, 2*i)
			}
		}
		k.device("ich9-intel-hda,id=audio0,bus=pcie.0,addr=1b.0")
		for i := range 4 {
			k.device("pcie-root-port,id=ich9-pcie-port-%d,multifunction=on,bus=pcie.0,addr=1c.%d,port=%d,chassis=%d", i+1, i, i+1, i+1)
		}
		k.device("i82801b11-bridge,id=pcidmi,bus=pcie.0,addr=1e.0")
		for i := range 4 {
			k.device("pci-bridge,id=pci.%d,bus=pcidmi,addr=%d.0,chassis_nr=%d", i, i+1, i+1)
		}
	} else {
		k.device("pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e")
		if strings.Contains(k.config["hostpci0"], "legacy-igd=1") {
			k.device("pci-bridge,id=pci.2,chassis_nr=2,bus=pci.1,addr=0x1e")
		} else {
			k.device("pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f")
		}
		if k.config["scsihw"] == "virtio-scsi-single" {
			k.device("pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5")
		}
		k.device("piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2")
	}
	if k.config["tablet"] != "0" && !strings.HasPrefix(k.config["vga"], "qxl") && !strings.HasPrefix(k.config["vga"], "serial") {
		k.device("usb-tablet,id=tablet,bus=%s.0,port=1", tablet)
	}
	k.usbControllers()
}

func (k *kvm) bootIndex(key string) string {
	if at, ordered := k.start[key]; ordered {
		return fmt.Sprintf(",bootindex=%d", at)
	}
	return ""
}

func (k *kvm) smbios(_, value string) {
	if !strings.Contains(value, "base64") { // PVE would decode these values
		k.add("-smbios", "type=1,%s", value)
	}
}

// The method "own" adds the arguments in the key args at the end, as PVE does.
// It replaces devices of the host, and CPU properties that only KVM has.
func (k *kvm) own() {
	for _, arg := range qmconf.SplitArgs(k.config["args"]) {
		switch option, value := arg.Name(), arg.Value(); {
		case option == "-set" && strings.Contains(value, ".x-igd-"):
		case option == "-cpu":
			if !k.bootable { // firmware does not need a CPU model
				k.add(option, "%s", strings.Replace(value, "host,", "max,", 1))
			}
		case option == "-device" && arg.Property("driver") == "vfio-pci":
			var kept []string
			for _, field := range strings.Split(value, ",")[1:] {
				if name, _, _ := strings.Cut(field, "="); slices.Contains([]string{"id", "bus", "addr", "multifunction"}, name) {
					kept = append(kept, field)
				}
			}
			for _, f := range k.host(arg.Property("host")) {
				k.function(f, "args", strings.Join(kept, ","), "")
			}
		case value == "":
			k.args = append(k.args, option)
		default:
			k.add(option, "%s", value)
		}
	}
}
