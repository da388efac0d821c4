package profile

import (
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// RustDeskOS returns the operating system by which package rustdesk sets up a
// guest, such as a VM's Guest. It reports false for a guest that is unspecified.
func RustDeskOS(guest gpu.Guest) (rustdesk.OS, bool) {
	switch {
	case guest == gpu.Linux:
		return rustdesk.Linux, true
	case guest.IsWindows():
		return rustdesk.Windows, true
	case guest.IsMacOS():
		return rustdesk.MacOS, true
	}
	return "", false
}
