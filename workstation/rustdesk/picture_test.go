package rustdesk

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func count(n int) *int { return &n }

func TestPicture(t *testing.T) {
	t.Parallel()
	plugged, bare := []ScreenOutput{{"0-HDMI-A-1", true, 256}}, []ScreenOutput{{"0-HDMI-A-1", false, 0}}
	v149 := Version{1, 4, 9}
	for name, test := range map[string]struct {
		os   OS
		v    Version
		s    Screen
		want proxstation.Answer
		ids  string
		says string // an expected part of Sees or of a Fix
	}{
		"X11 desktop":           {Linux, v149, Screen{Session: "x11", Class: "user", Login: "x11", Outputs: plugged}, proxstation.Yes, "", "the desktop"},
		"X11 login screen":      {Linux, v149, Screen{Session: "x11", Class: "greeter", Login: "x11", Monitors: count(1)}, proxstation.Yes, "", "the login screen"},
		"Wayland with GNOME":    {Linux, v149, Screen{Session: "wayland", Class: "user", Desktop: "ubuntu", Login: "x11"}, proxstation.No, "rustdesk.session-wayland", "gnome-session-xsession"},
		"Wayland with sessions": {Linux, v149, Screen{Session: "wayland", Class: "user", Desktop: "KDE", Login: "x11", XSessions: []string{"plasmax11"}}, proxstation.No, "rustdesk.session-wayland", "there are plasmax11"},
		"Wayland with Plasma":   {Linux, v149, Screen{Session: "wayland", Class: "user", Desktop: "plasmashell", Login: "x11"}, proxstation.No, "rustdesk.session-wayland", "plasma-x11-session"},
		"Wayland with MATE":     {Linux, v149, Screen{Session: "wayland", Class: "user", Desktop: "mate-session", Login: "x11"}, proxstation.No, "rustdesk.session-wayland", "experimental"},
		"Wayland with sway":     {Linux, v149, Screen{Session: "wayland", Class: "user", Desktop: "sway", Login: "none"}, proxstation.No, "rustdesk.session-wayland", "rustdesk-unattended-wayland"},
		"both Wayland":          {Linux, v149, Screen{Session: "wayland", Class: "user", Login: "wayland", Manager: "gdm3"}, proxstation.No, "rustdesk.session-wayland rustdesk.login-wayland", "WaylandEnable=false"},
		"Wayland login shown":   {Linux, v149, Screen{Session: "wayland", Class: "greeter", Login: "wayland", Manager: "gdm"}, proxstation.No, "rustdesk.login-wayland", "a refusal"},
		"after the next start":  {Linux, v149, Screen{Session: "x11", Class: "user", Login: "wayland", Manager: "sddm", Monitors: count(2)}, proxstation.Yes, "rustdesk.login-wayland", "DisplayServer=x11"},
		"greetd":                {Linux, v149, Screen{Session: "x11", Class: "user", Login: "wayland", Manager: "greetd", Monitors: count(1)}, proxstation.Yes, "rustdesk.login-wayland", "lightdm"},
		"no session":            {Linux, v149, Screen{Session: "none", Login: "none"}, proxstation.No, "rustdesk.no-session", "lightdm"},
		"a console":             {Linux, v149, Screen{Session: "tty", Class: "user", Login: "none"}, proxstation.No, "rustdesk.no-session", "tty"},
		"no logind":             {Linux, v149, Screen{}, proxstation.Unknown, "", "logind"},
		"no plug":               {Linux, v149, Screen{Session: "x11", Class: "user", Login: "x11", Outputs: bare, Drivers: []string{"amdgpu"}}, proxstation.No, "rustdesk.no-monitor", "dummy plug"},
		"X shows none":          {Linux, v149, Screen{Session: "x11", Class: "user", Login: "x11", Outputs: plugged, Monitors: count(0)}, proxstation.No, "rustdesk.no-monitor", "dummy plug"},
		"NVIDIA may pretend":    {Linux, v149, Screen{Session: "x11", Class: "user", Login: "x11", Outputs: bare, Drivers: []string{"nvidia"}}, proxstation.Unknown, "", "neither xrandr"},
		"no outputs to read":    {Linux, v149, Screen{Session: "x11", Class: "user", Login: "x11"}, proxstation.Unknown, "", "neither xrandr"},

		"Mac":                   {MacOS, v149, Screen{Session: "aqua", Class: "user", ScreenRecording: proxstation.Yes, Accessibility: proxstation.Yes, Monitors: count(1)}, proxstation.Yes, "", "the desktop"},
		"Mac logged out":        {MacOS, v149, Screen{Session: "aqua", Class: "greeter", ScreenRecording: proxstation.Yes, Accessibility: proxstation.No, Monitors: count(1)}, proxstation.Yes, "rustdesk.accessibility", "the login window"},
		"Mac not permitted":     {MacOS, v149, Screen{ScreenRecording: proxstation.No, Accessibility: proxstation.No, Monitors: count(1)}, proxstation.No, "rustdesk.screen-recording rustdesk.accessibility", "Screen & System Audio"},
		"Mac without a plug":    {MacOS, v149, Screen{ScreenRecording: proxstation.Yes, Monitors: count(0)}, proxstation.No, "rustdesk.no-monitor", "dummy plug"},
		"Mac that says nothing": {MacOS, v149, Screen{Monitors: count(1)}, proxstation.Unknown, "", "Full Disk Access"},

		"Windows":              {Windows, v149, Screen{Monitors: count(1)}, proxstation.Yes, "", "the desktop"},
		"Windows headless":     {Windows, v149, Screen{Monitors: count(0), Build: 26100, VirtualDisplay: proxstation.Yes}, proxstation.Yes, "", "virtual display"},
		"old RustDesk":         {Windows, Version{1, 2, 3}, Screen{Monitors: count(0), Build: 26100, VirtualDisplay: proxstation.Yes}, proxstation.No, "rustdesk.no-monitor", "dummy plug"},
		"old Windows":          {Windows, v149, Screen{Monitors: count(0), Build: 17763, VirtualDisplay: proxstation.Yes}, proxstation.No, "rustdesk.no-monitor", "dummy plug"},
		"no driver":            {Windows, v149, Screen{Monitors: count(0), Build: 26100, VirtualDisplay: proxstation.No}, proxstation.No, "rustdesk.no-monitor", ".msi"},
		"Windows says nothing": {Windows, v149, Screen{Build: 17763, VirtualDisplay: proxstation.No}, proxstation.Unknown, "", "did not say"},
		"an unnamed system":    {"", v149, Screen{Monitors: count(1)}, proxstation.Unknown, "", "no operating system"},
	} {
		p := Report{OS: test.os, Version: test.v, Screen: test.s}.Picture()
		var ids []string
		text := p.Sees
		for _, f := range p.Findings {
			ids = append(ids, f.ID)
			text += " | " + f.Seen + " | " + f.Fix
			if f.Severity == proxstation.Unspecified || f.Subject == "" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v lacks a part", name, f)
			}
		}
		blocked := proxstation.Worst(p.Findings) == proxstation.Blocker
		if p.Visible != test.want || strings.Join(ids, " ") != test.ids || !strings.Contains(text, test.says) || p.Sees == "" || blocked != (test.want == proxstation.No) {
			t.Errorf("%s: %s, %v, %s; want %s, %s, %q", name, p.Visible, ids, text, test.want, test.ids, test.says)
		}
	}
}

func TestReportJudges(t *testing.T) {
	t.Parallel()
	seen := Screen{Session: "x11", Class: "user", Login: "x11", Monitors: count(1)}
	port := ServerPort{"rd.example", 21117, proxstation.No}
	for name, test := range map[string]struct {
		r    Report
		want string
	}{
		"fine":         {Report{OS: Linux, Running: true, Registered: proxstation.Yes, Ports: []ServerPort{{"rd.example", 21116, proxstation.Yes}, {"rd.example", 21115, proxstation.Unknown}}, Screen: seen}, ""},
		"stopped":      {Report{OS: Linux, Registered: proxstation.Yes, Screen: seen}, "blocker rustdesk.stopped"},
		"not known":    {Report{OS: Linux, Running: true, Registered: proxstation.No, Ports: []ServerPort{port}, Screen: seen}, "blocker rustdesk.unregistered, warning rustdesk.port"},
		"cannot tell":  {Report{OS: Linux, Running: true, Screen: seen}, "info rustdesk.unregistered"},
		"user's own":   {Report{OS: Linux, Running: true, Registered: proxstation.Yes, Keeps: []string{"/home/bob"}, Screen: seen}, "warning rustdesk.keeps"},
		"nothing seen": {Report{OS: Linux, Running: true, Registered: proxstation.Yes, Screen: Screen{Session: "none"}}, "blocker rustdesk.no-session"},
	} {
		var got []string
		for _, f := range test.r.Judge() {
			got = append(got, fmt.Sprint(f.Severity, " ", f.ID))
			if f.Subject == "" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v lacks a part", name, f)
			}
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

func TestLinuxReportsItsScreen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(g *guest)
		want    Screen
	}{
		"nothing": {func(*guest) {}, Screen{Session: "none", Login: "none"}},
		"GNOME on Wayland": {func(g *guest) {
			g.state("logind", "Id=c2\nType=wayland\nClass=user\nName=ada\nDesktop=ubuntu\n")
			g.manager("gdm3")
			g.put("/etc/gdm3/custom.conf", "[daemon]\n#WaylandEnable=false\n")
			g.put("/usr/libexec/gdm-x-session", "")
			g.put("/usr/share/xsessions/ubuntu-xorg.desktop", "")
		}, Screen{Session: "wayland", Class: "user", User: "ada", Desktop: "ubuntu", Login: "wayland", Manager: "gdm3", XSessions: []string{"ubuntu-xorg"}}},
		"X11, told by processes": {func(g *guest) {
			g.state("logind", "Id=3\nType=x11\nClass=user\nName=ada\nDesktop=\n")
			g.state("process", "cinnamon-sessio") // the kernel keeps only 15 characters of a process name
			g.manager("gdm")
			g.put("/etc/gdm/custom.conf", "[daemon]\n WaylandEnable = False\n")
			g.put("/usr/libexec/gdm-x-session", "")
			g.state("processes", "/sbin/init\n/usr/lib/xorg/Xorg vt2 -displayfd 3 -auth /run/user/1000/gdm/Xauthority -nolisten tcp\n")
			g.put("/tmp/.X11-unix/X1", "")
			g.state("xrandr", "Monitors: 2\n 0: +*HDMI-0 1920/1x1080/1+0+0  HDMI-0\n")
		}, Screen{Session: "x11", Class: "user", User: "ada", Desktop: "cinnamon-session", Login: "x11", Manager: "gdm", Monitors: count(2)}},
		"GDM without X11": {func(g *guest) {
			g.manager("gdm")
			g.put("/etc/gdm/custom.conf", "WaylandEnable=false\n")
		}, Screen{Session: "none", Login: "wayland", Manager: "gdm"}},
		"SDDM as it comes": {func(g *guest) { g.manager("sddm") }, Screen{Session: "none", Login: "x11", Manager: "sddm"}},
		"SDDM of Fedora": {func(g *guest) {
			g.manager("sddm")
			g.put("/usr/lib/sddm/sddm.conf.d/plasma-wayland.conf", "[General]\nDisplayServer=wayland\n")
		}, Screen{Session: "none", Login: "wayland", Manager: "sddm"}},
		"SDDM set back": {func(g *guest) {
			g.manager("sddm")
			g.put("/usr/lib/sddm/sddm.conf.d/plasma-wayland.conf", "[General]\nDisplayServer=wayland\n")
			g.put("/etc/sddm.conf.d/x11.conf", "[General]\nDisplayServer=x11\n")
		}, Screen{Session: "none", Login: "x11", Manager: "sddm"}},
		"a login screen says itself": {func(g *guest) {
			g.state("logind", "Id=c1\nType=wayland\nClass=greeter\nName=sddm\nDesktop=\n")
			g.manager("sddm")
		}, Screen{Session: "wayland", Class: "greeter", User: "sddm", Login: "wayland", Manager: "sddm"}},
		"LightDM":   {func(g *guest) { g.manager("lightdm") }, Screen{Session: "none", Login: "x11", Manager: "lightdm"}},
		"a new one": {func(g *guest) { g.manager("emptty") }, Screen{Session: "none", Manager: "emptty"}},
		"cards": {func(g *guest) {
			g.put("/sys/class/drm/card1/device/vendor", "0x1002\n")
			g.must(os.Symlink("../../bus/pci/drivers/amdgpu", g.root+"/sys/class/drm/card1/device/driver"))
			g.put("/sys/bus/pci/drivers/amdgpu/bind", "")
			g.must(os.Remove(g.root + "/sys/class/drm/card1/device/driver"))
			g.must(os.Symlink(g.root+"/sys/bus/pci/drivers/amdgpu", g.root+"/sys/class/drm/card1/device/driver"))
			g.put("/sys/class/drm/card1-HDMI-A-1/status", "connected\n")
			g.put("/sys/class/drm/card1-HDMI-A-1/enabled", "enabled\n")
			g.put("/sys/class/drm/card1-HDMI-A-1/edid", strings.Repeat("x", 256))
			g.put("/sys/class/drm/card1-DP-1/status", "disconnected\n")
		}, Screen{Session: "none", Login: "none", Outputs: []ScreenOutput{{"1-DP-1", false, 0}, {"1-HDMI-A-1", true, 256}}, Drivers: []string{"amdgpu"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Linux)
			g.install("1.4.9")
			test.prepare(g)
			report, err := g.run(Setup{})
			if got, want := show(report.Screen), show(test.want); err != nil || got != want || report.OS != Linux {
				t.Errorf("%v\n%s, want\n%s", err, got, want)
			}
			if asked := g.read("asked"); test.want.Monitors != nil && asked != ":1 /run/user/1000/gdm/Xauthority\n" {
				t.Errorf("xrandr asked %q", asked)
			}
		})
	}
}

// The function "show" prints a screen and the values behind its pointers.
func show(s Screen) string {
	monitors := "?"
	if s.Monitors != nil {
		monitors = fmt.Sprint(*s.Monitors)
	}
	s.Monitors = nil
	return fmt.Sprintf("%+v %s", s, monitors)
}

func TestMacOSReportsItsScreen(t *testing.T) {
	t.Parallel()
	g := newGuest(t, MacOS)
	g.install("1.4.9")
	g.state("screen-recording", "2\n")
	g.state("accessibility", "0\n")
	g.state("displays", "Displays:\n  Resolution: 1920 x 1080\n  Resolution: 3840 x 2160\n")
	report, err := g.run(Setup{})
	want := Screen{Session: "aqua", Class: "user", User: "501", ScreenRecording: proxstation.Yes, Accessibility: proxstation.No, Monitors: count(2)}
	if err != nil || show(report.Screen) != show(want) || report.OS != MacOS {
		t.Errorf("%+v, %v, want %+v", report, err, want)
	}
	g.must(os.Remove(g.dir + "/screen-recording")) // a program without Full Disk Access does not find this file
	g.state("displays", "Displays:\n")
	report, err = g.run(Setup{})
	if want := (Screen{Session: "aqua", Class: "user", User: "501", Accessibility: proxstation.No, Monitors: count(0)}); err != nil || show(report.Screen) != show(want) {
		t.Errorf("%+v, %v", report.Screen, err)
	}
}

// As long as the service has no key pair, the options of users overwrite the
// service's options. The set-up then also writes the options for users who have
// none.
func TestOptionsGoWhereTheyCount(t *testing.T) {
	t.Parallel()
	for _, system := range []OS{Linux, MacOS} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, system)
			g.install("1.4.9")
			g.mark("unregistered")
			homes := map[OS]string{Linux: "/home/", MacOS: "/Users/"}[system]
			g.state("passwd", "root:x:0:0::/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n"+
				"gone:x:1002:1002::/home/gone:/bin/bash\nftp:x:1003:1003::/home/ftp:/usr/sbin/nologin\nsddm:x:990:990::/var/lib/sddm:/bin/false\n")
			g.state("users", "_www 70\nada 501\nbob 502\ngone 503\n")
			for _, home := range []string{homes + "ada", "/home/ftp", "/var/lib/sddm"} {
				g.must(os.MkdirAll(g.root+home, 0o755))
			}
			path := func(home string) string {
				path, err := OptionsFile.Path(system, home)
				g.must(err)
				return g.root + path
			}
			g.put(strings.TrimPrefix(path(homes+"bob"), g.root), "[options]\n")
			config := Config{Server: Server{ID: "id.example"}}
			report, err := g.run(Setup{Config: &config})
			if err != nil || !slices.Equal(report.Keeps, []string{g.root + homes + "bob"}) || report.Registered != proxstation.No {
				t.Fatalf("%+v, %v", report, err)
			}
			acted := "ada\n"
			fresh := []string{homes + "ada"}
			if system == Linux {
				acted, fresh = "ada\nsddm\n", append(fresh, "/var/lib/sddm")
			}
			if got := g.read("acted"); got != acted {
				t.Errorf("acted as %q, want %q", got, acted)
			}
			for _, home := range fresh {
				text, err := os.ReadFile(path(home))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := ParseFile(string(text)); err != nil || len(Diff(got, config)) > 0 {
					t.Errorf("%s: %v, %v", home, Diff(got, config), err)
				}
				if info, err := os.Stat(path(home)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", home, info.Mode(), err)
				}
			}
			again, err := g.run(Setup{Config: &config})
			if err != nil || len(again.Changed) != 0 || len(again.Keeps) != 1 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestOptionsStayWithTheServiceThatHasKeys(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.9")
	g.state("passwd", "ada:x:1000:1000::/home/ada:/bin/bash\n")
	g.must(os.MkdirAll(g.root+"/home/ada", 0o755))
	config := Config{Server: Server{ID: "id.example"}}
	if report, err := g.run(Setup{Config: &config}); err != nil || g.read("acted") != "" || len(report.Keeps) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestSetupReportsRegistrationAndPorts(t *testing.T) {
	t.Parallel()
	for system, ids := range map[OS]map[string]proxstation.Answer{
		Linux: {"": proxstation.Yes, "id.example:21117": proxstation.Yes, "10.0.0.2": proxstation.Yes, "10.0.0.3": proxstation.No, "id": proxstation.No},
		MacOS: {"id.example": proxstation.Yes},
	} {
		for id, want := range ids {
			g := newGuest(t, system)
			g.install("1.4.9")
			g.mark("reaches-21116")
			g.mark("reaches-21117")
			report, err := g.run(Setup{Config: &Config{Server: Server{ID: id}}})
			if err != nil || report.Registered != want {
				t.Errorf("%s %q: registered %s, %v, want %s", system, id, report.Registered, err, want)
			}
			var ports []string
			for _, p := range report.Ports {
				ports = append(ports, fmt.Sprint(p.Host, " ", p.Port, " ", p.Reached))
			}
			got := strings.Join(ports, ", ")
			if id == "10.0.0.2" && got != "10.0.0.2 21116 yes, 10.0.0.2 21115 no, 10.0.0.2 21117 yes" || id == "" && got != "" ||
				id == "id.example:21117" && got != "id.example 21117 yes, id.example 21116 yes, id.example 21117 yes" {
				t.Errorf("%s %q: ports %s", system, id, got)
			}
		}
	}
}

func TestRefusedPasswordIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.9")
	g.mark("refuses")
	config := wanted()
	_, err := g.run(Setup{Config: &config})
	wantStage(t, err, "password")
	if err == nil || !strings.Contains(err.Error(), "refused") || len(g.read("refusals")) != 1 {
		t.Errorf("%v after %d tries", err, len(g.read("refusals")))
	}
	noSecrets(t, g, err)
}

func TestSetupTakesEveryID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"42", "1 234 567 890", "mein-m\u00e4c"} {
		g := newGuest(t, Linux)
		g.install("1.4.9")
		g.state("id", id+"\n")
		if report, err := g.run(Setup{}); err != nil || report.ID != ID(strings.ReplaceAll(id, " ", "")) {
			t.Errorf("%s: %+v, %v", id, report, err)
		}
	}
}
