package rustdesk

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/proxstation/proxstation"
)

// A Config is what a guest's RustDesk should have.
type Config struct {
	// Server is how the guest is found; the zero Server is the public one.
	Server Server `json:"server"`
	// Access is who gets in.
	Access Access `json:"access"`
	// Password is the permanent password; none leaves the guest's as it is.
	// It is never read back: RustDesk keeps only a hash.
	Password proxstation.Secret `json:"password,omitzero"`
	// Other holds options this package has no field for, by RustDesk's names
	// (hbb_common src/config.rs, KEYS_SETTINGS). Options of the guest that
	// are not named here are left as they are, but for stop-service: with it
	// the service would not run.
	Other map[string]string `json:"other,omitempty"`
}

// Access says who gets in. The zero Access is RustDesk's own default.
type Access struct {
	// Approve says how an incoming connection is accepted.
	Approve ApproveMode `json:"approve,omitempty"`
	// Verify says which passwords count.
	Verify VerificationMethod `json:"verify,omitempty"`
	// DirectPort is the TCP port for connections by address, without an ID
	// server; 0 is off, RustDesk's own choice is [DefaultDirectPort].
	DirectPort uint16 `json:"directPort,omitempty"`
	// RemoteConfig lets who is connected change RustDesk's settings.
	RemoteConfig bool `json:"remoteConfig,omitempty"`
	// HideFromLAN keeps the guest from answering discovery in its network.
	HideFromLAN bool `json:"hideFromLAN,omitempty"`
	// AutoUpdate lets RustDesk install its own updates, which no checksum of
	// the caller's covers.
	AutoUpdate bool `json:"autoUpdate,omitempty"`
	// From are the networks connections may come from; none means all.
	From []netip.Prefix `json:"from,omitempty"`
}

// DefaultDirectPort is the port for connections by address if none is set.
const DefaultDirectPort = 21118

// An ApproveMode is the option approve-mode.
type ApproveMode string

// The ways to accept a connection.
const (
	ApproveBoth     ApproveMode = ""         // a password, or a click of who sits there
	ApprovePassword ApproveMode = "password" // a password only
	ApproveClick    ApproveMode = "click"    // a click only: shuts out an unattended guest
)

// A VerificationMethod is the option verification-method.
type VerificationMethod string

// The passwords that count.
const (
	VerifyBoth      VerificationMethod = ""
	VerifyTemporary VerificationMethod = "use-temporary-password"
	VerifyPermanent VerificationMethod = "use-permanent-password"
)

// Unattended returns the configuration of a workstation nobody sits at: on
// server, entered with the permanent password only.
func Unattended(server Server, password proxstation.Secret) Config {
	return Config{
		Server:   server,
		Access:   Access{Approve: ApprovePassword, Verify: VerifyPermanent},
		Password: password,
	}
}

// ErrConfig is what a configuration that cannot be given to RustDesk is,
// unless its server is at fault ([ErrServer]).
var ErrConfig = errors.New("rustdesk: configuration")

// maxPassword is hbb_common's ENCRYPT_MAX_LEN; minPassword is what RustDesk's
// own window asks for.
const (
	minPassword = 6
	maxPassword = 128
)

// Validate returns an error that is [ErrServer] or [ErrConfig] if RustDesk
// would misread the configuration, or nobody could get in.
func (c Config) Validate() error {
	if err := c.Server.Validate(); err != nil {
		return err
	}
	switch c.Access.Approve {
	case ApproveBoth, ApprovePassword, ApproveClick:
	default:
		return fmt.Errorf("%w: approve-mode %q: unknown", ErrConfig, c.Access.Approve)
	}
	switch c.Access.Verify {
	case VerifyBoth, VerifyTemporary, VerifyPermanent:
	default:
		return fmt.Errorf("%w: verification-method %q: unknown", ErrConfig, c.Access.Verify)
	}
	if err := validatePassword(c.Password.Reveal()); err != nil {
		return err
	}
	for _, prefix := range c.Access.From {
		if !prefix.IsValid() {
			return fmt.Errorf("%w: from: a network that is none", ErrConfig)
		}
	}
	return validateOther(c.Other)
}

func validateOther(other map[string]string) error {
	for name, value := range other {
		if name == "" || strings.ContainsFunc(name, notIn(letters+"-_")) {
			return fmt.Errorf("%w: option %q: no name RustDesk has", ErrConfig, name)
		}
		if name == stopService {
			return fmt.Errorf("%w: option %q: the service is to run", ErrConfig, name)
		}
		if _, ours := defaults()[name]; ours {
			return fmt.Errorf("%w: option %q: has a field of its own", ErrConfig, name)
		}
		if strings.ContainsFunc(value, unquotable) {
			return fmt.Errorf("%w: option %q: its value has a quote, a backslash or a character that does not print", ErrConfig, name)
		}
	}
	return nil
}

// secrets reports whether RustDesk's command line has to carry some.
func (c Config) secrets() bool { return !c.Password.IsZero() || !c.Server.Key.IsZero() }

func validatePassword(password string) error {
	if password == "" {
		return nil
	}
	if n := len(password); n < minPassword || n > maxPassword {
		return fmt.Errorf("%w: password: %d characters, want %d to %d", ErrConfig, n, minPassword, maxPassword)
	}
	if strings.ContainsFunc(password, unquotable) {
		return fmt.Errorf("%w: password: wants printable ASCII without double quote and backslash, which Windows' command lines change", ErrConfig)
	}
	return nil
}

// unquotable reports what cannot pass unchanged through the command lines of
// all three systems.
func unquotable(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
