package rustdesk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A guest is a directory that stands for a machine's file system. In its PATH,
// stand-ins for the system's tools hide the real tools.
type guest struct {
	t     *testing.T
	os    OS
	root  string // the guest's files
	dir   string // the stand-in's state
	tools string
	// output holds everything that scripts printed.
	output bytes.Buffer
}

// These are the stand-ins for the system's tools. Like the real tools, they
// change the files that the script reads. They record every call.
var tools = map[string]string{
	"id":         `[ -e "$D/notroot" ] && echo 1000 || echo 0`,
	"sleep":      `:`,
	"cloud-init": `:`,
	"dpkg":       `case "$*" in *"--configure -a") rm -f "$D/interrupted" ;; esac`,
	"apt-get": `for f; do :; done
if [ "$1" = update ]; then
	[ ! -e "$D/no-network" ] || { echo "E: The repository is not signed."; exit 100; }
	[ ! -s "$D/lists-locked" ] || { sed -i 1d "$D/lists-locked"; echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 812 (apt-get)"; exit 100; }
	rm -f "$D/no-lists"; exit 0
fi
[ ! -e "$D/no-lists" ] || { echo "E: Unable to locate package libxdo3"; exit 100; }
[ ! -e "$D/interrupted" ] || { echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem."; exit 100; }
[ ! -e "$D/apt-broken" ] || { echo "E: Unmet dependencies."; exit 100; }
cp "$f" "$R/usr/bin/rustdesk"; chmod 755 "$R/usr/bin/rustdesk"; touch "$D/active"`,
	"systemctl": `case $1 in
is-active)
	[ -e "$D/active" ] && echo active || { echo inactive; exit 3; }
	[ ! -e "$D/stopping" ] || rm "$D/stopping" "$D/active" ;;
enable|restart)
	[ -e "$D/dead" ] || touch "$D/active"
	[ ! -s "$D/forgetful" ] || { sed -i 1d "$D/forgetful"; rm -f "$D/options/approve-mode"; }
	[ "$(cat "$D/options/stop-service" 2>/dev/null)" != Y ] && [ ! -e "$D/weary" ] || touch "$D/stopping" ;;
esac`,
	"hdiutil": `case $1 in
attach) mkdir -p "$5/RustDesk.app/Contents/MacOS"; cp "$6" "$5/RustDesk.app/Contents/MacOS/RustDesk"; chmod 755 "$5/RustDesk.app/Contents/MacOS/RustDesk" ;;
detach) rm -rf "$2"/* ;;
esac`,
	"ditto":    `cp -R "$1" "$2"`,
	"codesign": `:`,
	"shasum":   `shift 2; sha256sum "$@"`,
	"stat":     `echo 501`,
	"getent":   `cat "$D/passwd" 2>/dev/null || true`,
	"runuser":  `echo "$2" >>"$D/acted"; shift 3; exec "$@"`,
	"dscl":     `cat "$D/users" 2>/dev/null || true`,
	"sudo":     `echo "$3" >>"$D/acted"; shift 3; exec "$@"`,
	"loginctl": `case $1 in
show-seat) echo "ActiveSession=$(sed -n 's/^Id=//p' "$D/logind" 2>/dev/null)" ;;
show-session) grep "^$4=" "$D/logind" ;;
esac`,
	"pgrep":           `[ "$2" = "$(cat "$D/process" 2>/dev/null)" ]`,
	"ps":              `cat "$D/processes" 2>/dev/null || true`,
	"xrandr":          `echo "$DISPLAY $XAUTHORITY" >"$D/asked"; cat "$D/xrandr"`,
	"timeout":         `shift; case $1 in bash) [ -e "$D/reaches-$5" ] ;; *) exec "$@" ;; esac`,
	"nc":              `[ -e "$D/reaches-$5" ]`,
	"system_profiler": `cat "$D/displays"`,
	"sqlite3":         `case $2 in *kTCCServiceScreenCapture*) cat "$D/screen-recording" ;; *) cat "$D/accessibility" ;; esac`,
	"launchctl": `case $1 in
print) [ -e "$D/active" ] && echo "	state = running" ;;
bootstrap|kickstart) touch "$D/active" ;;
esac`,
}

func newGuest(t *testing.T, system OS) *guest {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the scripts need a POSIX shell")
	}
	base := t.TempDir()
	g := &guest{t: t, os: system, root: filepath.Join(base, "root"), dir: filepath.Join(base, "state"), tools: filepath.Join(base, "bin")}
	for _, dir := range []string{g.root + "/usr/bin", g.root + "/Applications", g.dir, g.tools} {
		g.must(os.MkdirAll(dir, 0o755))
	}
	tools := tools
	for name, body := range tools {
		g.tool(name, body)
	}
	for _, name := range []string{"dnf", "pacman"} {
		g.tool(name, tools["apt-get"])
	}
	return g
}

func (g *guest) tool(name, body string) {
	text := "#!/bin/sh\nD='" + g.dir + "' R='" + g.root + "'\necho \"" + name + " $*\" >>\"$D/calls\"\n" + body + "\n"
	g.must(os.WriteFile(filepath.Join(g.tools, name), []byte(text), 0o755))
}

func (g *guest) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// The method "mark" creates an empty file that controls the stand-ins.
func (g *guest) mark(name string) { g.must(os.WriteFile(filepath.Join(g.dir, name), nil, 0o600)) }

// The method "install" puts a RustDesk into the guest without a set-up.
func (g *guest) install(version string) {
	exe := g.root + "/usr/bin/rustdesk"
	if g.os == MacOS {
		exe = g.root + "/Applications/RustDesk.app/Contents/MacOS/RustDesk"
	}
	g.must(os.MkdirAll(filepath.Dir(exe), 0o755))
	g.must(os.WriteFile(exe, []byte(g.wrapper(version)), 0o755))
}

// The method "serve" offers a package for download, with the given name and
// version. It returns the Package for a setup that downloads it.
func (g *guest) serve(name, version string) Package {
	return g.offer(name, version, g.wrapper(version))
}

func (g *guest) offer(name, version, content string) Package {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) != name {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(content))
	}))
	g.t.Cleanup(server.Close)
	sum := sha256.Sum256([]byte(content))
	v, err := ParseVersion(version)
	g.must(err)
	return Package{Version: v, URL: server.URL + "/" + name, SHA256: hex.EncodeToString(sum[:])}
}

// The method "run" renders a setup, runs it in the guest, and parses its
// output.
func (g *guest) run(setup Setup) (report Report, err error) {
	g.t.Helper()
	setup.OS = g.os
	script, err := setup.script(g.root)
	g.must(err)
	err = g.execute(script, func(output string) (err error) {
		report, err = ParseReport(output)
		return err
	})
	return report, err
}

// The method "execute" runs a script in the guest and passes its output to the
// function "parse".
func (g *guest) execute(script Script, parse func(output string) error) error {
	g.t.Helper()
	file := filepath.Join(g.tools, "..", "setup.sh")
	g.must(os.WriteFile(file, []byte(script.Body), 0o600))
	argv := script.Command(file)
	cmd := g.command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(script.Stdin.Reveal())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	g.output.Write(stdout.Bytes())
	g.output.Write(stderr.Bytes())
	if stderr.Len() > 0 {
		g.t.Errorf("the script wrote to its standard error:\n%s", stderr.String())
	}
	err := parse(stdout.String())
	if (runErr == nil) != (err == nil) {
		g.t.Errorf("exit status %v, but the report says %v", runErr, err)
	}
	if left, _ := filepath.Glob(g.root + "/tmp.*"); len(left) > 0 {
		g.t.Errorf("the script left %v behind", left)
	}
	return err
}

// The method "command" returns a command whose search path has the guest's
// stand-ins first and the tools of this machine after them.
func (g *guest) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(g.t.Context(), name, args...)
	cmd.Env = []string{"PATH=" + g.tools + ":" + os.Getenv("PATH"), "TMPDIR=" + g.root}
	return cmd
}

func (g *guest) read(name string) string {
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	return string(text)
}

// The method "put" writes a file in the guest.
func (g *guest) put(path, text string) {
	g.t.Helper()
	g.must(os.MkdirAll(filepath.Dir(g.root+path), 0o755))
	g.must(os.WriteFile(g.root+path, []byte(text), 0o600))
}

// The method "state" writes a file with a text that controls the stand-ins.
func (g *guest) state(name, text string) {
	g.t.Helper()
	g.must(os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600))
}

func (g *guest) manager(name string) {
	g.t.Helper()
	g.must(os.MkdirAll(g.root+"/etc/systemd/system", 0o755))
	g.must(os.Symlink("/usr/lib/systemd/system/"+name+".service", g.root+"/etc/systemd/system/display-manager.service"))
}
