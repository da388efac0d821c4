package rustdesk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Picture says what a person who connects would see.
type Picture struct {
	// The field Visible says whether the person sees the desktop or the login
	// screen without help from anybody at the guest.
	Visible proxstation.Answer `json:"visible"`
	// The field Sees says in one sentence what the person sees.
	Sees string `json:"sees"`
	// Findings names the obstacles to a picture, now and later, and says how to
	// remove them.
	Findings []proxstation.Finding `json:"findings,omitempty"`
}

// Picture returns what a person who connects to the guest would see. It judges
// only the report's Screen.
func (r Report) Picture() Picture {
	switch r.OS {
	case Linux:
		return r.Screen.onLinux()
	case MacOS:
		return r.Screen.onMacOS()
	case Windows:
		return r.Screen.onWindows(r.Version)
	}
	return Picture{Sees: "nobody knows: the report names no operating system"}
}

// The method "no" adds a finding because of which the person sees no picture.
// The parameter "sees" says what the person sees instead.
func (p *Picture) no(sees string, f proxstation.Finding) {
	f.Severity = proxstation.Blocker
	p.Visible, p.Sees = proxstation.No, sees
	p.Findings = append(p.Findings, f)
}

// The method "warn" adds a finding about a fault. At present the person sees
// the picture in spite of this fault.
func (p *Picture) warn(f proxstation.Finding) {
	f.Severity = proxstation.Warning
	p.Findings = append(p.Findings, f)
}

// onLinux judges what a viewer sees of a Linux guest with RustDesk 1.4.9.
// RustDesk chooses the session. It refuses a Wayland login screen
// (src/server/connection.rs:1789). If there is no session, it starts nothing
// (src/platform/linux.rs:206 and 824). In a Wayland session, the desktop portal
// asks the person at the guest's screen for permission (src/lang/en.rs:130).
func (s Screen) onLinux() Picture {
	var p Picture
	switch {
	case s.Session == "":
		p.Sees = "nobody knows: logind could not be asked for the session"
	case s.Session == "none" || s.Session == "tty":
		p.no("nothing: no graphical session is there that RustDesk could show", proxstation.Finding{
			ID: "rustdesk.no-session", Subject: "session", Seen: "loginctl: the session on seat0 is " + s.Session,
			Why: "RustDesk starts its server only in a graphical session or at a login screen.",
			Fix: "Install a desktop whose session and login screen are X11, such as: apt install xfce4 lightdm.",
		})
	case s.Session == "wayland" && s.Class == "greeter":
		p.no("a refusal: RustDesk does not show a Wayland login screen", s.waylandLogin())
	case s.Session == "wayland":
		p.no("a wait: somebody at the guest's screen is asked what to share", proxstation.Finding{
			ID: "rustdesk.session-wayland", Subject: "session", Seen: "loginctl: Type=wayland, Desktop=" + orDefault(s.Desktop, "unknown"),
			Why: "The Wayland portal asks a person at the screen before it shows anything.",
			Fix: printable.Sentence(s.x11Session()),
		})
	default:
		s.judgeMonitors(&p)
	}
	if s.Login == "wayland" && s.Session != "none" && !(s.Session == "wayland" && s.Class == "greeter") {
		p.warn(s.waylandLogin())
	}
	return p
}

func (s Screen) waylandLogin() proxstation.Finding {
	fix := "install a login screen that runs on X11: apt install lightdm, and choose it with dpkg-reconfigure lightdm"
	switch {
	case strings.HasPrefix(s.Manager, "gdm"):
		fix = "set WaylandEnable=false below [daemon] in /etc/gdm3/daemon.conf (Debian), /etc/gdm3/custom.conf (Ubuntu) or /etc/gdm/custom.conf (others), then restart; GDM 49 and newer may come without X11: then " + fix
	case s.Manager == "sddm":
		fix = "put DisplayServer=x11 below [General] into /etc/sddm.conf.d/x11.conf, then restart"
	}
	return proxstation.Finding{
		ID: "rustdesk.login-wayland", Subject: "login screen", Seen: orDefault(s.Manager, "the display manager") + ": its login screen is wayland",
		Why: "RustDesk refuses connections while a Wayland login screen is shown, such as after every restart without automatic login.",
		Fix: printable.Sentence(fix),
	}
}

// otherWays is advice for a guest whose desktop has no X11 session.
const otherWays = "another session, such as Xfce's (apt install xfce4); RDP or Sunshine instead of RustDesk; or RustDesk's nightly package rustdesk-unattended-wayland (Debian and Ubuntu, since August 2026, not released yet), which shows Wayland without asking"

// x11Session returns the instructions for getting an X11 session.
func (s Screen) x11Session() string {
	if len(s.XSessions) > 0 {
		return fmt.Sprintf("log out, choose an X11 session at the login screen (there are %s) and log in again; for an automatic login, in the login screen's configuration", strings.Join(s.XSessions, ", "))
	}
	desktop := strings.ToLower(s.Desktop)
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(desktop, name) })
	}
	switch {
	case has("gnome", "ubuntu"):
		return "GNOME to version 48: install gnome-session-xsession and choose \"GNOME on Xorg\" at the login screen; newer GNOME has no X11 session, and needs " + otherWays
	case has("kde", "plasma"):
		return "install Plasma's X11 session (plasma-session-x11 on Ubuntu, plasma-workspace-x11 on Fedora, plasma-x11-session on Arch) and choose it at the login screen; Plasma from version 6.8 has none, and needs " + otherWays
	case has("xfce", "cinnamon", "mate", "lxqt"):
		return "choose the desktop's X11 session at the login screen; its Wayland session is the experimental one"
	}
	return "this desktop has no X11 session that is known here, so take " + otherWays
}

// judgeMonitors judges an X11 session by the monitors that its X server
// reports. If they are unknown, it judges by the outputs of the cards.
func (s Screen) judgeMonitors(p *Picture) {
	connected := slices.ContainsFunc(s.Outputs, func(o ScreenOutput) bool { return o.Connected })
	what := "the desktop"
	if s.Class == "greeter" {
		what = "the login screen"
	}
	switch {
	case s.Monitors != nil && *s.Monitors > 0, s.Monitors == nil && connected:
		p.Visible, p.Sees = proxstation.Yes, what
	case s.Monitors == nil && (len(s.Outputs) == 0 || slices.Contains(s.Drivers, "nvidia")):
		p.Sees = what + ", if the X server shows a monitor: neither xrandr nor /sys/class/drm tells"
	default:
		seen := "/sys/class/drm: no output is connected"
		if s.Monitors != nil {
			seen = "xrandr --listactivemonitors: Monitors: 0"
		}
		p.no("nothing: no monitor is there to show", proxstation.Finding{
			ID: "rustdesk.no-monitor", Subject: "graphics card", Seen: seen + "; drivers: " + orDefault(strings.Join(s.Drivers, ", "), "none"),
			Why: "A card without a monitor offers no display that RustDesk could show.",
			Fix: "Put a dummy plug into the card; or give an output an EDID with the kernel option drm.edid_firmware (not with NVIDIA's driver).",
		})
	}
}

func (s Screen) onMacOS() Picture {
	var p Picture
	switch {
	case s.ScreenRecording == proxstation.No:
		p.no("an empty desktop, or nothing", proxstation.Finding{
			ID: "rustdesk.screen-recording", Subject: "macOS", Seen: "TCC.db: kTCCServiceScreenCapture is not allowed for com.carriez.rustdesk",
			Why: "macOS shows a program without this permission no windows.",
			Fix: "At the Mac: System Settings > Privacy & Security > Screen & System Audio Recording, switch RustDesk on.",
		})
	case s.Monitors != nil && *s.Monitors == 0:
		p.no("nothing: no monitor is there to show", proxstation.Finding{
			ID: "rustdesk.no-monitor", Subject: "graphics card", Seen: "system_profiler SPDisplaysDataType: no display has a resolution",
			Why: "macOS draws no desktop without a display.",
			Fix: "Put a dummy plug into the card, or keep the VM's virtual display (vga: vmware) beside the card.",
		})
	case s.ScreenRecording == proxstation.Unknown || s.Monitors == nil:
		p.Sees = "nobody knows: the permission for screen recording, or the displays, could not be read (the program that asks needs Full Disk Access)"
	default:
		p.Visible, p.Sees = proxstation.Yes, "the desktop"
		if s.Class == "greeter" {
			p.Sees = "the login window"
		}
	}
	if s.Accessibility == proxstation.No {
		p.warn(proxstation.Finding{
			ID: "rustdesk.accessibility", Subject: "macOS", Seen: "TCC.db: kTCCServiceAccessibility is not allowed for com.carriez.rustdesk",
			Why: "The person who connects sees everything, but mouse and keyboard do nothing.",
			Fix: "At the Mac: System Settings > Privacy & Security > Accessibility, switch RustDesk on.",
		})
	}
	return p
}

// virtualDisplayBuild is the first build of Windows on which RustDesk can make
// a virtual display (rustdesk src/virtual_display_manager.rs,
// is_virtual_display_supported).
const virtualDisplayBuild = 19041

// onWindows judges as RustDesk behaves on Windows when somebody connects. If
// there is no display, RustDesk installs the driver of its virtual display and
// plugs the display in (src/server/display_service.rs:430,
// src/virtual_display_manager.rs:488).
func (s Screen) onWindows(v Version) Picture {
	var p Picture
	switch {
	case s.Monitors != nil && *s.Monitors > 0:
		p.Visible, p.Sees = proxstation.Yes, "the desktop or the login screen"
	case s.Build >= virtualDisplayBuild && s.VirtualDisplay == proxstation.Yes && v.Has(PlugsInDisplay):
		p.Visible, p.Sees = proxstation.Yes, "the desktop or the login screen, on a virtual display that RustDesk plugs in when the person connects"
	case s.Monitors == nil || s.Build == 0 || s.VirtualDisplay == proxstation.Unknown:
		p.Sees = "nobody knows: Windows did not say which displays there are"
	default:
		p.no("nothing: no monitor is there to show", proxstation.Finding{
			ID: "rustdesk.no-monitor", Subject: "graphics card",
			Seen: fmt.Sprintf("Win32_VideoController: no adapter has a resolution; Windows build %d, RustDesk %s, usbmmidd_v2 beside it: %s", s.Build, v, s.VirtualDisplay),
			Why:  "RustDesk plugs in a virtual display only from Windows 10 2004 (build 19041) and RustDesk 1.2.4 on, and with the driver that it brings.",
			Fix:  "Update Windows and RustDesk (its .msi brings the driver), or put a dummy plug into the card.",
		})
	}
	return p
}
