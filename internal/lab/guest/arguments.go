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
)

// OVMF is where Debian's package ovmf keeps the firmware.
const OVMF = "/usr/share/OVMF"

// A kvm is the command line that PVE makes of a configuration (qemu-server
// PVE/QemuServer.pm, config_to_command).
type kvm struct {
	config  map[string]string
	dir     string // for its files and sockets
	network string // QEMU's backend
	args    []string
	q35     bool
	err     error
}

// fail keeps the first reason why there is no command line.
func (k *kvm) fail(format string, values ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("guest: "+format, values...)
	}
}

func (k *kvm) add(option, format string, values ...any) {
	k.args = append(k.args, option, fmt.Sprintf(format, values...))
}

func (k *kvm) device(format string, values ...any) { k.add("-device", format, values...) }

// Arguments returns the arguments with which PVE starts QEMU for a VM, for a
// QEMU without KVM on a machine without the devices. The VM's drives are files
// in dir, by their keys; those that are not there are made, empty and sparse. The
// sockets "serial", "qmp" and "qga" will be there too. The backend of the VM's
// networks is one of QEMU's -netdev; "" leads nowhere. A key of the configuration
// without a translation is an error, so that every key is tried.
//
// What stands in for what is not there:
//
//   - -cpu max for -cpu host and what KVM gives Windows, and at most 2 GiB and
//     2 CPUs: no guest of the tests needs more;
//   - a VGA and a sound device for a card's functions, at their places, without
//     what only vfio-pci knows (a ROM, other ids, the x-igd properties);
//   - mice for USB devices, files for volumes, ordinary memory for huge pages,
//     QEMU's q35 for pc-q35-10.1.
func Arguments(config map[string]string, dir, network string) ([]string, error) {
	k := &kvm{config: config, dir: dir, network: cmp.Or(network, "hubport,hubid=0"), q35: strings.Contains(config["machine"], "q35")}
	k.machine()
	k.firmware()
	k.bridges()
	k.display()
	k.keys()
	k.add("-chardev", "socket,id=qga0,path=%s/qga,server=on,wait=off", dir)
	if strings.HasPrefix(config["agent"], "enabled=1") || config["agent"] == "1" {
		k.device("virtio-serial,id=qga0,bus=pci.0,addr=0x8")
		k.device("virtserialport,chardev=qga0,name=org.qemu.guest_agent.0")
	}
	k.own()
	return k.args, k.err
}

// keys adds what belongs to one key of the configuration.
func (k *kvm) keys() {
	nothing := func(string, string) {}
	handled := map[*regexp.Regexp]func(key, value string){
		regexp.MustCompile(`^(virtio|scsi|sata|ide)\d+$`): k.drive,
		regexp.MustCompile(`^hostpci\d+$`):                k.card,
		regexp.MustCompile(`^net\d+$`):                    k.nic,
		regexp.MustCompile(`^usb\d+$`):                    k.usb,
		regexp.MustCompile(`^audio0$`):                    k.audio,
		regexp.MustCompile(`^smbios1$`):                   func(_, value string) { k.add("-smbios", "type=1,%s", value) },
		regexp.MustCompile(`^vmgenid$`):                   func(_, value string) { k.device("vmgenid,guid=%s", value) },
		regexp.MustCompile(`^serial0$`):                   nothing, // every machine has one here
		// Together, elsewhere; or for cloud-init, the host's scheduler and people.
		regexp.MustCompile(`^(agent|args|balloon|bios|boot|cores|cpu|efidisk0|hugepages|machine|memory|numa|ostype|scsihw|sockets|tablet|tpmstate0|vga)$`): nothing,
		regexp.MustCompile(`^(affinity|description|meta|name|onboot|tags|ciuser|cipassword|ipconfig0|nameserver|searchdomain|sshkeys)$`):                   nothing,
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
	k.add("-cpu", "max,-la57,-svm") // without page tables of five levels, which take an emulator long
	k.args = append(k.args, "-nodefaults", "-display", "none", "-boot", "menu=on,strict=on,reboot-timeout=1000")
	k.add("-chardev", "socket,id=serial0,path=%s/serial,server=on,wait=off", k.dir)
	k.device("isa-serial,chardev=serial0")
	k.add("-qmp", "unix:%s/qmp,server=on,wait=off", k.dir)
}

// firmware adds OVMF as PVE chooses it (PVE/QemuServer/OVMF.pm): on q35 the
// build for Secure Boot, whose keys are in the variables or not.
func (k *kvm) firmware() {
	code, vars := "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"
	if k.q35 {
		code = "OVMF_CODE_4M.secboot.fd"
		k.add("-global", "driver=cfi.pflash01,property=secure,value=on")
	}
	if strings.Contains(k.config["efidisk0"], "pre-enrolled-keys=1") {
		vars = "OVMF_VARS_4M.ms.fd"
	}
	if k.config["bios"] != "ovmf" || !strings.Contains(k.config["efidisk0"], "efitype=4m") {
		k.fail("bios %s with %s", k.config["bios"], k.config["efidisk0"])
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
	if k.config["tpmstate0"] != "" {
		k.add("-chardev", "socket,id=tpmchar,path=%s/tpm", k.dir)
		k.add("-tpmdev", "emulator,id=tpmdev,chardev=tpmchar")
		k.device("tpm-tis,tpmdev=tpmdev")
	}
}

// bridges adds the buses: PVE's q35 has its own file for them
// (pve-q35-4.0.cfg), its i440fx gets bridges.
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
		k.device("pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5")
		k.device("piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2")
	}
	if k.config["tablet"] != "0" {
		k.device("usb-tablet,id=tablet,bus=%s.0,port=1", tablet)
	}
	if k.config["usb0"] != "" {
		k.device("qemu-xhci,id=xhci,p2=15,p3=15,bus=pci.1,addr=0x1b")
	}
}

func (k *kvm) display() {
	model, known := map[string]string{"std": "VGA", "vmware": "vmware-svga", "virtio": "virtio-vga", "none": ""}[k.config["vga"]]
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

// card adds the substitutes for a passed-through card.
func (k *kvm) card(key, value string) {
	place := "bus=pci.0,addr=0x10"
	switch {
	case strings.Contains(value, "legacy-igd=1"):
		place = "bus=pci.0,addr=0x2"
	case strings.Contains(value, "pcie=1"):
		place = "bus=ich9-pcie-port-1,addr=0x0"
	}
	if !strings.Contains(value, "rtx") { // the iGPU has one function
		k.device("VGA,id=%s,%s", key, place)
		return
	}
	k.device("VGA,id=%s.0,%s.0,multifunction=on", key, place)
	k.device("ich9-intel-hda,id=%s.1,%s.1", key, place)
}

func (k *kvm) usb(key, _ string) {
	n, err := strconv.Atoi(strings.TrimPrefix(key, "usb"))
	if err != nil {
		k.fail("%w", err)
	}
	k.device("usb-mouse,id=%s,bus=xhci.0,port=%d", key, n+1)
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
	address := cmp.Or(macAddress.FindString(value), "BC:24:11:00:00:01")
	k.add("-netdev", "%s,id=%s", k.network, key)
	k.device("%s,mac=%s,netdev=%s,bus=pci.0,addr=0x12,id=%s%s", model, address, key, key, k.bootIndex(key))
}

func (k *kvm) bootIndex(key string) string {
	at := slices.Index(strings.Split(strings.TrimPrefix(k.config["boot"], "order="), ";"), key)
	if at < 0 {
		return ""
	}
	return fmt.Sprintf(",bootindex=%d", 100+at)
}

// own adds the arguments of args, at the end as PVE does.
func (k *kvm) own() {
	args := strings.Fields(k.config["args"]) // the profiles' have no quotes
	for i := 0; i+1 < len(args); i += 2 {
		switch option, value := args[i], args[i+1]; {
		case option == "-set" && strings.Contains(value, ".x-igd-"):
		case option == "-cpu":
			k.add(option, "%s", strings.Replace(value, "host,", "max,", 1))
		default:
			k.add(option, "%s", value)
		}
	}
}
