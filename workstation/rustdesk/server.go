package rustdesk

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// A Server is the infrastructure through which a guest is found and reached. The
// zero Server is RustDesk's public infrastructure.
type Server struct {
	// ID is the ID server (hbbs), also called rendezvous server: HOST, which
	// means port 21116, or HOST:PORT.
	ID string `json:"id,omitempty"`
	// Relay is the relay server (hbbr), HOST or HOST:PORT. Empty means the relay
	// that the ID server names, else the ID server's host on port 21117.
	Relay string `json:"relay,omitempty"`
	// API is the URL of the API server (Pro). Empty means the ID server's host
	// on port 21114, if anything listens there.
	API string `json:"api,omitempty"`
	// Key is the ID server's public key (id_ed25519.pub): 32 bytes in base64. A
	// client without the key does not encrypt. If hbbs is started with "-k _",
	// it serves only clients that have the key. Therefore the key is kept like
	// a password.
	Key proxstation.Secret `json:"key,omitzero"`
}

// ErrServer reports a server whose fields RustDesk would misread or could not
// use.
var ErrServer = errors.New("rustdesk: server")

// Public reports whether the server is RustDesk's public infrastructure.
func (s Server) Public() bool { return s.ID == "" }

// Validate returns an error that matches [ErrServer] if RustDesk would misread
// a field or could not use it.
func (s Server) Validate() error {
	if s.Public() && (s.Relay != "" || s.API != "" || !s.Key.IsZero()) {
		return fmt.Errorf("%w: a relay, API or key needs an ID server", ErrServer)
	}
	for _, part := range []struct{ name, value string }{{"id", s.ID}, {"relay", s.Relay}} {
		if part.value != "" && !isHostPort(part.value) {
			return fmt.Errorf("%w: %s %q: want HOST or HOST:PORT with a port from 1 to 65535; an IPv6 address with a port in brackets", ErrServer, part.name, part.value)
		}
	}
	if err := validateAPI(s.API); err != nil {
		return err
	}
	if _, err := parsePublicKey(s.Key.Reveal()); !s.Key.IsZero() && err != nil {
		return fmt.Errorf("%w: key: %w", ErrServer, err)
	}
	return nil
}

// The default ports of a server (hbb_common src/config.rs, RENDEZVOUS_PORT and
// RELAY_PORT). An ID server also listens on the port below its main port, to
// test the guest's NAT (rustdesk-server src/rendezvous_server.rs).
const (
	idPort    = 21116
	relayPort = 21117
)

// The method "ports" returns the TCP ports of a self-hosted server that a guest
// has to reach.
func (s Server) ports() []ServerPort {
	if s.Public() {
		return nil
	}
	host, port := splitHostPort(s.ID, idPort)
	relay, second := splitHostPort(orDefault(s.Relay, host), relayPort)
	return []ServerPort{{Host: host, Port: port}, {Host: host, Port: port - 1}, {Host: relay, Port: second}}
}

// splitHostPort splits an address that isHostPort accepts. If the address has
// no port, it returns the given port.
func splitHostPort(text string, port uint16) (string, uint16) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		return text, port
	}
	n, _ := strconv.ParseUint(given, 10, 16)
	return host, uint16(n)
}

func validateAPI(api string) error {
	if api == "" {
		return nil
	}
	u, err := url.Parse(api)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsFunc(api, notIn(urlBytes)) {
		return fmt.Errorf("%w: api: want a URL with http or https and without credentials", ErrServer)
	}
	return nil
}

// These patterns match the addresses that RustDesk can use (hbb_common
// src/socket_client.rs, check_port, and src/lib.rs, is_ipv6_str). An IPv6
// address in brackets needs its port. A text that begins with a colon does not
// count as an address.
var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:[0-9]+)?$`)
	hostIPv6 = regexp.MustCompile(`^(([a-fA-F0-9]{1,4}:{1,2})+[a-fA-F0-9]{1,4}|\[([a-fA-F0-9]{1,4}:{1,2})+[a-fA-F0-9]{1,4}\]:[0-9]+)$`)
)

func isHostPort(text string) bool {
	port := ""
	switch {
	case hostIPv6.MatchString(text):
		address, rest, _ := strings.Cut(strings.TrimPrefix(text, "["), "]")
		port = strings.TrimPrefix(rest, ":")
		if _, err := netip.ParseAddr(address); err != nil {
			return false
		}
	case hostName.MatchString(text) && !strings.Contains(text, ".."):
		_, port, _ = strings.Cut(text, ":")
	default:
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

const (
	letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	urlBytes = letters + ".-_~:/[]%"
)

func notIn(allowed string) func(rune) bool {
	return func(r rune) bool { return !strings.ContainsRune(allowed, r) }
}

// configString is the JSON inside a configuration string (CustomServer in
// src/custom_server.rs).
type configString struct {
	Key   string `json:"key"`
	Host  string `json:"host"`
	API   string `json:"api"`
	Relay string `json:"relay"`
}

// ConfigString returns the server as the text that "rustdesk --config" and the
// clients' "import server config" take. The text is JSON in unpadded URL-safe
// base64, reversed. It contains the key. The error matches [ErrServer].
func (s Server) ConfigString() (proxstation.Secret, error) {
	if err := s.Validate(); err != nil {
		return proxstation.Secret{}, err
	}
	text, err := json.Marshal(configString{s.Key.Reveal(), s.ID, s.API, s.Relay})
	if err != nil {
		return proxstation.Secret{}, fmt.Errorf("%w: %w", ErrServer, err)
	}
	encoded := []byte(base64.RawURLEncoding.EncodeToString(text))
	slices.Reverse(encoded)
	return proxstation.NewSecret(string(encoded)), nil
}

// FileName returns a name for Windows' portable client:
// "rustdesk-host=HOST,key=KEY,.exe". The client reads its server from this
// name. Browsers may add "(1)" to the name. The last comma keeps this addition
// apart from the key. The name contains the key.
//
// The error matches [ErrServer] if the name would have a character that file
// names cannot have, such as the colon of a port or a slash. Use
// [Server.ConfigString] for such a server.
func (s Server) FileName() (proxstation.Secret, error) {
	if err := s.Validate(); err != nil {
		return proxstation.Secret{}, err
	}
	name := "rustdesk-host=" + s.ID + ","
	for _, part := range []struct{ name, value string }{{"key", s.Key.Reveal()}, {"api", s.API}, {"relay", s.Relay}} {
		if part.value != "" {
			name += part.name + "=" + part.value + ","
		}
	}
	if strings.ContainsAny(name, `/\:*?"<>|`) {
		return proxstation.Secret{}, fmt.Errorf("%w: has a character that a file name cannot have", ErrServer)
	}
	return proxstation.NewSecret(name + ".exe"), nil
}

// ParseServer parses the texts from which RustDesk reads a server: a
// configuration string, or the file name of a client, with or without ".exe"
// and the additions of browsers. A person can copy a configuration string from
// a client's window ("Export server config"), to move guests to the server of
// that client. Strings that RustDesk's makers signed cannot be read.
//
// ParseServer returns the server that RustDesk would read. [Server.Validate]
// may refuse this server. The error matches [ErrServer] and does not repeat the
// text, which may hold a key.
func ParseServer(text string) (Server, error) {
	lower := lowerASCII(text)
	for range 2 {
		if rest, ok := strings.CutSuffix(lower, ".exe"); ok {
			lower, text = rest, text[:len(rest)]
		}
	}
	var server Server
	if i := strings.Index(lower, "host="); i >= 0 {
		server = parseFileName(text[i:])
	} else if found, ok := parseConfigStrings(text); ok {
		server = found
	} else {
		return Server{}, fmt.Errorf("%w: neither a configuration string nor a name with host=", ErrServer)
	}
	return server, nil
}

// lowerASCII returns a text with its ASCII letters in lower case. Unlike
// [strings.ToLower], it never changes the length of the text.
func lowerASCII(text string) string {
	lower := []byte(text)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	return string(lower)
}

func parseFileName(text string) Server {
	var server Server
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(name) {
		case "host":
			server.ID = value
		case "key":
			server.Key = proxstation.NewSecret(value)
		case "api":
			server.API = value
		case "relay":
			server.Relay = value
		}
	}
	return server
}

// parseConfigStrings looks for a configuration string in a file name such as
// "rustdesk-licensed-STRING(1)". The string ends at "--" or at a parenthesis.
func parseConfigStrings(text string) (Server, bool) {
	for _, dashes := range []string{"-licensed---", "-licensed--", "-licensed-"} {
		text = strings.ReplaceAll(text, dashes, "--")
	}
	for part := range strings.SplitSeq(text, "--") {
		for piece := range strings.SplitSeq(part, "(") {
			encoded := []byte(strings.TrimSpace(piece))
			slices.Reverse(encoded)
			decoded, err := base64.RawURLEncoding.Strict().DecodeString(string(encoded))
			var c configString
			if err != nil || json.Unmarshal(decoded, &c) != nil {
				continue
			}
			return Server{ID: c.Host, Relay: c.Relay, API: c.API, Key: proxstation.NewSecret(c.Key)}, true
		}
	}
	return Server{}, false
}
