package profile

import (
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

// These are values of -cpu for the processors that macOS may see. PVE puts its
// own -cpu in front of them, but QEMU uses the last -cpu.
const (
	// hostCPU shows an Intel processor as it is (OSX-PROXMOX, setup), with the
	// leaf in which macOS reads the clock's frequency (osx-proxmox-next,
	// planner.py). It limits physical addresses to 39 bits, as on desktops.
	// With the 46 bits of servers, OVMF puts the card's memory where macOS does
	// not find it, and macOS hangs (Dortania, kaslr-fix; edk2
	// OvmfPkg/Library/PlatformInitLib/MemDetect.c).
	hostCPU = "host,kvm=on,vendor=GenuineIntel,+kvm_pv_unhalt,+kvm_pv_eoi,+hypervisor,+invtsc,vmware-cpuid-freq=on,host-phys-bits-limit=39"
	// cascadeLake is for hosts whose processor macOS does not know, and for
	// macOS from Ventura on. These releases need AVX2. macOS sees a processor
	// that Macs had, without the features that the host may lack.
	cascadeLake = "Cascadelake-Server,vendor=GenuineIntel,+invtsc,-pcid,-hle,-rtm,-avx512f,-avx512dq,-avx512cd,-avx512bw,-avx512vl,-avx512vnni," +
		"kvm=on,vmware-cpuid-freq=on"
	// penryn is for hosts whose processor macOS does not know, and for macOS
	// before Ventura (OSX-PROXMOX, setup).
	penryn = "Penryn,kvm=on,vendor=GenuineIntel,+kvm_pv_unhalt,+kvm_pv_eoi,+hypervisor,+invtsc,+ssse3,+sse4.2,+popcnt,+avx,+avx2,+aes,+fma,+bmi1,+bmi2," +
		"+xsave,+xsaveopt,check"
)

func (p MacOS) cpuArgs() []string {
	cpu := p.CPU
	switch {
	case cpu != "":
	case macos.KnowsCPU(p.HostCPU):
		cpu = hostCPU
	case p.release() >= gpu.MacOSVentura:
		cpu = cascadeLake
	default:
		cpu = penryn
	}
	return []string{"-cpu " + cpu}
}
