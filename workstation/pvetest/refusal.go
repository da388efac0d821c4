package pvetest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A refusal is PVE's error for a request or a task that breaks a rule. It has
// the HTTP status, the message, and a reason for each wrong parameter. All code
// of the node that checks a rule returns the refusal as an error.
type refusal struct {
	status   int
	message  string            // the message, whose first line is in the status line
	errors   map[string]string // reasons, by parameter
	stranger bool              // whether the caller is not logged in; the answer is late and has no body
	plain    bool              // whether the HTTP server refused; the body is then only the message
}

// Error returns the refusal as the log of a task shows it. PVE puts the code of
// an exception before its message.
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

// refuse returns the refusal that PVE sends after Perl's die: status 500 with a
// message.
func refuse(format string, args ...any) error {
	return refuseWith(http.StatusInternalServerError, format, args...)
}

func refuseWith(status int, format string, args ...any) error {
	return &refusal{status: status, message: strings.TrimRight(fmt.Sprintf(format, args...), "\n")}
}

// forbid returns the refusal of a caller who lacks a privilege on a path. The
// parameter "privileges" is a privilege such as "VM.Audit". It is
// "VM.Audit|VM.Monitor" if either privilege would be enough.
func forbid(path, privileges string) error {
	return refuseWith(http.StatusForbidden, "Permission check failed (%s, %s)", path, privileges)
}

// The function "invalid" returns the refusal of wrong parameters. The map
// "problems" has a text for each wrong parameter.
func invalid(problems map[string]string) error {
	return &refusal{status: http.StatusBadRequest, message: "Parameter verification failed.", errors: problems}
}

// The function "wrong" returns the refusal of one wrong parameter.
func wrong(name, format string, args ...any) error {
	return invalid(map[string]string{name: fmt.Sprintf(format, args...)})
}

// The function "unimplemented" returns PVE's refusal of a method that does not
// exist in PVE.
func unimplemented(method, path string) error {
	return refuseWith(http.StatusNotImplemented, "Method '%s %s' not implemented", method, path)
}

// The function "unserved" returns the refusal of a method that PVE has but the
// embedded node does not serve. PVE itself never sends these words.
func unserved(method, path string) error {
	return refuseWith(http.StatusNotImplemented, "PVE has '%s %s', the embedded node does not serve it", method, path)
}

// The function "plainly" returns a refusal that comes from the HTTP server,
// before the request reaches the API.
func plainly(status int, message string) error {
	return &refusal{status: status, message: message, plain: true}
}

// errGone reports that the client closed its connection while its request
// waited.
var errGone = errors.New("the client is gone")

// The function "unauthorized" returns the refusal of a caller whose login is
// not valid.
func unauthorized(reason string) error {
	return &refusal{status: http.StatusUnauthorized, message: reason, stranger: true}
}

// asRefusal converts an error of a schema rule to a refusal.
func asRefusal(err error) error {
	var no *refusal
	if err == nil || errors.As(err, &no) {
		return err
	}
	return refuse("%v", err)
}

// The function "null" returns the result of a method that has no data.
func null() (any, error) { return nil, nil } //nolint:nilnil // PVE's data is null

// The constant "modified" is PVE's message if a request has an old digest of a
// configuration (pve-common PVE/Tools.pm, assert_if_modified). For VMs there is
// another message, "stale".
const modified = "detected modified configuration - file changed by other user? Try again."

// The constant "stale" is PVE's message if a request has an old digest of a
// VM's configuration (qemu-server PVE/API2/Qemu.pm).
const stale = "checksum mismatch (file change by other user?)"
