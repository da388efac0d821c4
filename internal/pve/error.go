package pve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/printable"
)

// These errors are for decisions with [errors.Is].
var (
	ErrNotFound   = errors.New("not found")                                      // a VM, storage, task or mapping does not exist
	ErrPermission = errors.New("permission denied")                              // status 403, or a setting that only root may change
	ErrLogin      = errors.New("not logged in")                                  // status 401
	ErrStale      = errors.New("changed by somebody else")                       // the digest no longer matches
	ErrLocked     = errors.New("locked")                                         // a task or a lock holds the configuration
	ErrInUse      = errors.New("PCI device in use")                              //
	ErrExists     = errors.New("exists already")                                 //
	ErrNotRunning = errors.New("not running")                                    // the VM is off
	ErrAgent      = errors.New("guest agent does not answer")                    // the agent is not configured or does not run
	ErrNoAnswer   = errors.New("no answer: it may have had effect")              // status 595 or 596, or a lost connection
	ErrInvalid    = errors.New("PVE does not take these parameters")             // status 400: PVE refused the parameters
	ErrNotPVE     = errors.New("the endpoint is not a Proxmox VE API")           //
	ErrTimeout    = errors.New("the guest did not shut down in time")            //
	ErrTooLarge   = errors.New("the answer is larger than PVE's answers can be") // also for an answer that is too deeply nested
	ErrAnswer     = errors.New("the answer cannot be used")                      // the answer is not of the expected kind
	ErrNoQuorum   = errors.New("the node's cluster has no quorum")               // /etc/pve is read-only
)

var errNotJSON = fmt.Errorf("%w: the answer is not JSON", ErrNotPVE)

// An Error reports a request that failed: the node refused it, or did not
// answer.
type Error struct {
	Method, Path string
	Status       int    // 0 if there was no answer
	Message      string // PVE's words, or the HTTP client's words if there was no answer
	cause        error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Status == 0 {
		return printable.Sprintf("pve: %s %s: %s", e.Method, e.Path, e.Message)
	}
	return printable.Sprintf("pve: %s %s: %d %s", e.Method, e.Path, e.Status, e.Message)
}

// Unwrap returns the HTTP client's error if the node did not answer.
func (e *Error) Unwrap() error { return e.cause }

// Is makes the error match the sentinel errors by status and message.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrLogin:
		return e.Status == 401
	case ErrPermission:
		return e.Status == 403 || errors.Is(e.cause, proxmox.ErrNotAuthorized) || strings.Contains(e.Message, "only root can set") || strings.Contains(e.Message, "only root@pam can set")
	case ErrInvalid:
		return e.Status == 400
	case ErrNotPVE:
		return e.Status >= 300 && e.Status < 400
	case ErrNoAnswer:
		return e.Status == 0 || e.Status >= 595 && e.Status <= 599 || e.Status == 502 || e.Status == 503 || e.Status == 504
	}
	return says(e.Message, target)
}

// messages holds the words that identify PVE's messages, and the sentinel error
// for each (qemu-server 9.2, pve-guest-common, pve-common).
var messages = []struct {
	pattern *regexp.Regexp
	means   error
}{
	{regexp.MustCompile(`Configuration file '.*' does not exist|unable to find configuration file for VM|[Nn]o such (task|VM|logical volume|resource|storage)|mapping '.*' not found|mapping not found for '|(storage|volume|snapshot|disk) '.*' does not exist|volume_size_info on '.*' failed - no format`), ErrNotFound},
	{regexp.MustCompile(`detected modified configuration|checksum miss?match \(file change`), ErrStale},
	{regexp.MustCompile(`is locked \(|can't lock file`), ErrLocked},
	{regexp.MustCompile(`PCI device '.*' (already in use|is currently reserved)|could not find a free device for 'hostpci`), ErrInUse},
	{regexp.MustCompile(`already exists|already defined`), ErrExists},
	{regexp.MustCompile(`VM \d+ (is )?not running`), ErrNotRunning},
	{regexp.MustCompile(`QEMU guest agent is not running|No QEMU guest agent configured`), ErrAgent},
	{regexp.MustCompile(`VM quit/powerdown failed`), ErrTimeout},
	// Sources: pve-cluster PVE/Cluster.pm, check_cfs_quorum and cfs_lock; and
	// src/pmxcfs, where a write to the read-only /etc/pve returns EACCES.
	{regexp.MustCompile(`no quorum[?!]|'?/etc/pve/[^' ]*'? ?(failed|-)?.*Permission denied`), ErrNoQuorum},
}

func says(message string, target error) bool {
	for _, m := range messages {
		if errors.Is(m.means, target) && m.pattern.MatchString(message) {
			return true
		}
	}
	return false
}

var (
	statusText = regexp.MustCompile(`(?s)^(\d{3}) ?(.*)$`)
	badRequest = regexp.MustCompile(`(?s)^bad request: 400 (.*)$`)
)

// wrap turns an error of go-proxmox into an [Error] with method, path, status
// and message.
func wrap(method, path string, err error) error {
	e := &Error{Method: method, Path: path}
	text := err.Error()
	var request *url.Error
	var syntax *json.SyntaxError
	var unfit *json.UnmarshalTypeError
	switch match := statusText.FindStringSubmatch(text); {
	case errors.Is(err, proxmox.ErrNotAuthorized):
		// go-proxmox returns the same error for 401 and 403, without the
		// message.
		e.Status, e.Message, e.cause = 401, "not authorized: the login is not valid, or lacks a privilege", err
	case match != nil:
		e.Status, _ = strconv.Atoi(match[1])
		e.Message = match[2]
		if inner := statusText.FindStringSubmatch(e.Message); e.Status == 500 && inner != nil {
			e.Status, _ = strconv.Atoi(inner[1])
			e.Message = inner[2]
		}
	case badRequest.MatchString(text):
		e.Status, e.Message = 400, plainWords(badRequest.FindStringSubmatch(text)[1])
	case errors.As(err, &syntax), errors.As(err, &unfit): // the decoder of go-proxmox refused the answer before ours saw it
		e.Message, e.cause = errNotJSON.Error(), errNotJSON
	case errors.As(err, &request): // the text of this error repeats method and URL
		e.Message, e.cause = request.Err.Error(), err
	default:
		e.Message, e.cause = text, err
	}
	return e
}

// plainWords returns PVE's words in an answer 400 that did not pass through
// [Transport]. These are the reason and the body. If the body is JSON, they are
// only the errors in the body.
func plainWords(text string) string {
	reason, body, _ := strings.Cut(text, " - ")
	var said map[string]any
	if json.Unmarshal([]byte(body), &said) != nil {
		return text
	}
	_, whole := said["data"]
	if _, message := said["message"]; whole || message {
		return words(reason, []byte(body))
	}
	return words(reason, []byte(`{"errors":`+body+`}`))
}

// A TaskError reports a task that PVE began and that failed.
type TaskError struct {
	UPID UPID
	Exit string   // PVE's last words
	Log  []string // the last lines of the task's log
}

// Error implements error.
func (e *TaskError) Error() string {
	text := printable.Sprintf("pve: task %s of %s failed: %s", e.UPID.Type(), e.UPID.ID(), e.Exit)
	for _, line := range e.Log { // the exit status only says that QEMU failed; the log has the reason
		if why, found := strings.CutPrefix(line, "kvm: "); found {
			text += ": " + printable.Line(why)
		}
	}
	return text
}

// Is makes the error match the sentinel errors by PVE's words.
func (e *TaskError) Is(target error) bool { return says(e.Exit, target) }
