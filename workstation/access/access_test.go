package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/proxstation/proxstation"
)

const (
	testKey      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ada@laptop"
	testPassword = `correct "horse" \battery\ 'staple'`
)

// A guest is a directory with the tools of a Linux system. Scripts really run
// in it, and it records their input.
type guest struct {
	t         *testing.T
	root, bin string
	sunshine  string // the address of the server that stands in for Sunshine
	commands  []proxstation.GuestCommand
}

var tools = map[string]string{
	"id":     `[ -e "$R/notroot" ] && echo 1000 || echo 0`,
	"getent": `[ "$2" = ada ] && echo "ada:x:1000:1000::$R/home/ada:/bin/bash"`,
	"runuser": `[ "$2" = ada ] || exit 1
shift 3; exec "$@"`,
	"apt-get": `case "$1:$*" in
update:*) touch "$R/lists" ;;
install:*openssh-server) [ -e "$R/lists" ] || exit 100; printf '#!/bin/sh\n[ "$1" = -t ] && exec test ! -e "$R/broken"\n. "$R/etc/ssh/effective"' | sed "s|\$R|$R|g" >"$B/sshd"; chmod 755 "$B/sshd" ;;
install:*) [ -e "$R/lists" ] || exit 100; cp "$5" "$R/installed" ;;
esac`,
	"systemctl": `case "$*" in
"cat ssh.service") exit 0 ;;
"is-active --quiet ssh.service" | "is-enabled --quiet ssh.service") [ -e "$R/enabled" ] ;;
"enable --now ssh") touch "$R/enabled" ;;
"reload ssh") cat "$R"/etc/ssh/sshd_config.d/*.conf >"$R/loaded" ;;
"--user -M ada@ enable --now sunshine") touch "$R/sunshine" ;;
*) exit 1 ;;
esac`,
	"ssh-keygen": `[ -e "$2" ] && echo "256 SHA256:abc root@guest (ED25519)"`,
	"loginctl":   `case "$1 $4" in "show-seat "*) echo ActiveSession=2 ;; *Name) echo Name=ada ;; *Class) [ -e "$R/greeter" ] && echo Class=greeter || echo Class=user ;; esac`,
	"sleep":      `:`,
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the scripts need a POSIX shell")
	}
	base := t.TempDir()
	g := &guest{t: t, root: base + "/root", bin: base + "/bin"}
	for _, dir := range []string{g.bin, g.root + "/etc/ssh", g.root + "/home/ada"} {
		g.must(os.MkdirAll(dir, 0o755))
	}
	for name, body := range tools {
		g.tool(name, body)
	}
	g.write("/etc/ssh/effective", `p=$(sed -n 's/^PasswordAuthentication //p' "`+g.root+`"/etc/ssh/sshd_config.d/*.conf 2>/dev/null | head -n 1); echo "passwordauthentication ${p:-yes}"`)
	return g
}

func (g *guest) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) tool(name, body string) {
	g.must(os.WriteFile(filepath.Join(g.bin, name), []byte("#!/bin/sh\nR='"+g.root+"' B='"+g.bin+"'\nexport R\n"+body+"\n"), 0o755))
}

func (g *guest) write(path, text string) {
	g.must(os.MkdirAll(filepath.Dir(g.root+path), 0o755))
	g.must(os.WriteFile(g.root+path, []byte(text), 0o600))
}

func (g *guest) read(path string) string {
	text, _ := os.ReadFile(g.root + path)
	return string(text)
}

// Run implements [Guest]. It replaces the paths of the machine's files with the
// paths of the guest's files.
func (g *guest) Run(ctx context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	g.commands = append(g.commands, c)
	argv := slices.Clone(c.Argv)
	for i := range argv {
		argv[i] = strings.NewReplacer("/etc/ssh", g.root+"/etc/ssh", webInterface+"/", g.sunshine+"/").Replace(argv[i])
	}
	argv[0] = strings.TrimSuffix(filepath.Base(strings.ReplaceAll(argv[0], `\`, "/")), ".exe")
	if tool := filepath.Join(g.bin, argv[0]); exists(tool) { // the guest's own tools come first
		argv[0] = tool
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + g.bin + ":/usr/bin:/bin", "TMPDIR=" + g.root}
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(c.Input, webInterface, g.sunshine))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return proxstation.GuestOutput{}, err
	}
	if stderr.Len() > 0 {
		g.t.Errorf("%s wrote to its standard error: %s", argv[0], &stderr)
	}
	return proxstation.GuestOutput{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String()}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// The method "set" applies a way to the guest. It checks that a second plan is
// empty, and that no output shows a secret.
func (g *guest) set(way Way) (Plan, error) {
	g.t.Helper()
	plan, err := way.Plan(g.t.Context(), g)
	if err == nil {
		err = Apply(g.t.Context(), g, way, plan)
	}
	if err == nil {
		if again, err := way.Plan(g.t.Context(), g); err != nil || !again.Empty() {
			g.t.Errorf("again: %v, %v", again, err)
		}
	}
	shown := fmt.Sprintf("%v %+v %#v %v %+v", plan, plan, way, err, err)
	for _, c := range g.commands {
		shown += strings.Join(c.Argv, " ")
	}
	if strings.Contains(shown, "horse") {
		g.t.Errorf("the password is shown: %s", shown)
	}
	return plan, err
}

func TestSSHIsSetUpAndThenLeftAlone(t *testing.T) {
	t.Parallel()
	g := newGuest(t)
	g.write("/home/ada/.ssh/authorized_keys", "ssh-rsa AAAA other") // the file does not end with a line feed
	g.write("/etc/ssh/ssh_host_ed25519_key.pub", "")
	way := SSH{User: "ada", Key: testKey, KeysOnly: true}
	plan, err := g.set(way)
	want := "Plan for SSH: 4 to change\n  ~ server: not installed -> installed\n  ~ service: does not run, or not at start -> runs at start\n" +
		"  ~ key of ada: absent -> ssh-ed25519 ada@laptop\n  ~ passwords: accepted, or unknown -> refused\n"
	if err != nil || plan.String() != want {
		t.Fatalf("%v\n%s", err, plan)
	}
	if keys := g.read("/home/ada/.ssh/authorized_keys"); !strings.Contains(keys, "\n"+testKey+"\n") || !strings.HasPrefix(keys, "ssh-rsa AAAA other\n") {
		t.Errorf("keys %q", keys)
	}
	if !strings.Contains(g.read("/loaded"), "PasswordAuthentication no") {
		t.Error("sshd has not read its configuration again")
	}
	if key, err := way.HostKey(t.Context(), g); err != nil || key != "SHA256:abc" {
		t.Errorf("host key %q, %v", key, err)
	}
	if plan, err := g.set(SSH{User: "ada"}); err != nil || !plan.Empty() {
		t.Errorf("without wishes: %v, %v", plan, err)
	}
}

func TestSSHThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		way     SSH
		prepare func(g *guest)
		want    error
		says    string
	}{
		"not root":        {SSH{User: "ada"}, func(g *guest) { g.write("/notroot", "") }, ErrGuest, "root"},
		"no such user":    {SSH{User: "bob"}, nil, ErrGuest, `"bob"`},
		"does not start":  {SSH{User: "ada"}, func(g *guest) { g.tool("systemctl", "exit 1") }, ErrGuest, "does not start"},
		"no package":      {SSH{User: "ada"}, func(g *guest) { g.tool("apt-get", "exit 100") }, ErrGuest, "cannot be installed"},
		"broken sshd":     {SSH{User: "ada", Key: testKey, KeysOnly: true}, func(g *guest) { g.write("/broken", "") }, ErrGuest, "does not take"},
		"another file":    {SSH{User: "ada", Key: testKey, KeysOnly: true}, func(g *guest) { g.write("/etc/ssh/effective", "echo passwordauthentication yes") }, ErrNotTaken, "passwords"},
		"no key":          {SSH{User: "ada", KeysOnly: true}, nil, ErrInvalid, "nobody"},
		"user's name":     {SSH{User: "a b"}, nil, ErrInvalid, "user"},
		"two lines":       {SSH{User: "ada", Key: testKey + "\n" + testKey}, nil, ErrInvalid, "key"},
		"options":         {SSH{User: "ada", Key: `command="x" ` + testKey}, nil, ErrInvalid, "key"},
		"not base64":      {SSH{User: "ada", Key: "ssh-ed25519 AAAAC"}, nil, ErrInvalid, "key"},
		"another type":    {SSH{User: "ada", Key: strings.Replace(testKey, "ssh-ed25519", "ssh-rsa", 1)}, nil, ErrInvalid, "ssh-rsa"},
		"killed":          {SSH{User: "ada"}, func(g *guest) { g.tool("id", "kill -9 $PPID") }, ErrGuest, "without a report"},
		"unreadable user": {SSH{}, nil, ErrInvalid, "user"},
	} {
		g := newGuest(t)
		if test.prepare != nil {
			test.prepare(g)
		}
		if plan, err := g.set(test.way); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, %v, want %v with %q", name, plan, err, test.want, test.says)
		}
		if errors.Is(test.want, ErrInvalid) && len(g.commands) > 0 {
			t.Errorf("%s: the guest was asked", name)
		}
	}
}

func TestRDPJudges(t *testing.T) {
	t.Parallel()
	secret := proxstation.NewSecret(testPassword)
	on := "edition Professional\nallowed yes\nnla yes\nfirewall yes\n"
	for name, test := range map[string]struct {
		way   RDP
		found string
		steps string
		err   error
	}{
		"as it comes":   {RDP{}, "edition Professional\nallowed no\nnla no\nfirewall no\n", "allow nla firewall", nil},
		"on":            {RDP{}, on, "", nil},
		"Home":          {RDP{}, "edition Core\nallowed no\n", "", ErrGuest},
		"a new user":    {RDP{"ada", secret}, on + "user no\nmember no\n", "user member", nil},
		"known user":    {RDP{User: "ada"}, on + "user yes\nmember no\n", "member", nil},
		"administrator": {RDP{"ada", secret}, on + "user yes\nmember yes\npassword yes\n", "", nil},
		"new password":  {RDP{"ada", secret}, on + "user yes\nmember yes\npassword no\n", "password", nil},
		"who is that":   {RDP{User: "ada"}, on + "user no\nmember no\n", "", ErrGuest},
		"says nothing":  {RDP{}, "", "allow nla firewall", nil},
	} {
		found := lines{}
		for line := range strings.Lines(test.found) {
			word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			found[word] = text
		}
		plan, err := test.way.judge(found)
		var steps []string
		for _, c := range plan.Changes {
			steps = append(steps, c.step)
		}
		if strings.Join(steps, " ") != test.steps || !errors.Is(err, test.err) || strings.Contains(plan.String(), "horse") {
			t.Errorf("%s: %v, %v, want %s, %v", name, plan, err, test.steps, test.err)
		}
	}
	for name, way := range map[string]RDP{
		"password without user": {Password: secret},
		"signs":                 {User: `a\b`},
		"long":                  {User: strings.Repeat("a", 21)},
		"dots":                  {User: "a."},
		"line break":            {"ada", proxstation.NewSecret("a\nb")},
	} {
		if _, err := way.Plan(t.Context(), nil); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The type "windows" stands for a guest that answers the PowerShell scripts as
// Windows does.
type windows struct {
	state  map[string]string
	inputs [][]string
}

func (w *windows) Run(_ context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	var input []string
	for line := range strings.Lines(c.Input) {
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return proxstation.GuestOutput{}, err
		}
		input = append(input, string(text))
	}
	w.inputs = append(w.inputs, input)
	done := map[string]string{"allow": "allowed", "user": "user", "member": "member", "nla": "nla", "firewall": "firewall"}
	for step := range strings.FieldsSeq(input[0]) {
		w.state[done[step]] = "yes"
		if step == "user" {
			w.state["password"] = "yes"
		}
	}
	var out strings.Builder
	for word, text := range w.state {
		fmt.Fprintf(&out, "access: %s %s\r\n", word, text)
	}
	return proxstation.GuestOutput{Stdout: out.String() + "access: done\r\n"}, nil
}

func TestRDPGivesTheScriptWhatItReads(t *testing.T) {
	t.Parallel()
	w := &windows{state: map[string]string{"edition": "Professional"}}
	way := RDP{"J\u00fcrgen", proxstation.NewSecret(testPassword + "\u00fc")}
	plan, err := way.Plan(t.Context(), w)
	if err == nil {
		err = Apply(t.Context(), w, way, plan)
	}
	if err != nil || len(w.inputs) != 3 || !slices.Equal(w.inputs[1], []string{"allow nla firewall user member", "J\u00fcrgen", testPassword + "\u00fc"}) {
		t.Errorf("%v, %q", err, w.inputs)
	}
	command := powerShell("x \u00fc", "a")
	data, err := base64.StdEncoding.DecodeString(command.Argv[len(command.Argv)-1])
	var units []uint16
	for ; len(data) > 1; data = data[2:] {
		units = append(units, binary.LittleEndian.Uint16(data))
	}
	if err != nil || string(utf16.Decode(units)) != "x \u00fc" {
		t.Errorf("%v, %v", err, units)
	}
	if n := len(powerShell(rdpScript).Argv[4]); n > 30000 {
		t.Errorf("the command line has %d characters, more than Windows takes", n)
	}
}

// sunshine returns a server that behaves like Sunshine's web interface
// (src/confighttp.cpp).
func sunshine(t *testing.T, user, password string) *httptest.Server {
	t.Helper()
	waiting := "1234"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name, secret, _ := r.BasicAuth()
		switch {
		case user == "" && r.URL.Path != "/api/password":
			w.Header().Set("Location", "/welcome")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case user != "" && (name != user || secret != password):
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "POST" && r.Header.Get("Content-Type") != "application/json":
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/api/password":
			var given struct{ NewUsername, NewPassword, ConfirmNewPassword string }
			if json.Unmarshal(body, &given) != nil || given.NewPassword != given.ConfirmNewPassword || given.NewPassword == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			user, password = given.NewUsername, given.NewPassword
			_, _ = w.Write([]byte("{\n    \"status\": \"true\"\n}\n"))
		case r.URL.Path == "/api/pin":
			var given struct{ Pin, Name string }
			_ = json.Unmarshal(body, &given)
			_, _ = fmt.Fprintf(w, `{"status": %t}`, given.Pin == waiting && given.Name != "")
			waiting = ""
		default:
			_, _ = w.Write([]byte(`{"platform": "linux"}`))
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestSunshine(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	g := newGuest(t)
	g.sunshine = sunshine(t, "", "").URL
	way := Sunshine{User: `ada "\`, Password: proxstation.NewSecret(testPassword)}
	plan, err := g.set(way)
	if err != nil || len(plan.Changes) != 1 || plan.Changes[0].What != "user" {
		t.Fatalf("%v, %v", plan, err)
	}
	if err := way.Pair(t.Context(), g, "1234", "laptop"); err != nil {
		t.Error(err)
	}
	if err := way.Pair(t.Context(), g, "1234", "laptop"); !errors.Is(err, ErrGuest) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("a PIN that nobody waits for: %v", err)
	}
	for _, pin := range []string{"", "123", "12345", "12a4"} {
		if err := way.Pair(t.Context(), g, pin, "laptop"); !errors.Is(err, ErrInvalid) {
			t.Errorf("PIN %q: %v", pin, err)
		}
	}
	other := Sunshine{User: "bob", Password: proxstation.NewSecret(testPassword), Windows: true}
	if _, err := g.set(other); !errors.Is(err, ErrGuest) || !strings.Contains(err.Error(), "another user") {
		t.Errorf("another user: %v", err)
	}
	g.sunshine = "https://127.0.0.1:1"
	if _, err := g.set(way); !errors.Is(err, ErrGuest) || !strings.Contains(err.Error(), "is it installed") {
		t.Errorf("not there: %v", err)
	}
	for name, way := range map[string]Sunshine{
		"no password":  {User: "ada"},
		"colon":        {User: "a:b", Password: way.Password},
		"line break":   {User: "a\nb", Password: way.Password},
		"no checksum":  {User: "ada", Password: way.Password, Package: Package{URL: "https://mirror.example/sunshine.deb"}},
		"other system": {User: "ada", Password: way.Password, Windows: true, Package: Package{"https://mirror.example/sunshine.deb", strings.Repeat("ab", 32)}},
		"credentials":  {User: "ada", Password: way.Password, Package: Package{"https://me:x@mirror.example/sunshine.deb", strings.Repeat("ab", 32)}},
	} {
		if _, err := way.Plan(t.Context(), nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSunshineJudgesWhatItAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{200: nil, 307: nil, 401: ErrGuest, 403: ErrGuest, 500: ErrGuest, 0: ErrGuest} {
		plan, err := Sunshine{User: "ada"}.judge(status)
		if !errors.Is(err, want) || plan.Empty() != (status != 307) {
			t.Errorf("%d: %v, %v", status, plan, err)
		}
	}
}

// Sunshine is installed only if it does not answer, and only if the package has
// the expected checksum.
func TestSunshineIsInstalled(t *testing.T) {
	t.Parallel()
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
	for name, test := range map[string]struct {
		sum     string
		prepare func(g *guest)
		want    string // part of the error
	}{
		"installed":      {sum, nil, ""},
		"tampered":       {strings.Repeat("ab", 32), nil, "SHA-256 " + sum},
		"nobody is in":   {sum, func(g *guest) { g.write("/greeter", "") }, "nobody is logged in"},
		"no such file":   {sum, func(g *guest) { g.write("/no-network", "") }, "downloaded"},
		"does not start": {sum, func(g *guest) { g.tool("systemctl", "exit 1") }, "does not start"},
	} {
		g := newGuest(t)
		g.write("/lists", "")
		// Before Sunshine is started, nothing answers. After the start,
		// Sunshine has no user.
		g.tool("curl", `case "$*" in
"-fsSL --retry 3"*) [ ! -e "$R/no-network" ] || exit 22; printf abc >"$7" ;;
"-qsk "*) [ -e "$R/sunshine" ] || exit 7 ;;
*) [ -e "$R/sunshine" ] || exit 7
	grep -q /api/password && touch "$R/user"
	printf '{"status": true}\n'; [ -e "$R/user" ] && echo 200 || echo 307 ;;
esac`)
		if test.prepare != nil {
			test.prepare(g)
		}
		way := Sunshine{User: "ada", Password: proxstation.NewSecret(testPassword), Package: Package{"https://mirror.example/sunshine.deb", test.sum}}
		plan, err := g.set(way)
		if test.want == "" && (err != nil || len(plan.Changes) != 2 || g.read("/installed") != "abc") || test.want != "" && (!errors.Is(err, ErrGuest) || !strings.Contains(err.Error(), test.want) || g.read("/sunshine") != "") {
			t.Errorf("%s: %v, %v, want %q", name, plan, err, test.want)
		}
	}
}

func TestScriptsArePlainAndPassShellcheck(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("scripts/*")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	args := []string{"--shell=sh"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsFunc(text, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) {
			t.Errorf("%s is not plain ASCII", file)
		}
		if strings.HasSuffix(file, ".sh") {
			args = append(args, file)
		}
	}
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), shellcheck, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func FuzzSSHKey(f *testing.F) {
	f.Add("ada", testKey)
	f.Fuzz(func(t *testing.T, user, key string) {
		if err := (SSH{User: user, Key: key}).validate(); err == nil && strings.ContainsAny(user+key, "\n\r\x00") {
			t.Errorf("%q %q has more than one line", user, key)
		}
	})
}

func FuzzScriptReport(f *testing.F) {
	f.Add("access: user yes\r\naccess: done\n")
	f.Add("noise\naccess: error no\n")
	f.Fuzz(func(t *testing.T, output string) {
		found, err := runScript(t.Context(), said(output), proxstation.GuestCommand{})
		if (err == nil) == errors.Is(err, ErrGuest) || err == nil && !strings.Contains(output, "access: done") {
			t.Errorf("%v, %v", found, err)
		}
	})
}

// The type "said" is a guest in which every command prints the same text.
type said string

func (s said) Run(context.Context, proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	return proxstation.GuestOutput{Stdout: string(s)}, nil
}
