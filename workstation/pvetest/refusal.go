package pvetest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A refusal is PVE's answer to a request, or the end of a task, that breaks a
// rule: the HTTP status, the message, and a reason for each wrong parameter.
// Every rule of the node returns a refusal as an error.
type refusal struct {
	status   int
	message  string            // PVE shows its first line in the status line
	errors   map[string]string // by parameter
	stranger bool              // who is not known gets no body, and that late
	plain    bool              // the server itself refuses, with the message alone in the body
}

// Error returns the refusal as the log of a task shows it: PVE writes
// exceptions with their code in front.
func (r *refusal) Error() string {
	if r.status == http.StatusInternalServerError {
		return r.message
	}
	text := fmt.Sprintf("%d %s", r.status, r.message)
	for _, name := range sorted(r.errors) {
		text += "\n" + name + ": " + r.errors[name]
	}
	return text
}

// refuse returns the refusal that Perl's die causes: status 500 and a message.
func refuse(format string, args ...any) error {
	return refuseWith(http.StatusInternalServerError, format, args...)
}

func refuseWith(status int, format string, args ...any) error {
	return &refusal{status: status, message: strings.TrimRight(fmt.Sprintf(format, args...), "\n")}
}

// forbid returns the refusal of a caller who lacks privileges on a path
// ("VM.Audit", or "VM.Audit|VM.Monitor" where either will do).
func forbid(path, privileges string) error {
	return refuseWith(http.StatusForbidden, "Permission check failed (%s, %s)", path, privileges)
}

// invalid returns the refusal of wrong parameters.
func invalid(problems map[string]string) error {
	return &refusal{status: http.StatusBadRequest, message: "Parameter verification failed.", errors: problems}
}

// wrong is invalid for one parameter.
func wrong(name, format string, args ...any) error {
	return invalid(map[string]string{name: fmt.Sprintf(format, args...)})
}

// unimplemented returns PVE's refusal of a method that PVE does not have.
func unimplemented(method, path string) error {
	return refuseWith(http.StatusNotImplemented, "Method '%s %s' not implemented", method, path)
}

// unserved returns the refusal of a method that PVE has and the embedded node has
// not, in words that PVE never says.
func unserved(method, path string) error {
	return refuseWith(http.StatusNotImplemented, "PVE has '%s %s', the embedded node does not serve it", method, path)
}

// plainly returns a refusal of the HTTP server, which comes before the API.
func plainly(status int, message string) error {
	return &refusal{status: status, message: message, plain: true}
}

// errGone reports a client that went away while the node made it wait.
var errGone = errors.New("the client is gone")

// unauthorized returns the refusal of a caller whose login is not valid.
func unauthorized(reason string) error {
	return &refusal{status: http.StatusUnauthorized, message: reason, stranger: true}
}

// asRefusal turns an error of a schema rule into a refusal.
func asRefusal(err error) error {
	var no *refusal
	if err == nil || errors.As(err, &no) {
		return err
	}
	return refuse("%v", err)
}

// null is the answer of a method that returns nothing.
func null() (any, error) { return nil, nil } //nolint:nilnil // PVE's data is null

// modified is PVE's refusal of a digest that no longer matches, where a
// configuration is not a VM's (pve-common PVE/Tools.pm, assert_if_modified).
const modified = "detected modified configuration - file changed by other user? Try again."

// stale is PVE's refusal of a digest that no longer matches a VM's
// configuration (qemu-server PVE/API2/Qemu.pm).
const stale = "checksum mismatch (file change by other user?)"
