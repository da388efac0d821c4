package file

import (
	"errors"

	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// Remote says how the guests are reached from other machines.
type Remote struct {
	// RustDesk sets up RustDesk in guests.
	RustDesk *RustDesk
	// SSH lets the owner of a key log in to Linux guests.
	SSH *SSH
	// RDP sets up Remote Desktop in Windows guests.
	RDP *RDP
	// Sunshine sets up Sunshine, which streams the desktop to Moonlight.
	Sunshine *Sunshine
}

// RustDesk configures RustDesk in some guests. Other machines find the guests
// through the server. Only the permanent password lets somebody in, unless
// approve and verify have other values.
type RustDesk struct {
	// Server is the server that finds the guests: the word public, or the keys
	// of an own server.
	Server Server
	rustdesk.Access
	// Password refers to the permanent password. Without it, the guests keep
	// their passwords.
	Password Reference
	// Other holds further options by RustDesk's own names.
	Other map[string]string
	// Packages holds the package to install in a guest without RustDesk, by the
	// guest's system: linux, windows or macos.
	Packages map[rustdesk.OS]rustdesk.Package
	// Guests holds the names of the workstations.
	Guests []string
}

// A Server is a RustDesk server. The zero Server is RustDesk's public server.
type Server struct {
	rustdesk.Server `omit:"Key"`
	// Key refers to the ID server's public key.
	Key Reference
}

// errServer reports a word other than "public".
var errServer = errors.New("want public, or the keys of an own server: id, relay, api, key")

// UnmarshalText implements [encoding.TextUnmarshaler]. "public" gives the zero
// Server.
func (s *Server) UnmarshalText(text []byte) error {
	if string(text) != "public" {
		return errServer
	}
	*s = Server{}
	return nil
}

// SSH configures an [access.SSH] in some guests.
type SSH struct {
	access.SSH `omit:"Key"`
	// Key is the public key whose owner may log in.
	Key Key
	// Guests holds the names of the workstations.
	Guests []string
}

// RDP configures an [access.RDP] in some guests.
type RDP struct {
	access.RDP `omit:"Password"`
	// Password refers to the user's password.
	Password Reference
	// Guests holds the names of the workstations.
	Guests []string
}

// Sunshine configures an [access.Sunshine] in some guests. The guest's system
// follows from the workstation's profile.
type Sunshine struct {
	access.Sunshine `omit:"Password,Windows,Package"`
	// Password refers to the password of Sunshine's web interface.
	Password Reference
	// Packages holds the package to install if Sunshine does not answer, by the
	// guest's system: linux or windows.
	Packages map[rustdesk.OS]access.Package
	// Guests holds the names of the workstations.
	Guests []string
}
