package rustdesk

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// A LinkAction is the window that a [Link] opens.
type LinkAction string

// The actions of a client (rustdesk flutter/lib/common.dart, urlLinkToCmdArgs).
const (
	OpenDesktop       LinkAction = "connect"
	OpenFileTransfer  LinkAction = "file-transfer"
	OpenTerminal      LinkAction = "terminal"
	OpenAdminTerminal LinkAction = "terminal-admin"
	OpenPortForward   LinkAction = "port-forward"
	OpenRDP           LinkAction = "rdp"
	OpenCamera        LinkAction = "view-camera"
	OpenPlay          LinkAction = "play" // opens the desktop, in older links
)

// linkActions holds all actions.
var linkActions = map[LinkAction]bool{
	OpenDesktop: true, OpenFileTransfer: true, OpenTerminal: true, OpenAdminTerminal: true,
	OpenPortForward: true, OpenRDP: true, OpenCamera: true, OpenPlay: true,
}

// A Link is a rustdesk:// address. A client that opens it connects to the
// guest. A program that sets up guests shows the link to the person who
// connects ([Report.Link]).
//
// A Link never holds a password or a key. RustDesk asks the person for the
// password. The client knows the key of its own server.
type Link struct {
	// ID is the guest's ID. It is "" if Address is set.
	ID ID
	// Address is the address of a guest that is reached without an ID server
	// ([Access].DirectPort): an IP address with or without a port, or
	// DOMAIN:PORT.
	Address string
	// Server is the ID server: HOST or HOST:PORT, or "public" for RustDesk's
	// server. It is "" if the client uses its own ID server.
	Server string
	// Action is the window to open; "" stands for [OpenDesktop].
	Action LinkAction
	// Relay makes the client use the relay even if a direct connection is
	// possible.
	Relay bool
}

// ErrLink reports a text that is not a [Link].
var ErrLink = errors.New("rustdesk: link")

// String returns the address: "rustdesk://connect/123456789".
func (l Link) String() string {
	peer := orDefault(string(l.ID), l.Address)
	if l.Server != "" {
		peer += "@" + l.Server
	}
	u := url.URL{Scheme: "rustdesk", Host: orDefault(string(l.Action), string(OpenDesktop)), Path: "/" + peer}
	if l.Relay {
		u.RawQuery = "relay=true"
	}
	return u.String()
}

// ParseLink parses the addresses that a client opens: the form of
// [Link.String], "connection/new/ID", and the short "rustdesk://ID". In each
// form, "/r" and "@SERVER" may follow the ID. If the address holds a password
// or a key, ParseLink returns an error that does not repeat the text.
func ParseLink(s string) (Link, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "rustdesk" {
		return Link{}, fmt.Errorf("%w: want rustdesk://ACTION/ID", ErrLink)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Link{}, fmt.Errorf("%w: its query cannot be read", ErrLink)
	}
	link := Link{}
	for name := range query {
		switch strings.ToLower(name) { // like RustDesk, ignores the case of names
		case "password", "key":
			return Link{}, fmt.Errorf("%w: holds a secret", ErrLink)
		case "relay":
			link.Relay = true
		}
	}
	peer, err := link.cutAction(u)
	if err != nil {
		return Link{}, err
	}
	return link, link.parsePeer(peer)
}

// cutAction sets the link's action and returns the part that names the guest.
func (l *Link) cutAction(u *url.URL) (peer string, err error) {
	path := strings.TrimPrefix(u.Path, "/")
	rest, older := strings.CutPrefix(path, "new/")
	switch action := LinkAction(u.Host); {
	case u.User != nil: // the form rustdesk://ID@SERVER
		if _, secret := u.User.Password(); secret || path != "" {
			return "", fmt.Errorf("%w: want rustdesk://ID@SERVER without a password", ErrLink)
		}
		return u.User.Username() + "@" + u.Host, nil
	case linkActions[action]:
		if action != OpenDesktop {
			l.Action = action
		}
		return path, nil
	case u.Host == "connection" && older:
		return rest, nil
	case path != "" && path != "r" && !strings.HasPrefix(path, "r@"):
		return "", fmt.Errorf("%w: action %q: unknown", ErrLink, u.Host)
	case path == "":
		return u.Host, nil
	}
	return u.Host + "/" + path, nil
}

// domainPort is the pattern of hbb_common src/lib.rs, is_domain_port_str.
var domainPort = regexp.MustCompile(`(?i)^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z-]{0,61}[a-z]:\d{1,5}$`)

// parsePeer sets the link's guest and server from ID, ID/r, ID@SERVER or
// ID/r@SERVER (rustdesk src/client.rs, LoginConfigHandler::initialize). Instead
// of the ID, the text may contain an address.
func (l *Link) parsePeer(text string) (err error) {
	defer func() {
		if err != nil {
			*l = Link{}
		}
	}()
	peer, server, other := strings.Cut(text, "@")
	if other && !isHostPort(server) {
		return fmt.Errorf("%w: server after the @: want HOST or HOST:PORT", ErrLink)
	}
	peer, relay := strings.CutSuffix(peer, "/r")
	l.Server, l.Relay = server, l.Relay || relay
	if isAddress(peer) {
		l.Address = peer
		return nil
	}
	if l.ID, err = ParseID(peer); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// isAddress reports whether a client reads the text as an address and not as an
// ID.
func isAddress(text string) bool {
	if !isHostPort(text) {
		return false
	}
	_, err := netip.ParseAddr(text)
	_, errPort := netip.ParseAddrPort(text)
	return err == nil || errPort == nil || domainPort.MatchString(text)
}

// MarshalText implements [encoding.TextMarshaler].
func (l Link) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Link) UnmarshalText(text []byte) error {
	parsed, err := ParseLink(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}
