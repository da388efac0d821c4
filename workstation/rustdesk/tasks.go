package rustdesk

import (
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Task is a step that a person does once, because no program may do it.
type Task struct {
	// ID names the task: "macos.screen-recording". It is stable.
	ID string `json:"id"`
	// Title names the task in a few words.
	Title string `json:"title"`
	// The field Why says what does not work until the task is done.
	Why string `json:"why"`
	// The field Required says that nobody sees a picture until the task is
	// done, even if all other tasks are done.
	Required bool `json:"required,omitempty"`
	// The field Do holds the steps, in order.
	Do []string `json:"do"`
	// Verify is a command in the guest that shows whether the task was done. It
	// is nil if only a person can see whether the task was done.
	Verify []string `json:"verify,omitempty"`
	// The field Expect is the output of Verify after the task was done.
	Expect string `json:"expect,omitempty"`
	// The field Needs names the rights that Verify needs. Without them, the
	// output of Verify means nothing.
	Needs string `json:"needs,omitempty"`
}

// String returns the task as a paragraph for people.
func (t Task) String() string {
	text := printable.Sprintf("%s (%s)\n  why: %s", t.Title, t.ID, t.Why)
	for i, step := range t.Do {
		text += printable.Sprintf("\n  %d. %s", i+1, step)
	}
	if len(t.Verify) > 0 {
		text += printable.Sprintf("\n  check: %s prints %q", strings.Join(t.Verify, " "), t.Expect)
	}
	if t.Needs != "" {
		text += printable.Sprintf("\n  needs: %s", t.Needs)
	}
	return text
}

// Done reports whether the output of Verify proves that the task was done. It
// also returns false if the output does not answer the question.
func (t Task) Done(output string) bool {
	return len(t.Verify) > 0 && strings.TrimSpace(output) == t.Expect
}

// MacOSTasks returns the steps that a person does on a Mac after the [Script]
// has run, in order. The first steps give RustDesk permissions. No program can
// give them, because only macOS itself and a device management server can write
// the database of permissions.
func MacOSTasks() []Task {
	return []Task{
		permission("screen-recording", "Screen & System Audio Recording (Screen Recording before macOS 15)",
			"kTCCServiceScreenCapture", "whoever connects sees the desktop's picture without windows, or nothing"),
		permission("accessibility", "Accessibility", "kTCCServiceAccessibility",
			"whoever connects sees everything, but the mouse and the keyboard do nothing"),
		{
			ID:     "macos.auto-login",
			Title:  "Let the user log in at start, or accept the login window",
			Why:    "The part of RustDesk that shows the screen runs in the user's session or in the login window. In the login window it needs both permissions as well.",
			Do:     []string{"System Settings > Users & Groups > Automatically log in as: the user (not possible with FileVault on)"},
			Verify: []string{"sh", "-c", "defaults read /Library/Preferences/com.apple.loginwindow autoLoginUser >/dev/null 2>&1 && echo yes"},
			Expect: "yes",
		},
		{
			ID:     "macos.no-sleep",
			Title:  "Keep the Mac awake",
			Why:    "A Mac that sleeps does not answer, and a VM has no lid to open.",
			Do:     []string{"In a terminal: sudo pmset -a sleep 0 displaysleep 0"},
			Verify: []string{"sh", "-c", "pmset -g | awk '$1 == \"sleep\" { print $2 }'"},
			Expect: "0",
		},
	}
}

func permission(id, pane, service, why string) Task {
	return Task{
		ID:    "macos." + id,
		Title: "Allow RustDesk: " + pane,
		Why:   printable.Sentence(why),
		Do: []string{
			"System Settings > Privacy & Security > " + pane,
			"Switch RustDesk on; if it is not listed, press +, choose /Applications/RustDesk.app",
			"If it was on before an update, remove it with -, then add it again",
			"Accept to quit and reopen RustDesk",
		},
		Verify: []string{"sqlite3", "/Library/Application Support/com.apple.TCC/TCC.db",
			"select auth_value from access where service='" + service + "' and client='com.carriez.rustdesk'"},
		Expect: "2",
		Needs:  "root, and Full Disk Access for the program that runs it (for SSH: System Settings > General > Sharing > Remote Login > Allow full disk access)",
	}
}

// DisplayTasks returns the tasks after which a guest shows a picture, although
// its graphics card has no monitor. Without a monitor, a card has no display
// that RustDesk could show. The required tasks come first, in order. The other
// tasks are alternatives: one of them is enough, and the best comes first.
// [Report.Picture] says which tasks are still to be done in a guest.
//
// There are no tasks for Windows 10 2004 and newer: RustDesk from 1.2.4 on
// plugs in a virtual display of its own when somebody connects
// ([PlugsInDisplay]).
func DisplayTasks(os OS) []Task {
	plug := Task{
		ID:    "display.dummy-plug",
		Title: "Put a dummy plug into the card",
		Why:   "It works with every guest, from the firmware on, and gives the card a monitor to drive.",
		Do: []string{
			"Buy an HDMI or DisplayPort dummy plug for the resolution that is wanted (4K at 60 Hz needs an HDMI 2.0 plug)",
			"Plug it into the card that is passed through, not into the board",
		},
	}
	switch os {
	case Windows:
		return []Task{plug}
	case Linux:
		plug.Verify, plug.Expect = []string{"sh", "-c", "cat /sys/class/drm/card*-*/status | sort -u | head -n 1"}, "connected"
		return []Task{x11Session(), x11Login(), plug, edidFirmware(), nvidiaXorg()}
	case MacOS:
		plug.Verify, plug.Expect = []string{"sh", "-c", "system_profiler SPDisplaysDataType | grep -c -m 1 Resolution"}, "1"
		return []Task{plug, {
			ID:    "display.keep-virtual",
			Title: "Keep the VM's virtual display beside the card",
			Why:   "RustDesk has no virtual display for macOS; with PVE's own one (vga: std or vmware) there is a picture, and the card still accelerates what is drawn.",
			Do:    []string{"Leave the VM's display as it is and pass the card through as the second display"},
		}}
	}
	return nil
}

func x11Session() Task {
	return Task{
		ID:       "linux.x11-session",
		Title:    "Use an X11 session",
		Why:      "In a Wayland session somebody at the guest's screen is asked before RustDesk shows anything (rustdesk 1.4.9 src/lang/en.rs:130).",
		Required: true,
		Do: []string{
			"Xfce, Cinnamon, MATE, LXQt: their usual session is X11; choose it at the login screen",
			"GNOME to version 48: install gnome-session-xsession, choose \"GNOME on Xorg\" at the login screen",
			"Plasma to version 6.7: install plasma-session-x11 (Ubuntu), plasma-workspace-x11 (Fedora) or plasma-x11-session (Arch), choose \"Plasma (X11)\"",
			"Newer GNOME and Plasma, COSMIC, sway, Hyprland and others have no X11 session: take " + otherWays,
		},
		Verify: []string{"sh", "-c", `loginctl show-session "$(loginctl show-seat seat0 -p ActiveSession --value)" -p Type --value`},
		Expect: "x11",
	}
}

func x11Login() Task {
	return Task{
		ID:       "linux.x11-login",
		Title:    "Use a login screen on X11",
		Why:      "RustDesk refuses connections while a Wayland login screen is shown (rustdesk 1.4.9 src/server/connection.rs:1789).",
		Required: true,
		Do: []string{
			"LightDM: nothing to do",
			"GDM: WaylandEnable=false below [daemon] in /etc/gdm3/daemon.conf (Debian), /etc/gdm3/custom.conf (Ubuntu) or /etc/gdm/custom.conf (others)",
			"SDDM: DisplayServer=x11 below [General] in /etc/sddm.conf.d/x11.conf",
			"GDM 49 and newer without X11, greetd, Plasma's and COSMIC's own: install LightDM in their place",
			"Restart",
		},
		Verify: []string{"sh", "-c", `case $(readlink /etc/systemd/system/display-manager.service) in
*gdm*) grep -qis '^ *WaylandEnable *= *false' /etc/gdm3/daemon.conf /etc/gdm3/custom.conf /etc/gdm/custom.conf && echo yes ;;
*sddm*) cat /usr/lib/sddm/sddm.conf.d/*.conf /etc/sddm.conf.d/*.conf /etc/sddm.conf 2>/dev/null | grep -i '^ *DisplayServer *=' | tail -n 1 | grep -qi wayland || echo yes ;;
*lightdm* | *lxdm* | *xdm*) echo yes ;;
esac`},
		Expect: "yes",
	}
}

func edidFirmware() Task {
	return Task{
		ID:    "display.edid",
		Title: "Tell the kernel that a monitor is there",
		Why:   "The kernel's own drivers (amdgpu, i915, nouveau) drive an output that is forced on, with an EDID from a file; NVIDIA's driver does not look at it.",
		Do: []string{
			"Name an output: ls /sys/class/drm, for instance HDMI-A-1",
			"Put a monitor's EDID into /lib/firmware/edid/monitor.bin and into the initramfs",
			"Boot with: drm.edid_firmware=HDMI-A-1:edid/monitor.bin video=HDMI-A-1:e",
		},
		Verify: []string{"sh", "-c", "cat /sys/class/drm/card*-*/status | sort -u | head -n 1"},
		Expect: "connected",
	}
}

func nvidiaXorg() Task {
	return Task{
		ID:    "display.nvidia-xorg",
		Title: "Let Xorg start on an NVIDIA card without a monitor",
		Why:   "NVIDIA's driver starts an X11 session without a monitor when it is told to.",
		Do: []string{
			`In /etc/X11/xorg.conf.d/20-nvidia-headless.conf, a Section "Screen" with: Option "AllowEmptyInitialConfiguration" "true"`,
			`For a fixed size, an EDID: Option "ConnectedMonitor" "DFP-0" and Option "CustomEDID" "DFP-0:/etc/X11/edid.bin"`,
		},
		Verify: []string{"sh", "-c", "for x in /tmp/.X11-unix/X*; do test -S \"$x\" && echo yes && break; done"},
		Expect: "yes",
	}
}
