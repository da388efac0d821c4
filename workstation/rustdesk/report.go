package rustdesk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Report holds the findings and the changes of the [Script] of a [Setup].
type Report struct {
	// OS is the guest's operating system.
	OS OS `json:"os"`
	// ID is the guest's ID.
	ID ID `json:"id"`
	// Version is the installed release.
	Version Version `json:"version"`
	// The field Running says that the service runs.
	Running bool `json:"running"`
	// The field Changed names the changes of the script, in order: "package",
	// "service", and options by RustDesk's names. It is empty if everything was
	// right already.
	Changed []string `json:"changed,omitempty"`
	// Password says whether RustDesk accepted the given password, as far as
	// that is known.
	Password PasswordState `json:"password,omitempty"`
	// The field Registered says whether the ID server has confirmed the key of
	// RustDesk. RustDesk then writes keys_confirmed into RustDesk.toml
	// (rustdesk src/rendezvous_mediator.rs, RegisterPkResponse). Before that,
	// nobody can reach the guest by its ID, and the ID may still change.
	// [Server.Online] asks the server whether the guest is there now.
	Registered proxstation.Answer `json:"registered,omitzero"`
	// Ports says which ports of a self-hosted server the guest reached: the ID
	// server, its second port and the relay, in this order.
	Ports []ServerPort `json:"ports,omitempty"`
	// The field Keeps holds the home directories of users on Linux or macOS who
	// have options of their own. When such a user logs in, these options
	// replace the options of the service. To prevent this, repeat the set-up
	// while these users are logged in.
	Keeps []string `json:"keeps,omitempty"`
	// Screen holds the facts that [Report.Picture] judges.
	Screen Screen `json:"screen,omitzero"`
}

// A ServerPort is a TCP port of a server, as a guest sees it.
type ServerPort struct {
	Host    string             `json:"host"`
	Port    uint16             `json:"port"`
	Reached proxstation.Answer `json:"reached"`
}

// A PasswordState says whether RustDesk has accepted a permanent password.
type PasswordState string

// The states of a permanent password. If RustDesk already has the given
// password, it accepts the password again and changes nothing.
const (
	PasswordNone   PasswordState = ""       // no password was given
	PasswordSent   PasswordState = "sent"   // RustDesk before 1.4.7 received the password; it does not answer
	PasswordStored PasswordState = "stored" // RustDesk reported that it stored the password
)

// Link returns the address that opens the guest's desktop.
func (r Report) Link() Link { return Link{ID: r.ID} }

// ErrSetup reports a script that stopped. Every [SetupError] matches it.
var ErrSetup = errors.New("rustdesk: setup")

// A SetupError says why a [Script] stopped. It matches [ErrSetup].
type SetupError struct {
	// The field Stage names the part of the script: "privileges", "download",
	// "checksum", "package", "service", "options", "secrets", "password", "id"
	// or "script". The script of a server also has the stages "key" and
	// "ports". [Capture] has the stage "frame". The stage is "report" if the
	// script ended without a report, because it was killed or could not be run.
	Stage string
	// Reason says what the script saw when it stopped.
	Reason string
	// Log holds the last output lines of the tool that failed. It is empty if
	// no tool failed.
	Log []string
}

// Error implements error.
func (e *SetupError) Error() string {
	text := ErrSetup.Error() + ": " + e.Stage + ": " + e.Reason
	if len(e.Log) > 0 {
		text += ": " + strings.Join(e.Log, " | ")
	}
	return printable.Line(text)
}

// Is reports whether target is [ErrSetup].
func (e *SetupError) Is(target error) bool { return target == ErrSetup }

// ParseReport parses the output of a [Script]. It skips lines that are not part
// of the report. The error is a [*SetupError]. After an error, the report holds
// the findings up to that point.
func ParseReport(output string) (Report, error) {
	var r Report
	err := parseLines(output, func(word, rest string) (err error) {
		switch word {
		case "version":
			r.Version, err = ParseVersion(rest)
		case "id":
			r.ID, err = ParseID(rest)
		case "service":
			r.Running = rest == "running"
		case "changed":
			r.Changed = append(r.Changed, rest)
		case "password":
			r.Password = PasswordState(rest)
		case "system":
			r.OS = OS(rest)
		case "registered":
			r.Registered = parseAnswer(rest)
		case "keeps":
			r.Keeps = append(r.Keeps, rest)
		case "port":
			r.Ports = append(r.Ports, parsePort(rest))
		default:
			r.Screen.take(word, rest)
		}
		return err
	})
	if err == nil {
		err = r.check()
	}
	return r, err
}

// parsePort parses "PORT ANSWER HOST".
func parsePort(text string) ServerPort {
	port, rest, _ := strings.Cut(text, " ")
	answer, host, _ := strings.Cut(rest, " ")
	n, _ := strconv.ParseUint(port, 10, 16)
	return ServerPort{Host: host, Port: uint16(n), Reached: parseAnswer(answer)}
}

// parseLines calls the function "take" for every line of a report up to the
// report's end. It passes the first word and the rest of the line. The error is
// a [*SetupError].
func parseLines(output string, take func(word, rest string) error) error {
	var log []string
	for line := range strings.Lines(output) {
		line, ours := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "rustdesk: ")
		if !ours {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "log":
			log = append(log, rest)
		case "error":
			stage, reason, _ := strings.Cut(rest, " ")
			return &SetupError{Stage: stage, Reason: reason, Log: log}
		case "done":
			return nil
		}
		if err := take(word, rest); err != nil {
			return &SetupError{Stage: "report", Reason: fmt.Sprintf("%s: %v", word, err)}
		}
	}
	return &SetupError{Stage: "report", Reason: `the script's output does not end in "done"`, Log: log}
}

func (r Report) check() error {
	if r.ID == "" || r.Version == (Version{}) {
		return &SetupError{Stage: "report", Reason: "no id or no version"}
	}
	return nil
}
