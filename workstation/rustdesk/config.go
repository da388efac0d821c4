package rustdesk

import (
	"net/netip"

	"github.com/proxstation/proxstation"
)

// A Config is what a guest's RustDesk should have.
type Config struct {
	// Server is how the guest is found; the zero Server is the public one.
	Server Server `json:"server"`
	// Access is who gets in.
	Access Access `json:"access"`
	// Password is the permanent password; the zero Secret leaves the guest's as
	// it is. It is never read back: RustDesk keeps only a hash since 1.4.7.
	Password proxstation.Secret `json:"password,omitzero"`
	// Other holds options this package has no field for, by RustDesk's names
	// (hbb_common src/config.rs, KEYS_SETTINGS). Options of the guest that
	// are not named here are left as they are, except stop-service, with which
	// the service would not run.
	Other map[string]string `json:"other,omitempty"`

	// read are the options as they were read from a guest, without the key; nil
	// in a configuration that was not read.
	read map[string]string
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
	// RemoteConfig lets people who are connected change RustDesk's settings.
	RemoteConfig bool `json:"remoteConfig,omitempty"`
	// HideFromLAN keeps the guest from answering discovery in its network.
	HideFromLAN bool `json:"hideFromLAN,omitempty"`
	// AutoUpdate lets RustDesk install its own updates, which are not checked
	// against a checksum of the caller's.
	AutoUpdate bool `json:"autoUpdate,omitempty"`
	// From are the networks that connections may come from; an empty list means
	// all. Of a guest whose whitelist RustDesk cannot read at all, From is one
	// network that holds no address: nobody gets in.
	From []netip.Prefix `json:"from,omitempty"`
}

// DefaultDirectPort is the TCP port for connections by address unless another
// port is set.
const DefaultDirectPort = 21118

// An ApproveMode is the option approve-mode.
type ApproveMode string

// The ways to accept a connection.
const (
	ApproveBoth     ApproveMode = ""         // a password, or a click of the person who sits there
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

// Unattended returns the configuration of a workstation that nobody sits at: it
// is found through the server, and the permanent password is the only way in.
func Unattended(server Server, password proxstation.Secret) Config {
	return Config{
		Server:   server,
		Access:   Access{Approve: ApprovePassword, Verify: VerifyPermanent},
		Password: password,
	}
}
