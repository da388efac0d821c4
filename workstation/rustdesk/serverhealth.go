package rustdesk

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// A ServerHealth holds the state of a self-hosted server in its guest.
type ServerHealth struct {
	// HBBS is the ID server's program, and HBBR is the relay's program.
	HBBS ServerProgram `json:"hbbs"`
	HBBR ServerProgram `json:"hbbr"`
	// Ports holds the ports on which the server should listen. For each port it
	// says whether the server listens, according to the kernel (ss).
	Ports []ListeningPort `json:"ports"`
	// Key is the public key, or the zero Secret if there is no key.
	Key proxstation.Secret `json:"key,omitzero"`
	// PrivateMode is the mode of the private key's file, or 0 if there is no
	// file.
	PrivateMode fs.FileMode `json:"privateMode,omitempty"`
	// Peers is the number of guests that ever registered (the table peer in
	// db_v2.sqlite3). It is nil if the guest lacks the program sqlite3, which
	// reads the table. [Server.Online] says which guests are registered now.
	Peers *int `json:"peers,omitempty"`
}

// A ServerProgram is one program of a server.
type ServerProgram struct {
	// Version is the installed package's version, or the zero Version if no
	// package is installed.
	Version Version `json:"version"`
	// Active and Enabled are the answers of systemd: whether the service runs,
	// and whether it starts at boot.
	Active  proxstation.Answer `json:"active"`
	Enabled proxstation.Answer `json:"enabled"`
	// The field Keyed says whether the service is started with -k. Without -k
	// it also serves clients that do not have the key.
	Keyed proxstation.Answer `json:"keyed"`
}

// A ListeningPort is a port of a server, as seen on the server itself.
type ListeningPort struct {
	Protocol string             `json:"protocol"` // "tcp" or "udp"
	Port     uint16             `json:"port"`
	Listens  proxstation.Answer `json:"listens"`
}

// ReadServerHealth reads the state of the server in a guest and changes
// nothing. The error is a [SetupError] if the script stopped.
func ReadServerHealth(ctx context.Context, guest Guest) (ServerHealth, error) {
	script, err := healthScript("")
	if err != nil {
		return ServerHealth{}, err
	}
	output, err := runScript(ctx, guest, script, nil)
	if err != nil {
		return ServerHealth{}, err
	}
	return parseServerHealth(output)
}

func healthScript(root string) (Script, error) {
	body, err := render("health", scriptInput{Root: root})
	return Script{OS: Linux, Body: body, Stdin: proxstation.NewSecret("\n\n")}, err
}

func parseServerHealth(output string) (ServerHealth, error) {
	var h ServerHealth
	err := parseLines(output, func(word, rest string) (err error) {
		fields := append(strings.Fields(rest), "", "", "", "", "")
		switch word {
		case "program":
			p := ServerProgram{Active: parseAnswer(fields[2]), Enabled: parseAnswer(fields[3]), Keyed: parseAnswer(fields[4])}
			if fields[1] != "-" {
				p.Version, err = ParseVersion(fields[1])
			}
			if fields[0] == "hbbs" {
				h.HBBS = p
			} else {
				h.HBBR = p
			}
		case "listens":
			port, _ := strconv.ParseUint(fields[1], 10, 16)
			h.Ports = append(h.Ports, ListeningPort{fields[0], uint16(port), parseAnswer(fields[2])})
		case "key":
			h.Key, err = parsePublicKey(rest)
		case "private":
			mode, _ := strconv.ParseUint(fields[0], 8, 32)
			h.PrivateMode = fs.FileMode(mode)
		case "peers":
			if n, err := strconv.Atoi(fields[0]); err == nil {
				h.Peers = &n
			}
		}
		return err
	})
	return h, err
}

// Judge returns the faults of the server that affect clients with the given
// configuration. It does no I/O.
func (h ServerHealth) Judge(clients Server) []proxstation.Finding {
	var findings []proxstation.Finding
	add := func(severity proxstation.Severity, id, subject, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: "rustdesk.server-" + id, Severity: severity, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	for _, p := range []struct {
		name string
		ServerProgram
	}{{"hbbs", h.HBBS}, {"hbbr", h.HBBR}} {
		service := "rustdesk-" + p.name
		switch {
		case p.Version == Version{}:
			add(proxstation.Blocker, "missing", p.name, "dpkg-query: rustdesk-server-"+p.name+" is not installed", "clients find nobody to ask", "set the server up again with the package of "+p.name)
			continue
		case p.Active != proxstation.Yes:
			add(proxstation.Blocker, "stopped", p.name, "systemctl is-active "+service+": "+p.Active.String(), "clients find nobody to ask", "run systemctl start "+service+", then see journalctl -u "+service)
		case p.Enabled != proxstation.Yes:
			add(proxstation.Warning, "disabled", p.name, "systemctl is-enabled "+service+": "+p.Enabled.String(), "the server is gone after the next restart", "run systemctl enable "+service)
		}
		if p.Keyed != proxstation.Yes {
			add(proxstation.Warning, "open", p.name, "systemctl show "+service+": ExecStart has no -k", "it serves everybody who finds it", "set the server up again, which adds the option")
		}
	}
	for _, port := range h.Ports {
		if port.Listens == proxstation.No {
			add(proxstation.Blocker, "port", fmt.Sprintf("%s port %d", port.Protocol, port.Port), "ss: nothing listens there", "clients ask there and get no answer",
				fmt.Sprintf("see who has the port (ss -lnp 'sport = :%d'), and what is in /var/lib/rustdesk-server/.env", port.Port))
		}
	}
	switch {
	case h.Key.IsZero():
		add(proxstation.Blocker, "no-key", "key", "/var/lib/rustdesk-server/id_ed25519.pub: is missing or empty", "clients cannot be given a key, and do not encrypt", "restart rustdesk-hbbs, which makes the keys if both files are gone")
	case !clients.Public() && !h.Key.Equal(clients.Key):
		add(proxstation.Blocker, "other-key", "key", "/var/lib/rustdesk-server/id_ed25519.pub: is not the key that the clients have", "the server turns the clients away", "give the clients the server's key, or bring back the key files that the server had")
	}
	if h.PrivateMode.Perm()&0o077 != 0 {
		add(proxstation.Warning, "private-key", "key", fmt.Sprintf("/var/lib/rustdesk-server/id_ed25519: mode %o", h.PrivateMode.Perm()), "other users of the guest can pretend to be the server", "chmod 600 /var/lib/rustdesk-server/id_ed25519")
	}
	return findings
}
