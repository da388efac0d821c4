package file

import (
	"errors"

	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// Remote says how the guests are reached from elsewhere.
type Remote struct {
	// RustDesk is set up in the guests that it names.
	RustDesk *RustDesk
	// SSH lets a key into Linux guests.
	SSH *SSH
	// RDP is Windows' Remote Desktop.
	RDP *RDP
	// Sunshine streams the desktop to Moonlight.
	Sunshine *Sunshine
}

// RustDesk is the RustDesk of some guests: found through the server, and the
// permanent password is the only way in, unless approve and verify say
// otherwise.
type RustDesk struct {
	// Server is how the guests are found: the word public, or an own server.
	Server Server
	rustdesk.Access
	// Password refers to the permanent password; unset, the guests keep theirs.
	Password Reference
	// Other holds further options by RustDesk's own names.
	Other map[string]string
	// Packages are installed if a guest has no RustDesk, by the guest's system:
	// linux, windows or macos.
	Packages map[rustdesk.OS]rustdesk.Package
	// Guests are the names of the workstations.
	Guests []string
}

// A Server is a RustDesk server; the zero Server is the public one.
type Server struct {
	rustdesk.Server `omit:"Key"`
	// Key refers to the ID server's public key.
	Key Reference
}

// errServer reports a word that is no server.
var errServer = errors.New("want public, or the keys of an own server: id, relay, api, key")

// UnmarshalText implements [encoding.TextUnmarshaler]: "public" is the zero
// Server.
func (s *Server) UnmarshalText(text []byte) error {
	if string(text) != "public" {
		return errServer
	}
	*s = Server{}
	return nil
}

// SSH is an [access.SSH] of some guests.
type SSH struct {
	access.SSH `omit:"Key"`
	// Key is the public key that gets in.
	Key Key
	// Guests are the names of the workstations.
	Guests []string
}

// RDP is an [access.RDP] of some guests.
type RDP struct {
	access.RDP `omit:"Password"`
	// Password refers to the password of the user.
	Password Reference
	// Guests are the names of the workstations.
	Guests []string
}

// Sunshine is an [access.Sunshine] of some guests. The guest's system comes from
// the workstation's profile.
type Sunshine struct {
	access.Sunshine `omit:"Password,Windows,Package"`
	// Password refers to the password of Sunshine's web interface.
	Password Reference
	// Packages are installed if Sunshine does not answer, by the guest's system:
	// linux or windows.
	Packages map[rustdesk.OS]access.Package
	// Guests are the names of the workstations.
	Guests []string
}
