package rustdesk

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// An ID is the name under which a guest is reached: digits its client was
// given, or a name its owner chose.
type ID string

// ErrID is text that is no [ID].
var ErrID = errors.New("rustdesk: id")

// ParseID parses an id as RustDesk prints it or shows it, with spaces between
// groups of digits. A chosen id is a letter and 5 to 15 letters, digits, _
// or - (hbb_common src/lib.rs, is_valid_custom_id). The error is [ErrID].
func ParseID(s string) (ID, error) {
	id := strings.ReplaceAll(strings.TrimSpace(s), " ", "")
	digits := !strings.ContainsFunc(id, notIn("0123456789"))
	chosen := id != "" && !strings.ContainsAny(id[:1], "0123456789_-") && !strings.ContainsFunc(id, notIn(letters+"-_"))
	if n := len(id); n < 6 || n > 16 || !digits && !chosen {
		return "", fmt.Errorf("%w %q: want 6 to 16 digits, or letters, digits, _ and -", ErrID, s)
	}
	return ID(id), nil
}

// An Action is what a [Link] opens.
type Action string

// The actions of a client (flutter/lib/common.dart, urlLinkToCmdArgs).
const (
	Desktop      Action = "connect"
	FileTransfer Action = "file-transfer"
	Terminal     Action = "terminal"
	PortForward  Action = "port-forward"
	RDP          Action = "rdp"
	Camera       Action = "view-camera"
)

// A Link is a rustdesk:// address that opens a connection on a machine with a
// client. It never holds a password or key: RustDesk asks for the password,
// and the client that opens it has its own server's key.
type Link struct {
	// ID is the guest.
	ID ID
	// Action is what to open; "" is [Desktop].
	Action Action
	// Relay asks for the relay even where a direct way exists.
	Relay bool
}

// ErrLink is text that is no [Link].
var ErrLink = errors.New("rustdesk: link")

// String returns the address: "rustdesk://connect/123456789".
func (l Link) String() string {
	u := url.URL{Scheme: "rustdesk", Host: orDefault(string(l.Action), string(Desktop)), Path: "/" + string(l.ID)}
	if l.Relay {
		u.RawQuery = "relay=true"
	}
	return u.String()
}

// ParseLink parses an address in the form of [Link.String] or the short
// "rustdesk://123456789", with "/r" for the relay. A password or key in it is
// an error, which does not repeat the text.
func ParseLink(s string) (Link, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "rustdesk" || u.User != nil {
		return Link{}, fmt.Errorf("%w: want rustdesk://ACTION/ID", ErrLink)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || query.Has("password") || query.Has("key") {
		return Link{}, fmt.Errorf("%w: holds a secret, or a query that cannot be read", ErrLink)
	}
	link := Link{Action: Action(u.Host), Relay: query.Has("relay")}
	id := strings.TrimPrefix(u.Path, "/")
	switch link.Action {
	case Desktop, FileTransfer, Terminal, PortForward, RDP, Camera:
	default:
		link.Action, link.Relay = Desktop, link.Relay || id == "r"
		if id != "" && id != "r" {
			return Link{}, fmt.Errorf("%w: action %q: unknown", ErrLink, u.Host)
		}
		id = u.Host
	}
	if link.ID, err = ParseID(id); err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrLink, err)
	}
	return link, nil
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
