package rustdesk_test

import (
	"fmt"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A workstation moves from the public servers to its owner's server. The
// example prints the changes, and then the command of the script that makes
// them.
func ExampleDiff() {
	password := proxstation.NewSecret("a long permanent password")
	today := rustdesk.Unattended(rustdesk.Server{}, password)
	own := rustdesk.Server{ID: "id.home.example", Relay: "relay.home.example", Key: proxstation.NewSecret("OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=")}
	tomorrow := rustdesk.Unattended(own, proxstation.Secret{}) // no password is given, so the guest keeps its password

	for _, change := range rustdesk.Diff(today, tomorrow) {
		fmt.Println(change)
	}
	script, err := rustdesk.Setup{OS: rustdesk.Windows, Config: &tomorrow}.Script()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(script.Command(`C:\Windows\rustdesk.ps1`)[0], "< stdin:", script.Stdin)
	// Output:
	// + custom-rendezvous-server: "" -> "id.home.example"
	// + key: "" -> "[secret]"
	// + relay-server: "" -> "relay.home.example"
	// powershell.exe < stdin: [secret]
}

// The output of an installation becomes a report, and an address to click on.
func ExampleParseReport() {
	report, err := rustdesk.ParseReport(`rustdesk: version 1.4.9
rustdesk: changed package
rustdesk: password stored
rustdesk: service running
rustdesk: id 123456789
rustdesk: done
`)
	fmt.Println(report.Version, report.Running, report.Changed, report.Password, err)
	fmt.Println(report.Link())

	_, err = rustdesk.ParseReport("rustdesk: error checksum the download has SHA-256 e3b0\n")
	fmt.Println(err)
	// Output:
	// 1.4.9 true [package] stored <nil>
	// rustdesk://connect/123456789
	// rustdesk: setup: checksum: the download has SHA-256 e3b0
}

func ExampleSetup() {
	config := rustdesk.Unattended(rustdesk.Server{}, proxstation.NewSecret("hunter2"))
	setup := rustdesk.Setup{
		OS: rustdesk.Linux,
		Package: rustdesk.Package{
			Version: rustdesk.Version{Major: 1, Minor: 4, Patch: 1},
			URL:     "https://mirror.home.example/rustdesk-1.4.1-x86_64.deb",
			SHA256:  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		},
		Config: &config,
	}
	_, err := setup.Script()
	fmt.Println(err)

	setup.Package.Version = rustdesk.Version{Major: 1, Minor: 4, Patch: 9}
	script, err := setup.Script()
	fmt.Println(script.Command("/root/rustdesk.sh"), err)
	// Output:
	// rustdesk: version 1.4.1: writes passwords and keys to its log, want 1.4.2 or newer
	// [/bin/sh /root/rustdesk.sh] <nil>
}

// A guest becomes a RustDesk server. The output of its script gives the
// configuration of the workstations.
func ExampleServerSetup() {
	version := rustdesk.Version{Major: 1, Minor: 1, Patch: 16}
	setup := rustdesk.ServerSetup{
		Host: "rd.home.example",
		HBBS: rustdesk.Package{
			Version: version,
			URL:     rustdesk.ServerReleaseURL(version, "hbbs", "amd64"),
			SHA256:  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		},
		HBBR: rustdesk.Package{
			Version: version,
			URL:     rustdesk.ServerReleaseURL(version, "hbbr", "amd64"),
			SHA256:  "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
		},
	}
	script, err := setup.Script()
	fmt.Println(script.Command("/root/server.sh"), err)

	report, err := setup.ParseReport(`rustdesk: changed hbbs key
rustdesk: changed hbbs package
rustdesk: hbbs 1.1.16
rustdesk: changed hbbr key
rustdesk: changed hbbr package
rustdesk: hbbr 1.1.16
rustdesk: key OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=
rustdesk: done
`)
	fmt.Println(report.HBBS, report.Changed, err)
	config := rustdesk.Unattended(report.Server, proxstation.NewSecret("a long permanent password"))
	fmt.Printf("%+v\n", config.Server)
	// Output:
	// [/bin/sh /root/server.sh] <nil>
	// 1.1.16 [hbbs key hbbs package hbbr key hbbr package] <nil>
	// {ID:rd.home.example Relay: API: Key:[secret]}
}

// The relay of a self-hosted server has stopped, and Judge says what to do.
func ExampleServerHealth_Judge() {
	fine := rustdesk.ServerProgram{Version: rustdesk.Version{Major: 1, Minor: 1, Patch: 17}, Active: proxstation.Yes, Enabled: proxstation.Yes, Keyed: proxstation.Yes}
	stopped := fine
	stopped.Active = proxstation.No
	key := proxstation.NewSecret("OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=")
	health := rustdesk.ServerHealth{HBBS: fine, HBBR: stopped, Key: key, PrivateMode: 0o600} // or ReadServerHealth(ctx, node.Agent(120))
	for _, f := range health.Judge(rustdesk.Server{ID: "rd.home.example", Key: key}) {
		fmt.Println(f.Severity, f.Subject, "-", f.Fix)
	}
	// Output: blocker hbbr - Run systemctl start rustdesk-hbbr, then see journalctl -u rustdesk-hbbr.
}

func ExampleServer_ConfigString() {
	server := rustdesk.Server{ID: "id.home.example", Key: proxstation.NewSecret("OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=")}
	text, err := server.ConfigString()
	fmt.Println(text, err)
	fmt.Println(text.Reveal())
	// Output:
	// [secret] <nil>
	// 9JiI6ISehxWZyJCLiIiOikGchJCLiUGbw1WY4VmLl12bo5CZpJiOiQ3cvhmIsISP3JUbxd1cDFlcxdkS0Qjb3B3dJFzQwNTWw4mTQF0KwhVaIxmb1s2S1ZVZPJiOikXZrJye
}

// A person copied the server's configuration from the window of a client
// ("Export server config").
func ExampleParseServer() {
	server, err := rustdesk.ParseServer("9JiI6ISehxWZyJCLiIiOikGchJCLiUGbw1WY4VmLl12bo5CZpJiOiQ3cvhmIsISP3JUbxd1cDFlcxdkS0Qjb3B3dJFzQwNTWw4mTQF0KwhVaIxmb1s2S1ZVZPJiOikXZrJye")
	fmt.Printf("%+v %v\n", server, err)

	_, err = rustdesk.ParseServer("rustdesk.exe")
	fmt.Println(err)
	// Output:
	// {ID:id.home.example Relay: API: Key:[secret]} <nil>
	// rustdesk: server: neither a configuration string nor a name with host=
}

// A visitor gets the portable client, whose file name contains its
// configuration.
func ExampleServer_FileName() {
	name, err := rustdesk.Server{ID: "rd.home.example"}.FileName()
	fmt.Println(name.Reveal(), err)
	// Output: rustdesk-host=rd.home.example,.exe <nil>
}

func ExampleConfig_File() {
	config := rustdesk.Unattended(rustdesk.Server{}, proxstation.NewSecret("hunter2"))
	config.Access.DirectPort = rustdesk.DefaultDirectPort
	text, err := config.File()
	fmt.Print(text.Reveal())
	fmt.Println(err)
	path, err := rustdesk.OptionsFile.Path(rustdesk.Windows, "")
	fmt.Println(path, err)
	// Output:
	// [options]
	// approve-mode = 'password'
	// direct-server = 'Y'
	// verification-method = 'use-permanent-password'
	// <nil>
	// C:\Windows\ServiceProfiles\LocalService\AppData\Roaming\RustDesk\config\RustDesk2.toml <nil>
}

func ExampleMacOSTasks() {
	task := rustdesk.MacOSTasks()[1]
	fmt.Println(task)
	fmt.Println(task.Done("2\n"), task.Done("0\n"))
	// Output:
	// Allow RustDesk: Accessibility (macos.accessibility)
	//   why: Whoever connects sees everything, but the mouse and the keyboard do nothing.
	//   1. System Settings > Privacy & Security > Accessibility
	//   2. Switch RustDesk on; if it is not listed, press +, choose /Applications/RustDesk.app
	//   3. If it was on before an update, remove it with -, then add it again
	//   4. Accept to quit and reopen RustDesk
	//   check: sqlite3 /Library/Application Support/com.apple.TCC/TCC.db select auth_value from access where service='kTCCServiceAccessibility' and client='com.carriez.rustdesk' prints "2"
	//   needs: root, and Full Disk Access for the program that runs it (for SSH: System Settings > General > Sharing > Remote Login > Allow full disk access)
	// true false
}

// The report of a script says what a person who connects would see.
func ExampleReport_Picture() {
	report, err := rustdesk.ParseReport(`rustdesk: version 1.4.9
rustdesk: registered yes
rustdesk: id 123456789
rustdesk: service running
rustdesk: system linux
rustdesk: session wayland user ada sway
rustdesk: login none
rustdesk: done
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	picture := report.Picture()
	fmt.Println(picture.Visible, "-", picture.Sees)
	for _, f := range picture.Findings {
		fmt.Println(f.Severity, f.ID, "-", f.Seen)
	}
	// Output:
	// no - a wait: somebody at the guest's screen is asked what to share
	// blocker rustdesk.session-wayland - loginctl: Type=wayland, Desktop=sway
}

func ExampleDisplayTasks() {
	for _, task := range rustdesk.DisplayTasks(rustdesk.Linux) {
		fmt.Println(task.Title, task.Required)
	}
	// Output:
	// Use an X11 session true
	// Use a login screen on X11 true
	// Put a dummy plug into the card false
	// Tell the kernel that a monitor is there false
	// Let Xorg start on an NVIDIA card without a monitor false
}

func ExampleLink() {
	fmt.Println(rustdesk.Link{ID: "123456789"})
	link, err := rustdesk.ParseLink("rustdesk://file-transfer/123456789?relay=true")
	fmt.Println(link.ID, link.Action, link.Relay, err)
	link, err = rustdesk.ParseLink("rustdesk://connect/192.168.1.40:21118")
	fmt.Println(link.Address, err)
	_, err = rustdesk.ParseLink("rustdesk://123456789?password=hunter2")
	fmt.Println(err)
	// Output:
	// rustdesk://connect/123456789
	// 123456789 file-transfer true <nil>
	// 192.168.1.40:21118 <nil>
	// rustdesk: link: holds a secret
}

func ExampleVersion() {
	v, err := rustdesk.ParseVersion("1.4.6")
	fmt.Println(v, err)
	fmt.Println(v.Has(rustdesk.KeepsSecrets), v.Has(rustdesk.AcknowledgesPassword))
	// Output:
	// 1.4.6 <nil>
	// true false
}
