package rustdesk

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

const (
	testPassword = "correct $(horse) `battery` 'staple'; !"
	testKey      = "OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw="
)

func ownServer() Server {
	return Server{ID: "id.example:21116", Relay: "relay.example", API: "https://api.example", Key: proxstation.NewSecret(testKey)}
}

func wanted() Config {
	c := Unattended(ownServer(), proxstation.NewSecret(testPassword))
	c.Access.DirectPort = 21200
	c.Access.HideFromLAN = true
	c.Access.From = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	c.Other = map[string]string{"enable-audio": "N", "preset-note": "it's ours"}
	return c
}

func TestSetupInstallsConfiguresAndThenChangesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		os      OS
		name    string
		install string
	}{
		{Linux, "rustdesk-1.4.9-x86_64.deb", "apt-get install"},
		{Linux, "rustdesk-1.4.9-0.x86_64.rpm", "dnf install"},
		{Linux, "rustdesk-1.4.9-0-x86_64.pkg.tar.zst", "pacman -U"},
		{MacOS, "rustdesk-1.4.9-x86_64.dmg", "hdiutil attach"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, test.os)
			config := wanted()
			setup := Setup{Package: g.serve(test.name, "1.4.9"), Config: &config}

			first, err := g.run(setup)
			if err != nil {
				t.Fatal(err)
			}
			if first.ID != "123456789" || first.Version != (Version{1, 4, 9}) || !first.Running || first.Password != PasswordStored {
				t.Errorf("report: %+v", first)
			}
			if !slices.Contains(first.Changed, "package") || !slices.Contains(first.Changed, "key") {
				t.Errorf("changed: %v", first.Changed)
			}
			got, err := ParseFile(g.read(string(OptionsFile)))
			if err != nil {
				t.Fatal(err)
			}
			want := config
			want.Password = proxstation.Secret{}
			if changes := Diff(got, want); len(changes) > 0 {
				t.Errorf("RustDesk has another configuration: %v", changes)
			}
			if got, times := g.read("password"), len(g.read("passwords")); got != testPassword || times != 1 {
				t.Errorf("password %q, set %d times", got, times)
			}

			second, err := g.run(setup)
			if err != nil || len(second.Changed) != 0 {
				t.Errorf("second run: changed %v, %v", second.Changed, err)
			}
			if n := strings.Count(g.read("calls"), test.install); n != 1 {
				t.Errorf("%d installations:\n%s", n, g.read("calls"))
			}
			if times := len(g.read("passwords")); times != 1 {
				t.Errorf("the same password was set %d times", times)
			}
		})
	}
}

func TestTamperedDownloadInstallsNothing(t *testing.T) {
	t.Parallel()
	for system, name := range map[OS]string{Linux: "rustdesk.deb", MacOS: "rustdesk.dmg"} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, system)
			config := wanted()
			pkg := g.serve(name, "1.4.9")
			pkg.SHA256 = strings.Repeat("00", 32)
			_, err := g.run(Setup{Package: pkg, Config: &config})
			wantStage(t, err, "checksum")
			for _, exe := range []string{"/usr/bin/rustdesk", "/Applications/RustDesk.app"} {
				if _, err := os.Stat(g.root + exe); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s was installed (%v)", exe, err)
				}
			}
			if calls := g.read("calls"); strings.Contains(calls, "apt-get") || strings.Contains(calls, "hdiutil") {
				t.Errorf("an installer was run:\n%s", calls)
			}
		})
	}
}

func TestSetupSaysWhyItStopped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(g *guest, s *Setup)
		stage   string
	}{
		{"not root", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("notroot") }, "privileges"},
		{"nothing installed", func(*guest, *Setup) {}, "package"},
		{"no such file on the server", func(g *guest, s *Setup) {
			s.Package = g.serve("rustdesk.deb", "1.4.9")
			s.Package.URL = strings.Replace(s.Package.URL, "rustdesk.deb", "other.deb", 1)
		}, "download"},
		{"installer fails", func(g *guest, s *Setup) { g.mark("apt-broken"); s.Package = g.serve("rustdesk.deb", "1.4.9") }, "package"},
		{"package holds another version", func(g *guest, s *Setup) {
			s.Package = g.serve("rustdesk.deb", "1.4.8")
			s.Package.Version = Version{1, 4, 9}
		}, "package"},
		{"service does not start", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("dead") }, "service"},
		{"service stops itself", func(g *guest, s *Setup) { g.install("1.4.9"); g.mark("weary"); s.Config = &Config{} }, "service"},
		{"RustDesk thinks it has no privileges", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("unprivileged") }, "options"},
		{"locked by policy", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("policy") }, "options"},
		{"options are not kept", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("deaf-options") }, "options"},
		{"too old for options", func(g *guest, _ *Setup) { g.install("1.2.1") }, "options"},
		{"would log the password", func(g *guest, _ *Setup) { g.install("1.4.1") }, "secrets"},
		{"nobody is logged in", func(g *guest, _ *Setup) { g.install("1.4.9"); g.mark("nosession") }, "password"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Linux)
			config := wanted()
			setup := Setup{Config: &config}
			test.prepare(g, &setup)
			_, err := g.run(setup)
			wantStage(t, err, test.stage)
			if g.read("password") != "" {
				t.Error("the password was set all the same")
			}
			noSecrets(t, g, err)
		})
	}
}

func wantStage(t *testing.T, err error, stage string) {
	t.Helper()
	var setupErr *SetupError
	if !errors.As(err, &setupErr) || !errors.Is(err, ErrSetup) || setupErr.Stage != stage {
		t.Errorf("error %v, want one of stage %q", err, stage)
	}
}

// noSecrets fails the test if the output or a file contains a secret. Only the
// files in which the stand-in keeps its secrets are left out.
func noSecrets(t *testing.T, g *guest, err error) {
	t.Helper()
	seen := map[string]string{"output": g.output.String(), "error": fmt.Sprintf("%v %+v %#v", err, err, err)}
	for _, dir := range []string{g.root, g.dir, filepath.Dir(g.dir)} {
		files, _ := filepath.Glob(dir + "/*")
		for _, file := range files {
			if base := filepath.Base(file); base != "password" && base != string(OptionsFile) {
				text, _ := os.ReadFile(file)
				seen[file] = string(text)
			}
		}
	}
	for where, text := range seen {
		for _, secret := range []string{testPassword, testKey} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret:\n%s", where, text)
			}
		}
	}
}

func TestSetupWaitsForTheServerToAnswer(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.2")
	g.must(os.WriteFile(filepath.Join(g.dir, "deaf"), []byte("\n\n\n"), 0o600))
	config := wanted()
	report, err := g.run(Setup{Config: &config})
	if err != nil || report.Password != PasswordSent {
		t.Errorf("%+v, %v", report, err)
	}
	noSecrets(t, g, err)
}

// A user's RustDesk has just started, and overwrites the options with old
// options of the user. The set-up sets the options again.
func TestSetupSetsAgainWhatWasLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		restarts int // how many restarts lose an option
		stage    string
		want     int // expected number of restarts
	}{
		{"never", 0, "", 1},
		{"once", 1, "", 2},
		{"twice", 2, "", 3},
		{"always", 9, "options", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Linux)
			g.install("1.4.9")
			g.mark("active")
			g.must(os.WriteFile(filepath.Join(g.dir, "forgetful"), []byte(strings.Repeat("\n", test.restarts)), 0o600))
			report, err := g.run(Setup{Config: &Config{Access: Access{Approve: ApprovePassword, Verify: VerifyPermanent}}})
			if test.stage != "" {
				wantStage(t, err, test.stage)
			} else if err != nil || g.read("options/approve-mode") != "password" {
				t.Errorf("%v", err)
			}
			if want := []string{"approve-mode", "verification-method"}; !slices.Equal(report.Changed, want) {
				t.Errorf("changed %v, want %v", report.Changed, want)
			}
			if n := strings.Count(g.read("calls"), "systemctl restart"); n != test.want {
				t.Errorf("%d restarts, want %d", n, test.want)
			}
		})
	}
}

func TestSetupMovesAGuestToAnotherServerAndBack(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.9")
	g.mark("active")
	setOptions(t, g.dir, map[string]string{"enable-audio": "N", "approve-mode": "password"})
	own, public := wanted(), Config{}
	own.Password, own.Other = proxstation.Secret{}, nil
	for _, move := range []Config{own, public} {
		report, err := g.run(Setup{Config: &move})
		if err != nil || report.Password != PasswordNone {
			t.Fatalf("%+v, %v", report, err)
		}
		got, err := ParseFile(g.read(string(OptionsFile)))
		if err != nil || len(Diff(got, move)) > 0 {
			t.Errorf("%v, %v", Diff(got, move), err)
		}
		if got.Other["enable-audio"] != "N" {
			t.Error("an option that is not ours was changed")
		}
	}
	noSecrets(t, g, nil)
}

// If a user has clicked "Stop service", the set-up starts the service again.
func TestSetupStartsWhatAUserStopped(t *testing.T) {
	t.Parallel()
	config := Unattended(Server{}, proxstation.Secret{})
	for name, setup := range map[string]func(g *guest) Setup{
		"configured": func(*guest) Setup { return Setup{Config: &config} },
		"installed":  func(g *guest) Setup { return Setup{Package: g.serve("r.deb", "1.4.9")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Linux)
			g.install("1.4.9")
			setOptions(t, g.dir, map[string]string{stopService: "Y"})
			report, err := g.run(setup(g))
			if err != nil || !report.Running || g.read("options/stop-service") != "" {
				t.Errorf("%+v, %v", report, err)
			}
			if again, err := g.run(setup(g)); err != nil || len(again.Changed) != 0 || !again.Running {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestReportOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.1.9")
	report, err := g.run(Setup{})
	if err != nil || report.Running || len(report.Changed) != 0 || report.Version != (Version{1, 1, 9}) {
		t.Errorf("%+v, %v", report, err)
	}
	if calls := g.read("calls"); strings.Contains(calls, "enable") || strings.Contains(calls, "restart") {
		t.Errorf("the service was touched:\n%s", calls)
	}
}

func TestSetupOnAFreshOrInterruptedImage(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"no-lists", "interrupted"} {
		g := newGuest(t, Linux)
		g.mark(state)
		report, err := g.run(Setup{Package: g.serve("r.deb", "1.4.9")})
		if err != nil || !slices.Equal(report.Changed, []string{"package"}) || !report.Running {
			t.Errorf("%s: %+v, %v", state, report, err)
		}
	}
}

// A cloud image updates itself at its first boot, and locks the package lists.
// The set-up waits until the lists are free.
func TestSetupWhileTheImageUpdatesItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		lines   int
		network bool
		want    string // part of the error
		updates int
	}{
		{"for a while", 40, true, "", 41},
		{"for ever", 900, true, "apt-get failed: E: Could not get lock", 61},
		{"fails otherwise", 0, false, "apt-get failed: E: The repository", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, Linux)
			g.mark("no-lists")
			g.must(os.WriteFile(filepath.Join(g.dir, "lists-locked"), []byte(strings.Repeat("\n", test.lines)), 0o600))
			if !test.network {
				g.mark("no-network")
			}
			_, err := g.run(Setup{Package: g.serve("r.deb", "1.4.9")})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			calls := g.read("calls")
			if n := strings.Count(calls, "apt-get update"); n != test.updates {
				t.Errorf("%d updates, want %d", n, test.updates)
			}
			if wait := strings.Index(calls, "cloud-init status --wait"); wait < 0 || wait > strings.Index(calls, "apt-get update") {
				t.Errorf("cloud-init was not waited for before:\n%s", calls)
			}
		})
	}
}

func TestSetupReportsWhatTheInstallerSaid(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.mark("apt-broken")
	_, err := g.run(Setup{Package: g.serve("r.deb", "1.4.9")})
	wantStage(t, err, "package")
	if err == nil || !strings.Contains(err.Error(), "apt-get failed: E: Unmet dependencies.") {
		t.Errorf("%v: does not say what apt-get said", err)
	}
}

func TestSetupUpgrades(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.1")
	config := wanted()
	report, err := g.run(Setup{Package: g.serve("r.deb", "1.4.9"), Config: &config})
	if err != nil || report.Version != (Version{1, 4, 9}) || report.Password != PasswordStored {
		t.Errorf("%+v, %v", report, err)
	}
	noSecrets(t, g, err)
}

func TestScriptRefuses(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	good := Package{Version{1, 4, 9}, "https://mirror.example/rustdesk.deb", sum}
	config, noPassword := wanted(), Config{}
	with := func(change func(*Package)) Setup {
		p := good
		change(&p)
		return Setup{OS: Linux, Package: p, Config: &config}
	}
	bad := wanted()
	bad.Password = proxstation.NewSecret("short")
	for _, test := range []struct {
		name  string
		setup Setup
		want  error
	}{
		{"no such system", Setup{OS: "plan9"}, ErrOS},
		{"no scheme", with(func(p *Package) { p.URL = "mirror/rustdesk.deb" }), ErrPackage},
		{"credentials in the address", with(func(p *Package) { p.URL = "https://me:secret@mirror/rustdesk.deb" }), ErrPackage},
		{"a query", with(func(p *Package) { p.URL = "https://mirror/rustdesk.deb?token=secret" }), ErrPackage},
		{"another system's package", with(func(p *Package) { p.URL = "https://mirror/rustdesk.msi" }), ErrPackage},
		{"no checksum", with(func(p *Package) { p.SHA256 = "" }), ErrPackage},
		{"short checksum", with(func(p *Package) { p.SHA256 = "abcd" }), ErrPackage},
		{"no options yet", with(func(p *Package) { p.Version = Version{1, 2, 1} }), ErrVersion},
		{"logs its password", with(func(p *Package) { p.Version = Version{1, 4, 1} }), ErrVersion},
		{"bad configuration", Setup{OS: Windows, Config: &bad}, ErrConfig},
	} {
		if script, err := test.setup.Script(); !errors.Is(err, test.want) || script.Body != "" {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "short") {
			t.Errorf("%s: the error tells a secret: %v", test.name, err)
		}
	}
	old := with(func(p *Package) { p.Version = Version{1, 4, 1} })
	old.Config = &noPassword
	if _, err := old.Script(); err != nil {
		t.Errorf("1.4.1 without a password: %v", err)
	}
}
