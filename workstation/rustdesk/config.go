package rustdesk

import (
	"net/netip"

	"github.com/proxstation/proxstation"
)

// A Config is the configuration that a guest's RustDesk should have.
type Config struct {
	// Server is the infrastructure through which the guest is found. The zero
	// Server is RustDesk's public infrastructure.
	Server Server `json:"server"`
	// Access says who may connect. The zero Access is RustDesk's own default.
	Access Access `json:"access"`
	// Password is the permanent password. The zero Secret keeps the password of
	// the guest. It is never read back: since 1.4.7, RustDesk only stores a
	// hash.
	Password proxstation.Secret `json:"password,omitzero"`
	// The field Other holds options without a field here, by RustDesk's names
	// (hbb_common src/config.rs, KEYS_SETTINGS). Options of the guest that
	// Other does not name stay as they are. Only stop-service is cleared,
	// because it would stop the service.
	Other map[string]string `json:"other,omitempty"`

	// read holds the options as they were read from a guest, without the key.
	// It is nil in a configuration that was not read.
	read map[string]string
}

// Access says who gets in. The zero Access is RustDesk's own default.
type Access struct {
	// The field Approve says how an incoming connection is accepted.
	Approve ApproveMode `json:"approve,omitempty"`
	// The field Verify says which passwords are accepted.
	Verify VerificationMethod `json:"verify,omitempty"`
	// DirectPort is the TCP port for connections by address, without an ID
	// server. 0 turns them off. RustDesk's usual port is [DefaultDirectPort].
	DirectPort uint16 `json:"directPort,omitempty"`
	// RemoteConfig lets people who are connected change RustDesk's settings.
	RemoteConfig bool `json:"remoteConfig,omitempty"`
	// HideFromLAN keeps the guest from answering discovery in its network.
	HideFromLAN bool `json:"hideFromLAN,omitempty"`
	// AutoUpdate lets RustDesk install its own updates. They are not compared
	// with a checksum of the caller.
	AutoUpdate bool `json:"autoUpdate,omitempty"`
	// The field From holds the networks from which connections are accepted. An
	// empty list accepts all. If RustDesk cannot read any entry of a guest's
	// whitelist, From holds one network without addresses: nobody gets in.
	From []netip.Prefix `json:"from,omitempty"`
}

// DefaultDirectPort is the TCP port for connections by address unless another
// port is set.
const DefaultDirectPort = 21118

// An ApproveMode is a value of the option approve-mode.
type ApproveMode string

// The ways in which a guest accepts a connection.
const (
	ApproveBoth     ApproveMode = ""         // a password, or a click of the person at the guest
	ApprovePassword ApproveMode = "password" // a password only
	ApproveClick    ApproveMode = "click"    // a click only: nobody reaches an unattended guest
)

// A VerificationMethod is a value of the option verification-method.
type VerificationMethod string

// The passwords that a guest accepts.
const (
	VerifyBoth      VerificationMethod = ""
	VerifyTemporary VerificationMethod = "use-temporary-password"
	VerifyPermanent VerificationMethod = "use-permanent-password"
)

// Unattended returns the configuration of a workstation without a person in
// front of it: guests are found through the server, and only the permanent
// password is accepted.
func Unattended(server Server, password proxstation.Secret) Config {
	return Config{
		Server:   server,
		Access:   Access{Approve: ApprovePassword, Verify: VerifyPermanent},
		Password: password,
	}
}
