package rustdesk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// serverTools holds stand-ins for the tools of a Debian system. The stand-in
// for systemctl also plays the programs hbbs and hbbr: it makes their keys, and
// files that stand for their open ports. hbbs makes its keys only when the
// set-up script sleeps. hbbr makes missing keys without a delay.
//
// A package file contains only the package's name and version. A test causes a
// failure with a file in the guest: with "dead" no service starts, with
// "no-key" no keys are made, and with "silent-PORT" the port is not opened.
var serverTools = map[string]string{
	"apt-get": `for f; do :; done
read -r name version <"$f"
echo "$version" >"$D/dpkg-$name"
p=${name#rustdesk-server-}
systemctl daemon-reload
systemctl stop "rustdesk-$p"
systemctl enable --now "rustdesk-$p"`,
	"dpkg-query": `[ "$1 $2 $3" = '-W -f ${db:Status-Status} ${Version}\n' ] || exit 2
[ -e "$D/dpkg-$4" ] || { echo "dpkg-query: no packages found matching $4" >&2; exit 1; }
echo "installed $(cat "$D/dpkg-$4")"`,
	"ss": `[ -e "$D/listens$2-${3#sport = :}" ] && echo "LISTEN 0 128 *:${3#*:} *:*" || true`,
	"make-key": `keys="$R/var/lib/rustdesk-server"; umask 022
[ ! -e "$D/no-key" ] && [ ! -e "$keys/id_ed25519" ] || exit 0
mkdir -p "$keys"; printf %s "$1" >"$keys/id_ed25519.pub"; echo PRIVATE >"$keys/id_ed25519"`,
	"sleep": `[ ! -e "$D/starting" ] || make-key ` + testKey,
	"systemctl": `for u; do :; done
p=${u#rustdesk-}
listen() { for port; do [ -e "$D/silent-$port" ] || touch "$D/listens-$port"; done; }
case $1 in
show)
	if [ -e "$D/active-$p" ]; then
		options=$(sed -n "s|^ExecStart=/usr/bin/$p||p" "$D/units/rustdesk-$p.service.d/key.conf" 2>/dev/null)
		echo "ExecStart={ path=/usr/bin/$p ; argv[]=/usr/bin/$p$options ; ignore_errors=no }"
	fi ;;
is-active|is-enabled) [ -e "$D/${1#is-}-$p" ] && echo "${1#is-}" || { echo no; exit 3; } ;;
daemon-reload) rm -rf "$D/units"; cp -R "$R/etc/systemd/system" "$D/units" ;;
stop) rm -f "$D/active-$p" ;;
enable)
	touch "$D/enabled-$p"
	[ ! -e "$D/active-$p" ] && [ ! -e "$D/dead" ] || exit 0
	touch "$D/active-$p"
	options=$(sed -n "s|^ExecStart=/usr/bin/$p||p" "$D/units/rustdesk-$p.service.d/key.conf" 2>/dev/null)
	echo "$p$options" >>"$D/starts"
	case $p$options in
	hbbs*) touch "$D/starting"; listen t-21115 t-21116 u-21116 t-21118 ;;
	"hbbr -k _") make-key a-key-of-its-own; listen t-21117 t-21119 ;;
	hbbr) listen t-21117 t-21119 ;;
	esac ;;
esac`,
}

func newServerGuest(t *testing.T) (*guest, ServerSetup) {
	t.Helper()
	g := newGuest(t, Linux)
	for name, body := range serverTools {
		g.tool(name, body)
	}
	return g, ServerSetup{Host: "rd.example", HBBS: g.serverPackage("hbbs", "1.1.17"), HBBR: g.serverPackage("hbbr", "1.1.17")}
}

func (g *guest) serverPackage(program, version string) Package {
	name := "rustdesk-server-" + program
	return g.offer(name+".deb", version, name+" "+version+"\n")
}

func (g *guest) runServer(setup ServerSetup) (report ServerReport, err error) {
	g.t.Helper()
	script, err := setup.script(g.root)
	g.must(err)
	err = g.execute(script, func(output string) (err error) {
		report, err = setup.ParseReport(output)
		return err
	})
	return report, err
}

func TestServerIsSetUpAndThenLeftAlone(t *testing.T) {
	t.Parallel()
	g, setup := newServerGuest(t)
	report, err := g.runServer(setup)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"hbbs key", "hbbs package", "hbbr key", "hbbr package"}; !slices.Equal(report.Changed, want) {
		t.Errorf("changed %v, want %v", report.Changed, want)
	}
	if report.HBBS != (Version{1, 1, 17}) || report.HBBR != report.HBBS || !sameServer(report.Server, Server{ID: "rd.example", Key: proxstation.NewSecret(testKey)}) {
		t.Errorf("%+v, key %q: want the one that hbbs made", report, report.Server.Key.Reveal())
	}
	if err := Unattended(report.Server, proxstation.NewSecret(testPassword)).Validate(); err != nil {
		t.Errorf("clients cannot use it: %v", err)
	}
	if got := g.read("starts"); got != "hbbs -k _\nhbbr -k _\n" {
		t.Errorf("started: %q; want hbbs first, and neither without the key", got)
	}
	key, err := os.Stat(g.root + "/var/lib/rustdesk-server/id_ed25519")
	if err != nil {
		t.Fatal(err)
	}
	if key.Mode().Perm() != 0o600 {
		t.Errorf("the private key has mode %v", key.Mode())
	}
	for _, program := range []string{"hbbs", "hbbr"} {
		conf, err := os.ReadFile(g.root + "/etc/systemd/system/rustdesk-" + program + ".service.d/key.conf")
		if err != nil || !strings.Contains(string(conf), "\nUMask=0077\n") {
			t.Errorf("%s makes files that everybody reads: %q, %v", program, conf, err)
		}
	}
	if strings.Contains(g.output.String(), "PRIVATE") {
		t.Error("the private key was read")
	}

	calls := g.read("calls")
	again, err := g.runServer(setup)
	if err != nil || len(again.Changed) != 0 || !sameServer(again.Server, report.Server) {
		t.Errorf("again: %+v, %v", again, err)
	}
	for _, verb := range []string{"apt-get", "systemctl enable", "systemctl stop", "systemctl daemon-reload"} {
		if strings.Count(g.read("calls"), verb) != strings.Count(calls, verb) {
			t.Errorf("the second run used %s", verb)
		}
	}
	g.must(os.Remove(g.dir + "/enabled-hbbr"))
	if got, err := g.runServer(setup); err != nil || !slices.Equal(got.Changed, []string{"hbbr service"}) {
		t.Errorf("not enabled: %+v, %v", got, err)
	}
	if got, err := g.runServer(ServerSetup{Host: "10.0.0.2"}); err != nil || got.Server.ID != "10.0.0.2" || len(got.Changed) != 0 {
		t.Errorf("without packages: %+v, %v", got, err)
	}
}

// If a server was installed by hand, the set-up keeps its keys and adds the
// missing parts.
func TestServerMadeByHand(t *testing.T) {
	t.Parallel()
	g, setup := newServerGuest(t)
	g.must(os.MkdirAll(g.root+"/etc/systemd/system", 0o755))
	for _, program := range []string{"hbbs", "hbbr"} {
		g.must(os.WriteFile(g.dir+"/by-hand", []byte("rustdesk-server-"+program+" 1.1.11-1"), 0o600))
		if out, err := g.command(g.tools+"/apt-get", "install", g.dir+"/by-hand").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	setup.HBBS = Package{}
	setup.HBBR.Version, setup.HBBR.URL = Version{1, 1, 11}, "https://nowhere.example/x.deb" // this version of hbbr is installed already
	report, err := g.runServer(setup)
	want := []string{"hbbs key", "hbbs service", "hbbr key", "hbbr service"}
	if err != nil || report.HBBR != (Version{1, 1, 11}) || !slices.Equal(report.Changed, want) {
		t.Errorf("%+v, %v, want %v", report, err, want)
	}
	if got := g.read("starts"); got != "hbbs\nhbbr\nhbbs -k _\nhbbr -k _\n" {
		t.Errorf("started: %q", got)
	}
	setup.HBBR = g.serverPackage("hbbr", "1.1.17")
	if report, err := g.runServer(setup); err != nil || !slices.Equal(report.Changed, []string{"hbbr package"}) || report.HBBR != (Version{1, 1, 17}) {
		t.Errorf("upgrade: %+v, %v", report, err)
	}
}

func TestServerSetupSaysWhyItStopped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(g *guest, s *ServerSetup)
		stage   string
		running bool // whether the services must run at the end
	}{
		{"not root", func(g *guest, _ *ServerSetup) { g.mark("notroot") }, "privileges", false},
		{"nothing installed", func(_ *guest, s *ServerSetup) { s.HBBS = Package{} }, "package", false},
		{"tampered", func(_ *guest, s *ServerSetup) { s.HBBS.SHA256 = strings.Repeat("AB", 32) }, "checksum", false},
		{"not on the server", func(_ *guest, s *ServerSetup) { s.HBBS.URL += "x.deb" }, "download", false},
		{"another program", func(_ *guest, s *ServerSetup) { s.HBBS = s.HBBR }, "package", true},
		{"another release", func(_ *guest, s *ServerSetup) { s.HBBS.Version = Version{1, 1, 16} }, "package", true},
		{"does not run", func(g *guest, _ *ServerSetup) { g.mark("dead") }, "service", false},
		{"makes no key", func(g *guest, _ *ServerSetup) { g.mark("no-key") }, "key", true},
		{"half a pair of keys", func(g *guest, _ *ServerSetup) {
			g.must(os.MkdirAll(g.root+"/var/lib/rustdesk-server", 0o755))
			g.must(os.WriteFile(g.root+"/var/lib/rustdesk-server/id_ed25519", []byte("PRIVATE"), 0o600))
		}, "key", true},
		{"does not listen", func(g *guest, _ *ServerSetup) { g.mark("silent-t-21119") }, "ports", true},
		{"does not listen on UDP", func(g *guest, _ *ServerSetup) { g.mark("silent-u-21116") }, "ports", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, setup := newServerGuest(t)
			test.prepare(g, &setup)
			_, err := g.runServer(setup)
			wantStage(t, err, test.stage)
			if started := g.read("starts"); (started != "") != test.running {
				t.Errorf("started %q", started)
			}
			if _, err := os.Stat(filepath.Join(g.root, "etc")); test.stage == "checksum" && !os.IsNotExist(err) {
				t.Errorf("something was changed: %v", err)
			}
		})
	}
}

func TestServerSetupRefuses(t *testing.T) {
	t.Parallel()
	good := Package{Version{1, 1, 17}, ServerReleaseURL(Version{1, 1, 17}, "hbbr", "arm64"), strings.Repeat("ab", 32)}
	if want := "https://github.com/rustdesk/rustdesk-server/releases/download/1.1.17/rustdesk-server-hbbr_1.1.17_arm64.deb"; good.URL != want {
		t.Errorf("URL %s, want %s", good.URL, want)
	}
	short, rpm := good, good
	short.SHA256, rpm.URL = "abcd", "https://mirror/hbbr.rpm"
	for name, test := range map[string]struct {
		setup ServerSetup
		want  error
	}{
		"no host":        {ServerSetup{HBBS: good, HBBR: good}, ErrServer},
		"a list":         {ServerSetup{Host: "a,b", HBBS: good, HBBR: good}, ErrServer},
		"no checksum":    {ServerSetup{Host: "a", HBBS: short, HBBR: good}, ErrPackage},
		"another system": {ServerSetup{Host: "a", HBBS: good, HBBR: rpm}, ErrPackage},
	} {
		if script, err := test.setup.Script(); !errors.Is(err, test.want) || script.Body != "" {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	for _, output := range []string{
		"rustdesk: hbbs 1.1.17\nrustdesk: hbbr 1.1.17\nrustdesk: done\n",
		"rustdesk: key " + testKey + "\nrustdesk: hbbs 1.1.17\nrustdesk: done\n",
		"rustdesk: hbbs x\nrustdesk: done\n",
		"rustdesk: key -----BEGIN\nrustdesk: done\n",
		"rustdesk: key " + testKey + "\n",
	} {
		_, err := ServerSetup{Host: "a"}.ParseReport(output)
		wantStage(t, err, "report")
		if err != nil && strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("the error repeats what may be another file: %v", err)
		}
	}
}

// The method "health" reads the server's health in the guest.
func (g *guest) health() (h ServerHealth, err error) {
	g.t.Helper()
	script, err := healthScript(g.root)
	g.must(err)
	err = g.execute(script, func(output string) (err error) {
		h, err = parseServerHealth(output)
		return err
	})
	return h, err
}

func TestServerHealth(t *testing.T) {
	t.Parallel()
	g, setup := newServerGuest(t)
	g.tool("stat", `exec /usr/bin/stat "$@"`)
	g.tool("sqlite3", `[ "$1 $3" = "-readonly select count(*) from peer" ] && cat "$D/peers"`)
	clients := Server{ID: "rd.example", Key: proxstation.NewSecret(testKey)}
	judge := func(when string, want ...string) ServerHealth {
		t.Helper()
		h, err := g.health()
		var ids []string
		for _, f := range h.Judge(clients) {
			ids = append(ids, strings.TrimPrefix(f.ID, "rustdesk.server-")+" "+f.Subject)
			if f.Severity == proxstation.Unspecified || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%+v lacks a part", f)
			}
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%s: %q, %v, want %q", when, ids, err, want)
		}
		return h
	}
	judge("nothing there", "missing hbbs", "missing hbbr", "port tcp port 21115", "port tcp port 21116", "port tcp port 21117",
		"port tcp port 21118", "port tcp port 21119", "port udp port 21116", "no-key key")
	if _, err := g.runServer(setup); err != nil {
		t.Fatal(err)
	}
	g.state("peers", "3\n")
	h := judge("set up")
	if h.Peers == nil || *h.Peers != 3 || h.HBBS.Version != (Version{1, 1, 17}) || h.PrivateMode != 0o600 || !h.Key.Equal(clients.Key) {
		t.Errorf("%+v", h)
	}
	calls := g.read("calls")
	judge("again")
	if more := strings.TrimPrefix(g.read("calls"), calls); strings.Contains(more, "enable --now") || strings.Contains(more, "restart") || strings.Contains(more, "apt-get") {
		t.Errorf("it changes something:\n%s", more)
	}
	clients.Key = proxstation.NewSecret("AAAAC3NzaC1lZDI1NTE5AAAAIJ8gsAAAAAAAAAAAAAA=")
	judge("clients of another server", "other-key key")
	clients = Server{}
	g.must(os.Remove(g.dir + "/active-hbbr"))
	g.must(os.Remove(g.dir + "/listens-t-21117"))
	g.must(os.Remove(g.dir + "/enabled-hbbs"))
	g.must(os.Remove(g.dir + "/units/rustdesk-hbbs.service.d/key.conf"))
	g.must(os.Chmod(g.root+"/var/lib/rustdesk-server/id_ed25519", 0o644))
	g.must(os.Remove(g.dir + "/peers"))
	h = judge("ill", "disabled hbbs", "open hbbs", "stopped hbbr", "open hbbr", "port tcp port 21117", "private-key key")
	if h.Peers != nil {
		t.Errorf("%d peers, and nobody could look", *h.Peers)
	}
}

func FuzzServerReport(f *testing.F) {
	f.Add("rustdesk: changed hbbs key\nrustdesk: hbbs 1.1.17\nrustdesk: hbbr 1.1.17\nrustdesk: key " + testKey + "\nrustdesk: done\n")
	f.Fuzz(func(t *testing.T, output string) {
		report, err := ServerSetup{Host: "rd.example"}.ParseReport(output)
		if err != nil {
			return
		}
		text, err := report.Server.ConfigString()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseServer(text.Reveal()); err != nil || !sameServer(again, report.Server) {
			t.Errorf("%+v became %+v, %v", report.Server, again, err)
		}
	})
}

func FuzzServerHealth(f *testing.F) {
	f.Add("rustdesk: program hbbs 1.1.17 yes yes no\nrustdesk: listens tcp 21115 no\nrustdesk: key " + testKey + "\nrustdesk: private 644\nrustdesk: peers 3\nrustdesk: done\n")
	f.Fuzz(func(t *testing.T, output string) {
		h, err := parseServerHealth(output)
		if err == nil && len(h.Judge(Server{})) == 0 && h.Key.IsZero() {
			t.Errorf("nothing is wrong with %+v", h)
		}
	})
}
