package rustdesk

import (
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// A Screen holds facts about a guest's screen. They decide what a person who
// connects sees. A field has its zero value if the fact could not be read, or
// if there is no such fact on the guest's system.
type Screen struct {
	// Session is the type of the active session on seat0 (logind): "x11",
	// "wayland" or "tty". It is "none" if there is no session, and "" if the
	// type is unknown. On macOS it is "aqua".
	Session string `json:"session,omitempty"`
	// Class is "user", or "greeter" for a login screen.
	Class string `json:"class,omitempty"`
	// User is the session's user. Desktop is the desktop's name, from logind or
	// from a process of the desktop: "ubuntu", "KDE", "sway".
	User    string `json:"user,omitempty"`
	Desktop string `json:"desktop,omitempty"`
	// Login is the type of the login screen: "x11" or "wayland". If the login
	// screen is not shown, the type comes from its configuration. Login is
	// "none" without a display manager, and "" if the type is unknown. Manager
	// is the display manager, such as "gdm3".
	Login   string `json:"login,omitempty"`
	Manager string `json:"manager,omitempty"`
	// XSessions holds the X11 sessions that a user can choose at the login
	// screen (/usr/share/xsessions).
	XSessions []string `json:"xSessions,omitempty"`
	// Outputs holds the outputs of the graphics cards (/sys/class/drm).
	Outputs []ScreenOutput `json:"outputs,omitempty"`
	// Drivers holds the kernel drivers of the graphics cards. On Windows it
	// holds the names of the adapters.
	Drivers []string `json:"drivers,omitempty"`
	// Monitors is the number of monitors that the window system shows. It is
	// nil if the window system could not be asked.
	Monitors *int `json:"monitors,omitempty"`
	// ScreenRecording and Accessibility are the permissions of macOS.
	ScreenRecording proxstation.Answer `json:"screenRecording,omitzero"`
	Accessibility   proxstation.Answer `json:"accessibility,omitzero"`
	// Build is the build number of Windows. VirtualDisplay says whether the
	// files of RustDesk's own virtual display (usbmmidd_v2) are beside the
	// program.
	Build          int                `json:"build,omitempty"`
	VirtualDisplay proxstation.Answer `json:"virtualDisplay,omitzero"`
}

// A ScreenOutput is one output of a graphics card.
type ScreenOutput struct {
	// Name is the card's number and the connector: "1-HDMI-A-1".
	Name string `json:"name"`
	// The field Connected says whether the output has a monitor, a dummy plug
	// or a forced EDID.
	Connected bool `json:"connected"`
	// EDID is the size of the monitor's description in bytes. It is 0 if there
	// is no description.
	EDID int `json:"edid,omitempty"`
}

// The method "take" parses one line of a report. It reports whether the line is
// about the screen.
func (s *Screen) take(word, rest string) bool {
	fields := strings.Fields(rest)
	field := func(i int) string {
		if i >= len(fields) || fields[i] == "-" || fields[i] == "unknown" {
			return ""
		}
		return fields[i]
	}
	switch word {
	case "session":
		s.Session, s.Class, s.User, s.Desktop = field(0), field(1), field(2), field(3)
	case "login":
		s.Login, s.Manager = field(0), field(1)
	case "xsession":
		s.XSessions = append(s.XSessions, rest)
	case "output":
		size, _ := strconv.Atoi(field(3))
		s.Outputs = append(s.Outputs, ScreenOutput{Name: field(0), Connected: field(1) == "connected", EDID: size})
	case "driver":
		s.Drivers = append(s.Drivers, rest)
	case "monitors":
		if n, err := strconv.Atoi(rest); err == nil {
			s.Monitors = &n
		}
	case "permission":
		if field(0) == "accessibility" {
			s.Accessibility = parseAnswer(field(1))
		} else {
			s.ScreenRecording = parseAnswer(field(1))
		}
	case "build":
		s.Build, _ = strconv.Atoi(rest)
	case "virtual":
		s.VirtualDisplay = parseAnswer(rest)
	default:
		return false
	}
	return true
}

// parseAnswer parses a script's answer. Any text other than yes and no is
// Unknown.
func parseAnswer(text string) proxstation.Answer {
	switch text {
	case "yes":
		return proxstation.Yes
	case "no":
		return proxstation.No
	}
	return proxstation.Unknown
}
