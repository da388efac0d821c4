// Package devices compares the devices that a VM has with the devices that
// somebody wants for it. It finds the keys in which the VM has the wanted
// devices already, so that no device is given to the VM twice. It makes no
// request to a node.
package devices

import (
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/iommu"
)

// A Wish is what somebody wants of an existing VM, in PVE's notation.
type Wish struct {
	VM    int
	Title string            // the VM as people know it: "VM 140 windows"
	Have  map[string]string // the VM's configuration
	Host  gpu.Node

	// Config holds the wanted keys and values. Defaults holds, by key,
	// properties for new devices. Absent holds the keys and properties that the
	// VM must not have. Fit changes all three.
	Config, Defaults map[string]string
	Absent           []string

	// Split holds one key for each card that the VM has in several keys. Faults
	// holds the devices for which no key is left.
	Split    []string
	Faults   []rules.Fault
	Findings []proxstation.Finding
}

// Fit moves the wanted devices to the keys in which the VM has them, or to free
// keys. A device of the VM that is not wanted keeps its key.
func (w *Wish) Fit() {
	w.hostPCI()
	w.keys("virtiofs", "dirid")
	w.keys("usb", "host", "mapping")
	for key, value := range w.Config {
		if w.Have[key] == "" && qmconf.Family(key) == "net" {
			w.Config[key] = Completed(key, value, w.Defaults[key])
		}
	}
}

// Completed returns a property string with additional properties. These are the
// properties in defaults that the property string lacks.
func Completed(key, value, defaults string) string {
	if value == "" || defaults == "" {
		return value
	}
	properties, added := qmconf.Parse(key, value), []string{value}
	for _, p := range qmconf.Parse(key, defaults) {
		if _, there := properties.Get(p.Key); !there && p.Key != "" {
			added = append(added, p.Key+"="+p.Value)
		}
	}
	return strings.Join(added, ",")
}

// Functions returns the PCI functions of the node that a hostpci value stands
// for. If the value stands for several sets of functions, Functions returns the
// set that PVE tries first.
func Functions(node gpu.Node, value gpu.HostPCI) []iommu.Address {
	if sets := node.Resolve(value); len(sets) > 0 {
		return sets[0]
	}
	return nil
}

func (w *Wish) functions(value gpu.HostPCI) []iommu.Address { return Functions(w.Host, value) }
