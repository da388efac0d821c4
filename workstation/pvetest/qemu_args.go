package pvetest

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// argsFit returns QEMU's refusal of the key args, or nil if QEMU accepts it.
func (n *Node) argsFit(config map[string]string) error {
	devices, err := n.hostPCI(config)
	if why := qemuArgs(config, devices); err == nil && why != "" {
		return refuse("%s", why)
	}
	return err
}

// qemuArgs checks the value of args, which PVE appends to QEMU's command line
// (qemu-server PVE/QemuServer.pm, config_to_command). It returns QEMU's
// message, or "" if QEMU accepts the arguments. It checks the form of the
// options first, then the drives, and then the devices in their order. Of a
// device it checks only the properties bus, id and unit. It does not check
// addresses on a bus.
func qemuArgs(config map[string]string, hostPCI []hostpci) string {
	words := shellWords(config["args"])
	l := newCommandLine(config, hostPCI)
	var devices []option
	for len(words) > 0 {
		o := option{name: words[0]}
		words = words[1:]
		name := strings.TrimPrefix(strings.TrimPrefix(o.name, "-"), "-")
		switch {
		case !strings.HasPrefix(o.name, "-"):
			return "kvm: " + o.name + ": Could not open '" + o.name + "': No such file or directory" // QEMU takes a word without "-" for a disk image
		case name == "usb":
			return l.usbTwice()
		case slices.Contains(qemuFlags, name):
			continue
		case !slices.Contains(qemuOptions, name):
			return "kvm: " + o.name + ": invalid option"
		case len(words) == 0:
			return "kvm: " + o.name + ": requires an argument"
		}
		o.name, o.value, words = name, words[0], words[1:]
		if why := l.parse(o); why != "" {
			return fmt.Sprintf("kvm: -%s %s: %s", o.name, o.value, why)
		}
		if name == "device" {
			devices = append(devices, o)
		}
	}
	for _, o := range devices {
		if why := l.plug(o); why != "" {
			return fmt.Sprintf("kvm: -%s %s: %s", o.name, o.value, why)
		}
	}
	return ""
}

// An option is an option of QEMU's command line.
type option struct{ name, value string }

// The method "properties" splits the value of an option into keys and values.
// If the first part has no key, it is the name of the driver.
func (o option) properties() map[string]string {
	values := map[string]string{}
	if strings.HasPrefix(o.value, "{") { // a JSON object without nested objects
		for _, pair := range jsonPair.FindAllStringSubmatch(o.value, -1) {
			values[pair[1]] = pair[2]
		}
		return values
	}
	for i, field := range strings.Split(o.value, ",") {
		key, value, found := strings.Cut(field, "=")
		switch {
		case found:
			values[key] = value
		case i == 0:
			values["driver"] = field
		default:
			values[key] = "on"
		}
	}
	return values
}

var (
	jsonPair = regexp.MustCompile(`"([a-z-]+)"\s*:\s*"?([^",}]*)"?`)
	// setForm and globalForm match the values that QEMU accepts for -set and
	// -global (softmmu/vl.c, qemu_set_option; qemu-config.c,
	// qemu_global_option).
	setForm    = regexp.MustCompile(`^([^.]+)\.([^.]+)\.([^=]+)=`)
	globalForm = regexp.MustCompile(`^[^.=]+\.[^=]+=`)
	qemuID     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
)

// The method "parse" checks an option by itself, before any device is made. It
// returns QEMU's message or "".
func (l *commandLine) parse(o option) string {
	p := o.properties()
	switch o.name {
	case "set":
		form := setForm.FindStringSubmatch(o.value)
		switch {
		case form == nil:
			return fmt.Sprintf("can't parse: %q", o.value)
		case slices.Contains([]string{"device", "drive", "netdev", "chardev"}, form[1]) && !l.ids[form[1]+" "+form[2]]:
			return fmt.Sprintf("there is no %s %q defined", form[1], form[2])
		}
	case "global":
		switch {
		case globalForm.MatchString(o.value) && p["driver"] == "":
		case p["driver"] == "" || !strings.Contains(o.value, "="):
			name, _, _ := strings.Cut(o.value, ",")
			return fmt.Sprintf("Invalid parameter '%s'", name)
		case p["property"] == "" || p["value"] == "":
			return "options 'driver', 'property', and 'value' are required"
		}
	case "pflash":
		return l.flash("")
	case "device", "drive", "netdev", "chardev", "object":
		if why := l.name(o.name, p["id"]); why != "" || p["if"] != "pflash" {
			return why
		}
		return l.flash(p["unit"])
	}
	return ""
}

// The method "name" registers an ID. An ID can be used only once within a group
// of options.
func (l *commandLine) name(group, id string) string {
	switch {
	case id == "":
		return ""
	case !qemuID.MatchString(id):
		return "Parameter 'id' expects an identifier"
	case l.ids[group+" "+id]:
		return fmt.Sprintf("Duplicate ID '%s' for %s", id, group)
	}
	l.ids[group+" "+id] = true
	return ""
}

// The method "flash" assigns one of the two firmware units of a PC. It returns
// QEMU's message if no unit is free.
func (l *commandLine) flash(unit string) string {
	n := atoi(unit, slices.Index(l.flashed[:], false))
	switch {
	case unit == "" && n < 0, n > 1:
		return fmt.Sprintf("machine type does not support if=pflash,bus=0,unit=%d", max(n, 2))
	case l.flashed[n]:
		return fmt.Sprintf("drive with bus=0, unit=%d (index=-1) exists", n)
	}
	l.flashed[n] = true
	return ""
}

// The method "plug" adds a device to its bus. It returns QEMU's message if the
// bus does not exist.
func (l *commandLine) plug(o option) string {
	p := o.properties()
	driver := p["driver"]
	kind, known := deviceBus[driver]
	bus, named := p["bus"]
	has, there := l.buses[bus]
	fits := func(have string) bool { return have == kind || kind == "PCI" && have == "PCIE" }
	switch {
	case !known:
		return fmt.Sprintf("'%s' is not a valid device model name", driver)
	case named && !there:
		return fmt.Sprintf("Bus '%s' not found", bus)
	case named && !fits(has):
		return fmt.Sprintf("Device '%s' can't go on %s bus", driver, has)
	case !named && kind != "" && kind != "System" && !l.hasBus(fits):
		return fmt.Sprintf("No '%s' bus found for device '%s'", kind, driver)
	case named && kind == "IDE" && p["unit"] == "1" && l.ahci(bus):
		return "Can't create IDE unit 1, bus supports only 1 units"
	}
	l.make(driver, p["id"])
	return ""
}

func (l *commandLine) hasBus(fits func(kind string) bool) bool {
	for _, kind := range l.buses {
		if fits(kind) {
			return true
		}
	}
	return false
}

//go:embed qemu_devices.txt
var qemuDevices string

// deviceBus maps each of QEMU's devices to the kind of bus that it needs, or to
// "" if it needs no bus.
var deviceBus = func() map[string]string {
	buses := map[string]string{}
	for line := range strings.Lines(qemuDevices) {
		if name, bus, _ := strings.Cut(strings.TrimSpace(line), " "); name != "#" {
			buses[name] = bus
		}
	}
	return buses
}()

// qemuFlags holds the options of QEMU 10 that have no argument. qemuOptions
// holds the options that have an argument. Both come from qemu-system-x86_64
// -help.
var (
	qemuOptions = strings.Fields(`D L M accel acpitable action add-fd append audio audiodev bios blockdev boot cdrom chardev compat cpu d
		debugcon device dfilter display drive dtb dump-vmstate echr fda fdb fsdev fw_cfg g gdb global hda hdb hdc hdd icount incoming initrd
		iscsi k kernel loadvm m machine mem-path mon monitor mtdblock name net netdev nic numa object option-rom overcommit parallel pflash
		pidfile plugin qmp qmp-pretty readconfig rtc runas run-with sandbox sd seed serial set shim smbios smp spice tpmdev trace usbdevice
		uuid vga virtfs vnc watchdog-action xen-domid`)
	qemuFlags = strings.Fields(`S audio-help daemonize enable-kvm enable-sync-profile full-screen mem-prealloc msg no-fd-bootchk no-reboot
		no-shutdown no-user-config nodefaults nographic only-migratable preconfig s snapshot win2k-hack xen-attach xen-domid-restrict`)
)

// shellWords splits a value of args into words as PVE does with Perl's
// shellwords.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, inWord, escaped := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
