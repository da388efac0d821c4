package access

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"

	"github.com/proxstation/proxstation"
)

// RDP is the way into a Windows guest by Remote Desktop, with network level
// authentication. Home editions of Windows do not offer it. Remote Desktop does
// not use the display of the graphics card, so it works without a monitor.
type RDP struct {
	// User is a local user who may connect; "" leaves the users as they are.
	// Administrators may always connect.
	User string
	// Password is set for the User, who is created if missing. With the zero
	// Secret, the user's password stays. Windows refuses network logins with an
	// empty password.
	Password proxstation.Secret
}

//go:embed scripts/rdp.ps1
var rdpScript string

// localUser matches the names that Windows allows for local users
// (New-LocalUser): at most 20 characters, without certain signs.
var localUser = regexp.MustCompile(`^[^"/\\\[\]:;|=,+*?<>@\x00-\x1f]{1,20}$`)

func (r RDP) validate() error {
	password := r.Password.Reveal()
	switch {
	case r.User == "" && password != "":
		return fmt.Errorf("%w: a password needs a user", ErrInvalid)
	case r.User != "" && (!localUser.MatchString(r.User) || strings.Trim(r.User, ". ") != r.User):
		return fmt.Errorf("%w: user %q: want 1 to 20 characters, without the special characters that Windows forbids in a user's name", ErrInvalid, r.User)
	case strings.ContainsAny(password, "\r\n\x00") || len(password) > 127:
		return fmt.Errorf("%w: password: want at most 127 characters in one line", ErrInvalid)
	}
	return nil
}

// Plan implements [Way].
func (r RDP) Plan(ctx context.Context, guest Guest) (Plan, error) {
	if err := r.validate(); err != nil {
		return Plan{}, err
	}
	found, err := r.run(ctx, guest, nil)
	if err != nil {
		return Plan{}, err
	}
	return r.judge(found)
}

// judge compares the guest's settings with the wanted settings. It does no I/O.
func (r RDP) judge(found lines) (Plan, error) {
	// Editions whose EditionID begins with Core are Home editions.
	if edition := found["edition"]; strings.HasPrefix(edition, "Core") {
		return Plan{}, fmt.Errorf("%w: Windows of edition %s (Home) takes no Remote Desktop connections: use RustDesk, or another edition", ErrGuest, edition)
	}
	p := Plan{Way: "RDP"}
	p.add(found["allowed"] == "yes", "allow", "Remote Desktop", "off", "on")
	p.add(found["nla"] == "yes", "nla", "network level authentication", "not required", "required")
	p.add(found["firewall"] == "yes", "firewall", "firewall rules of Remote Desktop", "off", "on")
	if r.User == "" {
		return p, nil
	}
	switch {
	case found["user"] != "yes" && r.Password.IsZero():
		return Plan{}, fmt.Errorf("%w: it has no user %q, and a user is only created with a password", ErrGuest, r.User)
	case found["user"] != "yes":
		p.add(false, "user", "user "+r.User, "absent", "there")
	case !r.Password.IsZero():
		p.add(found["password"] == "yes", "password", "password of "+r.User, "another", "[secret]")
	}
	p.add(found["member"] == "yes", "member", "user "+r.User, "may not connect", "may connect")
	return p, nil
}

func (r RDP) apply(ctx context.Context, guest Guest, steps []string) error {
	_, err := r.run(ctx, guest, steps)
	return err
}

func (r RDP) run(ctx context.Context, guest Guest, steps []string) (lines, error) {
	return runScript(ctx, guest, powerShell(rdpScript, strings.Join(steps, " "), r.User, r.Password.Reveal()))
}

// powerShell returns the command that runs a script with lines on its standard
// input. The lines are encoded as base64 of UTF-8, because Windows would read
// plain input in the code page of the machine. -EncodedCommand takes the script
// as base64 of UTF-16.
func powerShell(script string, input ...string) proxstation.GuestCommand {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(script)) {
		encoded = binary.LittleEndian.AppendUint16(encoded, unit)
	}
	var stdin strings.Builder
	for _, line := range input {
		stdin.WriteString(base64.StdEncoding.EncodeToString([]byte(line)) + "\n")
	}
	return proxstation.GuestCommand{
		Argv:  []string{"powershell.exe", "-NoProfile", "-NonInteractive", "-EncodedCommand", base64.StdEncoding.EncodeToString(encoded)},
		Input: stdin.String(),
	}
}
