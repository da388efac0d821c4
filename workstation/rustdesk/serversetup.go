package rustdesk

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
)

// A ServerSetup turns a guest into a self-hosted [Server]. The guest is a
// virtual machine or a container with Debian or Ubuntu. The programs hbbs and
// hbbr run in it as services of systemd. The set-up can be repeated: settings
// that are right already are left alone.
//
// Both programs are started with the option "-k _", so that they serve only
// clients that have the key. The option is in a drop-in beside the unit of each
// package (rustdesk-hbbs.service.d/key.conf, rustdesk-hbbr.service.d/key.conf).
// Without the option, hbbr relays for everybody who finds it, and hbbs before
// 1.1.11 serves everybody. Only root can read the files of both programs, such
// as the private key.
//
// Other options belong in the file /var/lib/rustdesk-server/.env. Both programs
// read it, and the set-up leaves it alone. This file must not change the ports.
//
// Source: rustdesk-server 1.1.17, systemd/*.service, src/main.rs, src/hbbr.rs
// and docs/environment-variables.md.
type ServerSetup struct {
	// Host is the name or address by which clients reach the guest, as in
	// [Server].ID. The setup neither looks it up nor checks a port forwarding.
	Host string `json:"host"`
	// HBBS is the package of the ID server and HBBR the package of the relay,
	// both .deb; see [ServerReleaseURL]. A zero Package installs nothing, and
	// expects that the program is installed as a package.
	HBBS Package `json:"hbbs,omitzero"`
	HBBR Package `json:"hbbr,omitzero"`
}

// A ServerReport holds the findings and the changes of the script of a
// [ServerSetup].
type ServerReport struct {
	// Server is the server for clients: the host and its public key. Clients
	// look for the relay at the same host.
	Server Server `json:"server"`
	// HBBS and HBBR are the installed releases.
	HBBS Version `json:"hbbs"`
	HBBR Version `json:"hbbr"`
	// The field Changed names the changes of the script, in order: "hbbs
	// package", "hbbs key" (its option), "hbbs service", and the same words for
	// hbbr. It is empty if everything was right already.
	Changed []string `json:"changed,omitempty"`
}

// Script renders the setup for [Linux]. The script needs no secret, so its
// standard input is two empty lines. The script succeeds if both services run,
// if the documented ports listen (TCP 21115 to 21119, UDP 21116), and if there
// is a public key. It never reads the private key. It does not check whether a
// firewall blocks clients. The error matches [ErrServer] or [ErrPackage].
func (s ServerSetup) Script() (Script, error) { return s.script("") }

type program struct {
	Name    string
	Package Package
}

func (s ServerSetup) script(root string) (Script, error) {
	server := Server{ID: s.Host}
	if server.Public() {
		return Script{}, fmt.Errorf("%w: want the host name or the address at which clients find the server", ErrServer)
	}
	if err := server.Validate(); err != nil {
		return Script{}, err
	}
	programs := []program{{"hbbs", s.HBBS}, {"hbbr", s.HBBR}}
	for i, p := range programs {
		if p.Package == (Package{}) {
			continue
		}
		if err := p.Package.validate(Linux, []string{".deb"}); err != nil {
			return Script{}, fmt.Errorf("%w (%s)", err, p.Name)
		}
		programs[i].Package.SHA256 = strings.ToLower(p.Package.SHA256)
	}
	body, err := render("server", struct {
		scriptInput
		Programs []program
	}{scriptInput{Root: root}, programs})
	return Script{OS: Linux, Body: body, Stdin: proxstation.NewSecret("\n\n")}, err
}

// ParseReport parses the output of the setup's [Script], as [ParseReport] does
// for a client. The error is a [*SetupError]. After an error, the report holds
// the findings up to that point.
func (s ServerSetup) ParseReport(output string) (ServerReport, error) {
	r := ServerReport{Server: Server{ID: s.Host}}
	err := parseLines(output, func(word, rest string) (err error) {
		switch word {
		case "hbbs":
			r.HBBS, err = ParseVersion(rest)
		case "hbbr":
			r.HBBR, err = ParseVersion(rest)
		case "changed":
			r.Changed = append(r.Changed, rest)
		case "key":
			r.Server.Key, err = parsePublicKey(rest)
		}
		return err
	})
	if err == nil && (r.Server.Key.IsZero() || r.HBBS == Version{} || r.HBBR == Version{}) {
		err = &SetupError{Stage: "report", Reason: "no key or no version"}
	}
	return r, err
}

// parsePublicKey checks the content of id_ed25519.pub and returns the key
// (rustdesk-server src/common.rs, gen_sk; rustdesk src/common.rs, get_rs_pk).
// The error does not repeat the text, because it may come from another file.
func parsePublicKey(text string) (proxstation.Secret, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err == nil && len(key) == 64:
		return proxstation.Secret{}, errors.New("is a private key, which stays on the server: want the content of id_ed25519.pub")
	case err != nil || len(key) != 32 || strings.ContainsAny(text, "\r\n"):
		return proxstation.Secret{}, errors.New("is not a public key: want 32 bytes in base64, the content of id_ed25519.pub")
	}
	return proxstation.NewSecret(text), nil
}

// ServerReleaseURL returns the address at which RustDesk's makers publish a
// package of the server. The parameter "program" is "hbbs" or "hbbr". The
// parameter arch is the architecture by Debian's name, "amd64" or "arm64". The
// package's checksum is on the release's page.
//
// Source: rustdesk-server .github/workflows/build.yaml, deb-package.
func ServerReleaseURL(v Version, program, arch string) string {
	return fmt.Sprintf("https://github.com/rustdesk/rustdesk-server/releases/download/%s/rustdesk-server-%s_%[1]s_%[3]s.deb", v, program, arch)
}
