package access

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// Sunshine is the way into a guest for games: the server for Moonlight's
// clients. It shows a display of the graphics card, so the card needs a
// monitor, a dummy plug or a virtual display.
//
// All requests go to Sunshine's web interface on port 47990 (Sunshine
// src/confighttp.cpp). curl sends them inside the guest. Windows has curl since
// Windows 10 1803.
type Sunshine struct {
	// Windows says that the guest runs Windows; otherwise it runs Linux.
	Windows bool
	// Package is installed if Sunshine does not answer in the guest. It is a
	// .deb for Debian and Ubuntu, or the installer (.exe) for Windows. On
	// Debian and Ubuntu a user has to be logged in at the screen. A zero
	// Package expects Sunshine to run.
	Package Package
	// User and Password are the login of Sunshine's web interface. A Sunshine
	// without a user takes them as its first user.
	User     string
	Password proxstation.Secret
}

// A Package is an installer of Sunshine. The zero Package stands for no package.
type Package struct {
	URL    string // with http or https and without credentials
	SHA256 string // in hexadecimal; a download with another checksum is not installed
}

//go:embed scripts/sunshine.sh
var sunshineLinux string

//go:embed scripts/sunshine.ps1
var sunshineWindows string

// webInterface is the address on which Sunshine listens (src/confighttp.h,
// PORT_HTTPS).
const webInterface = "https://localhost:47990"

func (s Sunshine) validate() error {
	switch text := s.User + s.Password.Reveal(); {
	case s.User == "" || s.Password.IsZero():
		return fmt.Errorf("%w: Sunshine needs a user and a password", ErrInvalid)
	case strings.Contains(s.User, ":"):
		return fmt.Errorf("%w: user %q: has a colon, which ends the name in HTTP", ErrInvalid, s.User)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: user or password: has a character that does not print", ErrInvalid)
	}
	if s.Package == (Package{}) {
		return nil
	}
	suffix := ".deb"
	if s.Windows {
		suffix = ".exe"
	}
	u, err := url.Parse(s.Package.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || !strings.HasSuffix(u.Path, suffix) {
		return fmt.Errorf("%w: package: want a URL with http or https that ends in %s, without credentials and query", ErrInvalid, suffix)
	}
	if sum, err := hex.DecodeString(s.Package.SHA256); err != nil || len(sum) != 32 {
		return fmt.Errorf("%w: package: SHA256: want 64 hexadecimal digits", ErrInvalid)
	}
	return nil
}

// Plan implements [Way]. The error matches [ErrGuest] if Sunshine does not
// answer and no Package is given. It also matches [ErrGuest] if Sunshine has
// another user or password.
func (s Sunshine) Plan(ctx context.Context, guest Guest) (Plan, error) {
	if err := s.validate(); err != nil {
		return Plan{}, err
	}
	status, _, err := s.ask(ctx, guest, "/api/config", "", true)
	if errors.Is(err, errSilent) && s.Package != (Package{}) {
		p := Plan{Way: "Sunshine"}
		p.add(false, "install", "Sunshine", "does not answer", s.Package.URL)
		p.add(false, "user", "user", "none", s.User)
		return p, nil
	}
	if err != nil {
		return Plan{}, err
	}
	return s.judge(status)
}

// judge interprets the HTTP status of Sunshine's answer to a request with the
// user's password (authenticate in src/confighttp.cpp). It does no I/O.
func (s Sunshine) judge(status int) (Plan, error) {
	p := Plan{Way: "Sunshine"}
	switch status {
	case 200:
	case 307: // a redirect to the page that creates the first user
		p.add(false, "user", "user", "none", s.User)
	case 401:
		return Plan{}, fmt.Errorf("%w: Sunshine has another user or password: give that user and password, or remove them (stop Sunshine, delete sunshine_state.json)", ErrGuest)
	case 403:
		return Plan{}, fmt.Errorf("%w: Sunshine's web interface is off for the guest itself: see origin_web_ui_allowed in sunshine.conf", ErrGuest)
	default:
		return Plan{}, fmt.Errorf("%w: Sunshine answers with status %d", ErrGuest, status)
	}
	return p, nil
}

func (s Sunshine) apply(ctx context.Context, guest Guest, steps []string) error {
	if slices.Contains(steps, "install") {
		if err := s.install(ctx, guest); err != nil {
			return err
		}
		after, err := s.Plan(ctx, guest)
		if err != nil || after.Empty() {
			return err // an earlier installation has left this user
		}
	}
	password := s.Password.Reveal()
	body, err := json.Marshal(map[string]string{
		"currentUsername": "", "currentPassword": "", "newUsername": s.User, "newPassword": password, "confirmNewPassword": password,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	status, _, err := s.ask(ctx, guest, "/api/password", string(body), false)
	if err == nil && status != 200 {
		err = fmt.Errorf("%w: Sunshine does not take its first user (status %d)", ErrGuest, status)
	}
	return err
}

func (s Sunshine) install(ctx context.Context, guest Guest) error {
	sum := strings.ToLower(s.Package.SHA256)
	command := proxstation.GuestCommand{Argv: []string{"/bin/sh", "-c", sunshineLinux}, Input: s.Package.URL + "\n" + sum + "\n"}
	if s.Windows {
		command = powerShell(sunshineWindows, s.Package.URL, sum)
	}
	command.Timeout = 20 * time.Minute
	_, err := runScript(ctx, guest, command)
	return err
}

// pinText matches the PIN that a Moonlight client shows.
var pinText = regexp.MustCompile(`^[0-9]{4}$`)

// Pair enters the PIN that a Moonlight client shows during pairing, and gives
// the client a name. Sunshine accepts a PIN only while a client waits for it.
// The error matches [ErrInvalid] if the text is not a PIN, and [ErrGuest] if
// Sunshine refuses the PIN or the user.
func (s Sunshine) Pair(ctx context.Context, guest Guest, pin, client string) error {
	if err := s.validate(); err != nil {
		return err
	}
	if !pinText.MatchString(pin) || client == "" {
		return fmt.Errorf("%w: want a PIN of four digits, and a name for the client", ErrInvalid)
	}
	body, err := json.Marshal(map[string]string{"pin": pin, "name": client})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	status, answer, err := s.ask(ctx, guest, "/api/pin", string(body), true)
	if err != nil {
		return err
	}
	var result struct{ Status any } // true, or "true" before 2025
	if json.Unmarshal([]byte(answer), &result) != nil || status != 200 || fmt.Sprint(result.Status) != "true" {
		return fmt.Errorf("%w: Sunshine does not take the PIN (status %d): is the client still waiting?", ErrGuest, status)
	}
	return nil
}

// ask sends a request to Sunshine by curl, which reads the whole request from
// its standard input. It returns the status and the answer. If there is a body,
// the request is a POST.
func (s Sunshine) ask(ctx context.Context, guest Guest, path, body string, login bool) (status int, answer string, err error) {
	var config strings.Builder
	set := func(name, value string) {
		config.WriteString(name + " = \"" + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + "\"\n")
	}
	set("url", webInterface+path)
	config.WriteString("insecure\nsilent\nmax-time = 20\n") // no certificate check is needed, because curl connects to its own machine
	set("write-out", `\n%{http_code}`)
	if login {
		set("user", s.User+":"+s.Password.Reveal())
	}
	if body != "" {
		set("header", "Content-Type: application/json")
		set("data-raw", body)
	}
	program := "/usr/bin/curl"
	if s.Windows {
		program = `C:\Windows\System32\curl.exe`
	}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: []string{program, "-q", "-K", "-"}, Input: config.String()})
	if err != nil {
		return 0, "", fmt.Errorf("access: %w", err)
	}
	answer, code, _ := cutLast(strings.TrimRight(out.Stdout, "\r\n"), "\n")
	if out.Code != 0 {
		return 0, "", fmt.Errorf("%w at %s (curl ends with %d): is it installed, and does it run?", errSilent, webInterface, out.Code)
	}
	status, err = strconv.Atoi(code)
	if err != nil {
		return 0, "", fmt.Errorf("%w: curl reports no status", ErrGuest)
	}
	return status, answer, nil
}

// errSilent reports a Sunshine that does not answer. It matches ErrGuest.
var errSilent = fmt.Errorf("%w: Sunshine does not answer", ErrGuest)

// cutLast cuts a text at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(separator):], true
}
