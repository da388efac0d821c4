package rustdesk

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ErrConfig reports a configuration that RustDesk would misread, or with which
// nobody could connect. [ErrServer] reports faults of the configuration's
// server.
var ErrConfig = errors.New("rustdesk: configuration")

// maxPassword is the greatest length of a password (hbb_common
// ENCRYPT_MAX_LEN). minPassword is the least length that RustDesk's own window
// accepts.
const (
	minPassword = 6
	maxPassword = 128
)

// Validate returns an error that matches [ErrServer] or [ErrConfig] if RustDesk
// would misread the configuration, or if nobody could get in.
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
	if err := c.validatePassword(); err != nil {
		return err
	}
	if err := validateFrom(c.Access.From); err != nil {
		return err
	}
	return validateOther(c.Other)
}

// validateFrom returns an error for a whitelist with which nobody could
// connect: no other machine has a loopback or multicast address, 0.0.0.0 or ::.
// It also refuses an IPv4 network that is written as an IPv6 network, because
// RustDesk never finds an IPv4 address in it (cidr-utils IpCidr::contains).
func validateFrom(from []netip.Prefix) error {
	nobody := len(from) > 0
	for _, prefix := range from {
		if !prefix.IsValid() {
			return fmt.Errorf("%w: from: the zero network holds no address", ErrConfig)
		}
		addr := prefix.Addr()
		if addr.Is4In6() {
			return fmt.Errorf("%w: from: %s: RustDesk never finds an address in it; write the IPv4 network", ErrConfig, prefix)
		}
		if !addr.IsLoopback() && !addr.IsMulticast() && !(addr.IsUnspecified() && prefix.IsSingleIP()) {
			nobody = false
		}
	}
	if nobody {
		return fmt.Errorf("%w: from: no other machine has an address in these networks, so that nobody gets in", ErrConfig)
	}
	return nil
}

func validateOther(other map[string]string) error {
	for name, value := range other {
		if name == "" || strings.ContainsFunc(name, notIn(letters+"-_")) {
			return fmt.Errorf("%w: option %q: RustDesk has no such name", ErrConfig, name)
		}
		if name == stopService {
			return fmt.Errorf("%w: option %q: the service has to run", ErrConfig, name)
		}
		if _, ours := defaults()[name]; ours {
			return fmt.Errorf("%w: option %q: has a field of its own", ErrConfig, name)
		}
		if strings.ContainsFunc(value, unprintable) {
			return fmt.Errorf("%w: option %q: its value has a character that is not printable ASCII", ErrConfig, name)
		}
	}
	return nil
}

// The method "secrets" reports whether a password or a key has to be set.
// RustDesk accepts them only on its command line.
func (c Config) secrets() bool { return !c.Password.IsZero() || !c.Server.Key.IsZero() }

func (c Config) validatePassword() error {
	password := c.Password.Reveal()
	if password == "" {
		return nil
	}
	if n := len(password); n < minPassword || n > maxPassword {
		return fmt.Errorf("%w: password: %d characters, want %d to %d", ErrConfig, n, minPassword, maxPassword)
	}
	if strings.ContainsFunc(password, unprintable) {
		return fmt.Errorf("%w: password: has a character that is not printable ASCII", ErrConfig)
	}
	if c.Access.Approve == ApproveClick {
		return fmt.Errorf("%w: password: approve-mode %q lets nobody in by a password", ErrConfig, c.Access.Approve)
	}
	if c.Access.Verify == VerifyTemporary {
		return fmt.Errorf("%w: password: verification-method %q lets nobody in by a permanent password", ErrConfig, c.Access.Verify)
	}
	return nil
}

// The function "unprintable" reports whether a character may change on its way
// through the command lines and code pages of the three systems.
func unprintable(r rune) bool { return r < ' ' || r > '~' }
