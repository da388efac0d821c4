package rules

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

var (
	// usbDevice matches values of host=, as qemu-server PVE/QemuServer/USB.pm
	// does with $USB_ID_RE and $USB_PATH_RE.
	usbDevice = regexp.MustCompile(`^((0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|[Ss][Pp][Ii][Cc][Ee])$`)
)

// checkTuning reports options that PVE refuses in the request or when the VM
// starts.
func checkTuning(config map[string]string, faults *faults) {
	if list, set := config["affinity"]; set {
		if _, err := qmconf.ParseCPUs(list); err != nil {
			faults.add("affinity", list, err.Error())
		}
	}
	checkHugePages(config, faults)
	devices := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if qmconf.Family(key) != "usb" {
			continue
		}
		checkUSB(config, key, faults)
		host, _ := qmconf.Parse(key, config[key]).Get("host")
		if devices[host] && strings.Contains(host, "-") { // if two devices have the same vendor and product ID, QEMU gives one of them to each entry
			faults.add(key, host, "the VM already has the device at this port")
		}
		devices[host] = true
	}
}

// checkHugePages checks the rules of qemu-server PVE/QemuServer/Memory.pm: NUMA
// is on, and each socket's share of the memory is a number of whole pages.
func checkHugePages(config map[string]string, faults *faults) {
	value, set := config["hugepages"]
	if !set {
		return
	}
	page, known := map[string]storage.Size{"any": 2 * storage.MiB, "2": 2 * storage.MiB, "1024": storage.GiB}[value]
	if !known {
		faults.add("hugepages", value, "pages are of 2 MiB or 1 GiB: want 2, 1024 or any"+UnitMeant)
		return
	}
	if config["numa"] != "1" {
		faults.add("hugepages", value, "PVE wants numa: 1 with it")
	}
	memory, known := Memory(config)
	sockets, _ := strconv.ParseInt(config["sockets"], 10, 64)
	if known && int64(memory)%(int64(page)*max(sockets, 1)) != 0 {
		faults.add("memory", config["memory"], "it is not a multiple of the huge pages, "+page.Human()+" for each socket")
	}
}

// checkUSB checks the rules of qemu-server PVE/QemuServer/USB.pm.
func checkUSB(config map[string]string, key string, faults *faults) {
	value := config[key]
	props := qmconf.Parse(key, value)
	host, byHost := props.Get("host")
	mapping, byMapping := props.Get("mapping")
	switch slot, err := strconv.Atoi(strings.TrimPrefix(key, "usb")); {
	case err != nil || slot > 13 || slot > 4 && !qmconf.ModernUSB(config["ostype"]):
		faults.add(key, "", "PVE has usb0 to usb13, and only usb0 to usb4 for an ostype other than l26, win8, win10 and win11")
	case byHost == byMapping:
		faults.add(key, value, "want either a device of the host or a mapping")
	case byMapping && !qmconf.IsMappingID(mapping):
		faults.add(key, mapping, "not the name of a resource mapping")
	case byHost && !usbDevice.MatchString(host):
		faults.add(key, host, `not a USB device: want VENDOR:PRODUCT ("046d:c52b"), BUS-PORT ("1-2.3") or the name of a resource mapping`)
	}
}
