package workstation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

var (
	// usbDevice is qemu-server PVE/QemuServer/USB.pm, $USB_ID_RE and
	// $USB_PATH_RE.
	usbDevice = regexp.MustCompile(`^((0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|[Ss][Pp][Ii][Cc][Ee])$`)
)

// checkTuning reports options that PVE refuses, at once or when the VM starts.
func (vm VM) checkTuning(problems *problems) {
	if list, set := vm.Config["affinity"]; set {
		if _, err := qmconf.ParseCPUs(list); err != nil {
			problems.add(vm, "affinity", list, err.Error())
		}
	}
	vm.checkHugePages(problems)
	devices := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		if qmconf.Family(key) != "usb" {
			continue
		}
		vm.checkUSB(problems, key)
		host, _ := qmconf.Parse(key, vm.Config[key]).Get("host")
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
	props := qmconf.Parse(key, value)
	host, byHost := props.Get("host")
	mapping, byMapping := props.Get("mapping")
	switch slot, err := strconv.Atoi(strings.TrimPrefix(key, "usb")); {
	case err != nil || slot > 13 || slot > 4 && !qmconf.ModernUSB(vm.Config["ostype"]):
		problems.add(vm, key, "", "PVE has usb0 to usb13, and only usb0 to usb4 for an ostype other than l26, win8, win10 and win11")
	case byHost == byMapping:
		problems.add(vm, key, value, "want either a device of the host or a mapping")
	case byMapping && !qmconf.IsMappingID(mapping):
		problems.add(vm, key, mapping, "not the name of a resource mapping")
	case byHost && !usbDevice.MatchString(host):
		problems.add(vm, key, host, `not a USB device: want VENDOR:PRODUCT ("046d:c52b"), BUS-PORT ("1-2.3") or the name of a resource mapping`)
	}
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
	pinned, err := qmconf.ParseCPUs(vm.Config["affinity"])
	if err == nil {
		i := slices.IndexFunc(pinned, func(cpu int) bool { return known && cpu >= d.facts.Cores })
		switch {
		case i >= 0:
			d.problems.add(vm, "affinity", qmconf.FormatCPUs(pinned[i:]), fmt.Sprintf("the host has logical CPUs 0 to %d", d.facts.Cores-1))
		case len(pinned) < count:
			d.find(proxstation.Finding{ID: "workstation.pinned-few", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d", vm.ID),
				Seen: fmt.Sprintf("%d virtual CPUs, pinned to %d of the host's (%s)", count, len(pinned), qmconf.FormatCPUs(pinned)),
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
