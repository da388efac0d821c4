package access

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// SSH is the way into a Linux guest by the OpenSSH server. The guest needs
// systemd, and apt, dnf, zypper or pacman.
type SSH struct {
	// User is the user to whom the key gives access. The user must exist.
	User string
	// Key is a public key as a line of authorized_keys, without options:
	// "ssh-ed25519 AAAA... ada@laptop". It is added to the keys of the user.
	Key string
	// KeysOnly refuses passwords for all users. It needs a Key, so that
	// somebody can still log in.
	KeysOnly bool
}

//go:embed scripts/ssh.sh
var sshScript string

// guestUser matches the names that useradd accepts (shadow-utils, NAME_REGEX).
var guestUser = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// publicKey matches a line of authorized_keys without options (sshd manual
// page).
var publicKey = regexp.MustCompile(`^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) ([A-Za-z0-9+/]+={0,2})( [!-~ ]*)?$`)

func (s SSH) validate() error {
	if !guestUser.MatchString(s.User) {
		return fmt.Errorf("%w: user %q: want a name of small letters, digits, _ and -", ErrInvalid, s.User)
	}
	if s.Key == "" {
		if s.KeysOnly {
			return fmt.Errorf("%w: KeysOnly without a Key: nobody could get in", ErrInvalid)
		}
		return nil
	}
	match := publicKey.FindStringSubmatch(s.Key)
	if match == nil {
		return fmt.Errorf("%w: key: want the line of a public key file, such as ssh-ed25519 AAAA... ada@laptop", ErrInvalid)
	}
	blob, err := base64.StdEncoding.DecodeString(match[3])
	if err != nil || !strings.Contains(string(blob), match[1]) {
		return fmt.Errorf("%w: key: its base64 is not a key of type %s", ErrInvalid, match[1])
	}
	return nil
}

// Plan implements [Way].
func (s SSH) Plan(ctx context.Context, guest Guest) (Plan, error) {
	if err := s.validate(); err != nil {
		return Plan{}, err
	}
	found, err := s.run(ctx, guest, nil)
	if err != nil {
		return Plan{}, err
	}
	return s.judge(found)
}

// judge compares the guest's settings with the wanted settings. It does no I/O.
func (s SSH) judge(found lines) (Plan, error) {
	p := Plan{Way: "SSH"}
	if found["user"] != "yes" {
		return Plan{}, fmt.Errorf("%w: it has no user %q", ErrGuest, s.User)
	}
	p.add(found["installed"] == "yes", "install", "server", "not installed", "installed")
	p.add(found["running"] == "yes", "enable", "service", "does not run, or not at start", "runs at start")
	if s.Key != "" {
		fields := strings.SplitN(s.Key, " ", 3)
		p.add(found["key"] == "yes", "key", "key of "+s.User, "absent", strings.TrimSpace(fields[0]+" "+strings.Join(fields[2:], "")))
	}
	if s.KeysOnly {
		p.add(found["passwords"] == "no", "passwords", "passwords", "accepted, or unknown", "refused")
	}
	return p, nil
}

func (s SSH) apply(ctx context.Context, guest Guest, steps []string) error {
	_, err := s.run(ctx, guest, steps)
	return err
}

// The method "run" carries out the steps and returns the settings that the
// guest has afterwards.
func (s SSH) run(ctx context.Context, guest Guest, steps []string) (lines, error) {
	return runScript(ctx, guest, proxstation.GuestCommand{
		Argv:    []string{"/bin/sh", "-c", sshScript},
		Input:   strings.Join(steps, " ") + "\n" + s.User + "\n" + s.Key + "\n",
		Timeout: 15 * time.Minute, // enough to install a package
	})
}

// HostKey returns the fingerprint of the guest's ed25519 host key,
// "SHA256:...". At its first connection, a client shows the fingerprint of the
// machine that it reached. If the two fingerprints differ, the client reached
// another machine. The error matches [ErrGuest] if the guest has no such key.
func (s SSH) HostKey(ctx context.Context, guest Guest) (string, error) {
	if err := s.validate(); err != nil {
		return "", err
	}
	found, err := s.run(ctx, guest, nil)
	if err == nil && !strings.HasPrefix(found["hostkey"], "SHA256:") {
		err = fmt.Errorf("%w: it has no ed25519 host key", ErrGuest)
	}
	return found["hostkey"], err
}
