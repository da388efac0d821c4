package pveschema

import (
	"strconv"
	"strings"
)

// counts says how many parameters a name such as "net[n]" stands for, because
// the API description only writes [n] (qemu-server PVE/QemuServer.pm, Drive.pm,
// PCI.pm, USB.pm: MAX_NETS, MAX_HOSTPCI_DEVICES and their like).
var counts = map[string]int{
	"hostpci": 16, "ide": 4, "ipconfig": 32, "net": 32, "numa": 8, "parallel": 3, "sata": 6, "scsi": 31,
	"serial": 4, "unused": 256, "usb": 14, "virtio": 16, "virtiofs": 10, "mp": 256, "dev": 256, "link": 8,
}

// family returns the name with which the table describes a parameter: "scsi[n]"
// for "scsi0". It returns any other name unchanged, even a name whose number is
// out of range.
func family(name string) string {
	stem := strings.TrimRight(name, "0123456789")
	digits := name[len(stem):]
	n, err := strconv.Atoi(digits)
	if err != nil || n >= counts[stem] || digits != strconv.Itoa(n) {
		return name
	}
	return stem + "[n]"
}

// find returns a parameter by the name that a caller uses, such as "scsi0".
func find(params []Param, name string) *Param {
	if strings.HasSuffix(name, "[n]") {
		return nil
	}
	fam := family(name)
	for i := range params {
		if params[i].Name == name || params[i].Name == fam {
			return &params[i]
		}
	}
	return nil
}
