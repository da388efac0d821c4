package macos

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// A CPU describes the processor that a guest sees. It holds only facts that
// follow from the VM's configuration.
type CPU struct {
	// Name is QEMU's name of the model, such as "host" or "Skylake-Client-v4".
	Name string
	// Model and Stepping are the display model and the stepping in CPUID. Model
	// is 0 for the host's processor and for an unknown model.
	Model, Stepping int
	// Bits is the width of physical addresses. 0 stands for the host's width.
	// If Limit is not 0, the host's width counts only up to Limit bits.
	Bits, Limit int
}

// models holds the display models of QEMU's processors (QEMU
// target/i386/cpu.c).
var models = []struct {
	prefix string
	model  int
}{
	{"Penryn", 23}, {"Nehalem", 26}, {"Westmere", 44}, {"SandyBridge", 42}, {"IvyBridge", 58}, {"Haswell", 60}, {"Broadwell", 61},
	{"Skylake-Client", 94}, {"Skylake-Server", 85}, {"Cascadelake-Server", 85}, {"Cooperlake", 85}, {"Icelake-Server", 106}, {"SapphireRapids", 143},
}

// namedBits is the width that QEMU gives to processors with a named model
// (TCG_PHYS_ADDR_BITS in target/i386/cpu.h). OVMF does not trust this width,
// and keeps large regions low (edk2
// OvmfPkg/Library/PlatformInitLib/MemDetect.c).
const namedBits = 40

// CPUOf returns the processor in a configuration. It reads the last -cpu in
// args, as QEMU does. If there is no -cpu, it reads PVE's key cpu.
func CPUOf(config map[string]string) CPU {
	value, name := "", ""
	for _, arg := range qmconf.SplitArgs(config["args"]) {
		if arg.Name() == "-cpu" {
			value = arg.Value()
		}
	}
	list := strings.Split(value, ",")
	if value == "" {
		list = strings.Split(config["cpu"], ",")
	}
	name = strings.TrimPrefix(list[0], "cputype=")
	c := CPU{Name: name, Bits: namedBits}
	if name == "host" || name == "max" {
		c.Bits = 0
	}
	for _, m := range models {
		if strings.HasPrefix(name, m.prefix) {
			c.Model = m.model
		}
	}
	for _, property := range list[1:] {
		key, text, _ := strings.Cut(property, "=")
		n, err := strconv.ParseInt(text, 0, 32)
		switch {
		case key == "phys-bits" && text == "host", key == "host-phys-bits" && text == "on", property == "+host-phys-bits":
			c.Bits = 0
		case err != nil:
		case key == "model":
			c.Model = int(n)
		case key == "stepping":
			c.Stepping = int(n)
		case key == "phys-bits":
			c.Bits = int(n)
		case key == "host-phys-bits-limit":
			c.Limit = int(n)
		}
	}
	return c
}

// AddressBits returns the width of the guest's physical addresses on a host
// with addresses of the given width. It returns 0 if the width is not known.
func (c CPU) AddressBits(host int) int {
	switch {
	case c.Bits != 0:
		return c.Bits
	case c.Limit != 0 && (host == 0 || host > c.Limit):
		return c.Limit
	}
	return host
}

// Hangs reports whether macOS hangs with addresses of the given width. OVMF
// puts large regions at the top of the processor's address space, and macOS
// reads only 44 bits of an address in a device's region (Dortania, kaslr-fix;
// edk2 MemDetect.c).
func Hangs(bits int) bool { return bits >= 45 }

// Generation returns the graphics family that Lilu expects with this processor.
// Lilu decides by the CPUID alone (Lilu Sources/kern_cpu.cpp). Generation
// returns UnknownFamily for the host's own processor and for processors without
// graphics.
func (c CPU) Generation() gpu.Family {
	switch c.Model {
	case 0x2A:
		return gpu.IntelSandyBridge
	case 0x3A:
		return gpu.IntelIvyBridge
	case 0x3C, 0x45, 0x46:
		return gpu.IntelHaswell
	case 0x3D, 0x47:
		return gpu.IntelBroadwell
	case 0x4E, 0x5E, 0x55:
		return gpu.IntelSkylake
	case 0x8E, 0x9E:
		if c.Stepping == 9 {
			return gpu.IntelKabyLake
		}
		return gpu.IntelCoffeeLake
	case 0xA5, 0xA6:
		return gpu.IntelCometLake
	case 0x7D, 0x7E:
		return gpu.IntelIceLake
	}
	return gpu.UnknownFamily
}

// Fits reports whether Lilu loads the drivers of a card's family if the guest
// has this processor. Coffee Lake and Comet Lake have the same drivers.
func (c CPU) Fits(family gpu.Family) bool {
	same := func(f gpu.Family) gpu.Family {
		if f == gpu.IntelCometLake {
			return gpu.IntelCoffeeLake
		}
		return f
	}
	return c.Model == 0 || same(c.Generation()) == same(family)
}

// ModelFor returns properties of -cpu that turn a processor with a named model
// into a processor of a card's family. It returns "" for families without known
// properties.
func ModelFor(family gpu.Family) string {
	switch family {
	case gpu.IntelSkylake:
		return "model=94"
	case gpu.IntelKabyLake:
		return "model=158,stepping=9"
	case gpu.IntelCoffeeLake:
		return "model=158"
	case gpu.IntelCometLake:
		return "model=165"
	case gpu.IntelIceLake:
		return "model=126"
	}
	return ""
}

// String returns a description of the processor for people.
func (c CPU) String() string {
	if c.Model == 0 {
		return c.Name
	}
	return fmt.Sprintf("%s, CPUID model %d stepping %d", c.Name, c.Model, c.Stepping)
}
