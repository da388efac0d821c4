package workstation

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
)

// A Tuning is what makes a workstation's VM faster or joins devices to it. The
// zero Tuning is fine: measure before you set any of it. What is taken out of a
// Tuning stays on a VM that has it: name the key in VM.Absent.
type Tuning struct {
	// Pin is the list of the host's logical CPUs on which all of the VM's
	// threads run, such as "0-7,16"; empty lets the scheduler choose (PVE
	// manual, CPU: affinity; it is done with taskset). Only root@pam may set
	// it, logged in with a password.
	//
	// It helps where CPUs differ. On an Intel CPU of the 12th generation and
	// later, the P-cores come first, two logical CPUs each, then the E-cores:
	// a game that lands on E-cores stutters, so pin a gaming VM to P-cores, and
	// give it no more virtual CPUs than there are. lscpu --extended tells them
	// by MAXMHZ. On a Ryzen with two chiplets, keep a VM on one of them, the one
	// with the larger cache. Leave the host a core of its own.
	Pin string
	// HugePages is the page size of the guest's memory: 0 is the host's usual
	// pages, or 2 MiB or 1 GiB (qm.conf manual page, hugepages). The memory
	// must be a multiple of it. PVE takes the pages from the host all at once
	// when the VM starts, and that start fails if the memory is in too small
	// pieces by then: pages of 1 GiB want to be reserved when the host boots
	// (kernel command line, hugepagesz=1G hugepages=16). Only root@pam may set
	// it, logged in with a password.
	//
	// Without it Linux gives a VM transparent huge pages, which is nearly as
	// good and reserves nothing.
	HugePages storage.Size
	// USB are devices of the host that the VM gets, at most 14: each the name
	// of a resource mapping, a vendor and product ID ("046d:c52b": whichever
	// such device is plugged in) or a bus and port ("1-2.3": whatever is
	// plugged in there) (qm.conf manual page, usb). All but a mapping only
	// root@pam may set, logged in with a password.
	USB []string
	// Audio adds an emulated sound card that leads nowhere. A graphics card
	// brings its own sound over HDMI; but where no monitor is at it, programs
	// that stream the desktop want some sound card to record.
	Audio bool
}

// into adds the options to a VM.
func (t Tuning) into(vm *VM) {
	if t.Pin != "" {
		vm.Config["affinity"] = t.Pin
	}
	if t.HugePages != 0 {
		vm.Config["hugepages"] = mebibytes(t.HugePages)
		vm.Config["numa"] = "1" // PVE refuses the start without (PVE/QemuServer/Memory.pm)
	}
	for i, device := range t.USB {
		kind := "host="
		if mappingName.MatchString(device) {
			kind = "mapping="
		}
		vm.Config["usb"+strconv.Itoa(i)] = kind + device
	}
	if t.Audio {
		vm.Config["audio0"] = "device=ich9-intel-hda,driver=none"
	}
}

var (
	mappingName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]+$`)
	// usbDevice is qemu-server PVE/QemuServer/USB.pm, $USB_ID_RE and
	// $USB_PATH_RE.
	usbDevice = regexp.MustCompile(`^((0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|[Ss][Pp][Ii][Cc][Ee])$`)
)

// checkTuning reports options that PVE refuses, at once or when the VM starts.
func (vm VM) checkTuning(problems *problems) {
	if list, set := vm.Config["affinity"]; set {
		if _, err := parseCPUs(list); err != nil {
			problems.add(vm, "affinity", list, err.Error())
		}
	}
	vm.checkHugePages(problems)
	devices := map[string]bool{}
	for _, key := range sortedKeys(vm.Config) {
		if family(key) != "usb" {
			continue
		}
		vm.checkUSB(problems, key)
		host, _ := parseProperties(key, vm.Config[key]).get("host")
		if devices[host] && strings.Contains(host, "-") { // of two with the same IDs QEMU takes one each
			problems.add(vm, key, host, "the VM has what is plugged in there already")
		}
		devices[host] = true
	}
}

// checkHugePages keeps the rules of qemu-server PVE/QemuServer/Memory.pm: NUMA
// is on, and each socket's share of the memory is a number of whole pages.
func (vm VM) checkHugePages(problems *problems) {
	value, set := vm.Config["hugepages"]
	if !set {
		return
	}
	page, known := map[string]storage.Size{"any": 2 * storage.MiB, "2": 2 * storage.MiB, "1024": storage.GiB}[value]
	if !known {
		problems.add(vm, "hugepages", value, "pages are of 2 MiB or 1 GiB: want 2, 1024 or any")
		return
	}
	if vm.Config["numa"] != "1" {
		problems.add(vm, "hugepages", value, "PVE wants numa: 1 with it")
	}
	memory, err := storage.ParseSize(vm.Config["memory"] + "M")
	sockets, _ := strconv.ParseInt(vm.Config["sockets"], 10, 64)
	if err == nil && int64(memory)%(int64(page)*max(sockets, 1)) != 0 {
		problems.add(vm, "memory", vm.Config["memory"], "it is no multiple of the huge pages, "+page.Human()+" for each socket")
	}
}

// checkUSB keeps the rules of qemu-server PVE/QemuServer/USB.pm.
func (vm VM) checkUSB(problems *problems, key string) {
	value := vm.Config[key]
	props := parseProperties(key, value)
	host, byHost := props.get("host")
	mapping, byMapping := props.get("mapping")
	switch slot, err := strconv.Atoi(strings.TrimPrefix(key, "usb")); {
	case err != nil || slot > 13 || slot > 4 && !modernUSB(vm.Config["ostype"]):
		problems.add(vm, key, "", "PVE has usb0 to usb13, and only usb0 to usb4 for an ostype other than l26, win8, win10 and win11")
	case byHost == byMapping:
		problems.add(vm, key, value, "want either a device of the host or a mapping")
	case byMapping && !mappingName.MatchString(mapping):
		problems.add(vm, key, mapping, "not the name of a resource mapping")
	case byHost && !usbDevice.MatchString(host):
		problems.add(vm, key, host, `not a USB device: want VENDOR:PRODUCT ("046d:c52b"), BUS-PORT ("1-2.3") or the name of a resource mapping`)
	}
}

// modernUSB reports whether guests of this type get a controller with 14
// ports, to which devices can be joined while they run.
func modernUSB(ostype string) bool {
	return slices.Contains([]string{"l26", "win8", "win10", "win11"}, ostype)
}

// checkHost refuses what this host has too little of, and says what is unwise
// on it.
func (d *differ) checkHost(vm VM) {
	sockets, _ := strconv.Atoi(vm.Config["sockets"])
	cores, _ := strconv.Atoi(vm.Config["cores"])
	count := max(sockets, 1) * max(cores, 1)
	known := d.facts.Cores > 0
	if known && count > d.facts.Cores {
		d.problems.add(vm, "cores", fmt.Sprint(count), fmt.Sprintf("the host has %d logical CPUs, and PVE starts no VM with more", d.facts.Cores))
	}
	pinned, err := parseCPUs(vm.Config["affinity"])
	if err == nil {
		i := slices.IndexFunc(pinned, func(cpu int) bool { return known && cpu >= d.facts.Cores })
		switch {
		case i >= 0:
			d.problems.add(vm, "affinity", cpuList(pinned[i:]), fmt.Sprintf("the host has logical CPUs 0 to %d", d.facts.Cores-1))
		case len(pinned) < count:
			d.find(proxstation.Finding{ID: "workstation.pinned-few", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vm.ID),
				Seen: fmt.Sprintf("%d virtual CPUs, pinned to %d of the host's (%s)", count, len(pinned), cpuList(pinned)),
				Why:  "virtual CPUs wait for each other, which stutters more than no pinning", Fix: "pin to more CPUs, or give the VM fewer"})
		case known && len(pinned) == d.facts.Cores:
			d.find(proxstation.Finding{ID: "workstation.pinned-all", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID),
				Seen: "pinned to all CPUs of the host", Why: "that is what the scheduler does by itself", Fix: "leave affinity out"})
		}
	}
	if vm.Config["hugepages"] == "1024" {
		d.find(proxstation.Finding{ID: "workstation.huge-pages", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: "hugepages: 1024",
			Why: "when the VM starts, the host has to have that much memory in pieces of 1 GiB, which it seldom has after some time",
			Fix: fmt.Sprintf("reserve them when the host boots: hugepagesz=1G hugepages=%s on its kernel command line", gibibytes(vm.Config["memory"]))})
	}
}

func gibibytes(memory string) string {
	mib, _ := strconv.Atoi(memory)
	return strconv.Itoa((mib + 1023) / 1024)
}
