package workstation

import (
	"errors"

	"github.com/proxstation/proxstation/internal/pve"
)

// Sentinel errors of a node, for [errors.Is]. An error that matches one of them
// is a [RequestError] or a [TaskError], with PVE's words. A node's errors can
// also match two other sentinels: [ErrInvalid] for parameters that PVE does not
// accept, and [ErrStale] for a configuration that changed before the write
// arrived.
var (
	// ErrNotFound reports a VM, storage, volume, mapping or task that does not
	// exist.
	ErrNotFound = errors.New("not found")
	// ErrExists reports a VMID, mapping or file that exists already.
	ErrExists = errors.New("exists already")
	// ErrPermission reports a privilege that the login lacks, or a setting that
	// only root@pam may change.
	ErrPermission = errors.New("permission denied")
	// ErrLogin reports a login that the node refuses.
	ErrLogin = errors.New("not logged in")
	// ErrNotPVE reports an endpoint that is not the API of a PVE node.
	ErrNotPVE = errors.New("the endpoint is not a Proxmox VE API")
	// ErrLocked reports a VM whose configuration is locked by a task or a
	// backup.
	ErrLocked = errors.New("locked")
	// ErrInUse reports a PCI device that another VM has.
	ErrInUse = errors.New("PCI device in use")
	// ErrNotRunning reports a VM that is not running.
	ErrNotRunning = errors.New("not running")
	// ErrAgent reports a guest agent that is not configured or does not answer.
	ErrAgent = errors.New("guest agent does not answer")
	// ErrNoAnswer reports a request without a usable answer. The request may
	// have had an effect.
	ErrNoAnswer = errors.New("no answer: it may have had effect")
	// ErrTooLarge reports data that does not fit through the guest agent, or an
	// answer that is larger or more deeply nested than PVE's answers are.
	ErrTooLarge = errors.New("too large")
	// ErrTimeout reports work that took longer than allowed: a guest that did
	// not shut down or come up in time, or a command that has not ended.
	ErrTimeout = errors.New("it took too long")
)

// meanings maps our sentinels to the sentinels of internal/pve.
var meanings = map[error]error{
	ErrNotFound: pve.ErrNotFound, ErrExists: pve.ErrExists, ErrPermission: pve.ErrPermission, ErrLogin: pve.ErrLogin, ErrNotPVE: pve.ErrNotPVE,
	ErrLocked: pve.ErrLocked, ErrInUse: pve.ErrInUse, ErrNotRunning: pve.ErrNotRunning, ErrAgent: pve.ErrAgent, ErrNoAnswer: pve.ErrNoAnswer,
	ErrTimeout: pve.ErrTimeout, ErrStale: pve.ErrStale, ErrInvalid: pve.ErrInvalid, ErrTooLarge: pve.ErrTooLarge,
}

// This reports whether an error of internal/pve corresponds to the sentinel of
// this package.
func means(err, sentinel error) bool {
	meaning, ours := meanings[sentinel]
	return ours && errors.Is(err, meaning)
}

// A RequestError reports a request that failed: the node refused it, or did not
// answer. It matches the sentinels by status and message.
type RequestError struct {
	// Method is the request's method, and Path its path without the API's
	// prefix: "GET", "/nodes/pve/qemu/140/config".
	Method, Path string
	// Status is the HTTP status of the answer, or 0 if there was no answer.
	Status int
	// Message holds PVE's words. If there was no answer, it holds the HTTP
	// client's words.
	Message string

	cause error
}

// Error implements error.
func (e *RequestError) Error() string { return e.plain().Error() }

// Is makes the error match the sentinels.
func (e *RequestError) Is(target error) bool {
	return means(e.plain(), target) || errors.Is(e.plain(), target) || means(e.cause, target) // the cause holds go-proxmox's error, which is the same for 401 and 403
}

// Unwrap returns the cause: a [CertificateError], or an error of the HTTP
// client.
func (e *RequestError) Unwrap() error { return e.cause }

func (e *RequestError) plain() error {
	return &pve.Error{Method: e.Method, Path: e.Path, Status: e.Status, Message: e.Message}
}

// A TaskError reports a task that PVE began and that failed. It matches the
// sentinels by PVE's words.
type TaskError struct {
	// UPID is PVE's name of the task, under which the node keeps its log.
	UPID string
	// Type is the kind of the task: "qmstart". It is empty if the UPID is not
	// valid.
	Type string
	// VMID is the VM that the task was about, or 0 if the task was not about a
	// VM.
	VMID int
	// Exit is the last message of the task.
	Exit string
	// Log holds the last lines of the task's log, at most ten.
	Log []string
}

// Error implements error.
func (e *TaskError) Error() string { return e.plain().Error() }

// Is makes the error match the sentinels.
func (e *TaskError) Is(target error) bool {
	return means(e.plain(), target) || errors.Is(e.plain(), target)
}

func (e *TaskError) plain() error {
	return &pve.TaskError{UPID: pve.UPID(e.UPID), Exit: e.Exit, Log: e.Log}
}

// A CertificateError reports a node whose certificate cannot be trusted.
type CertificateError struct {
	// Host is the name or address for which the certificate is not valid.
	Host string
	// Fingerprint is the SHA-256 fingerprint of the certificate that the node
	// showed, as PVE's web interface prints it.
	Fingerprint string
	// Why is the verifier's message.
	Why string
}

// Error implements error.
func (e *CertificateError) Error() string {
	return (&pve.CertificateError{Host: e.Host, Fingerprint: e.Fingerprint, Why: e.Why}).Error()
}

// A nodeError wraps any other error of internal/pve, so that it matches our
// sentinels.
type nodeError struct{ error }

func (e nodeError) Is(target error) bool { return means(e.error, target) }

func (e nodeError) Unwrap() error { return e.error }

func init() { pve.Public = explain }

// explain turns an error of internal/pve into an error of this package. Every
// error of a node passes through it.
func explain(err error) error {
	switch e := err.(type) { //nolint:errorlint // internal/pve hands over what it made, not what wraps it
	case *pve.Error:
		public := &RequestError{Method: e.Method, Path: e.Path, Status: e.Status, Message: e.Message, cause: e}
		var shown *pve.CertificateError
		if errors.As(e, &shown) {
			public.cause = &CertificateError{Host: shown.Host, Fingerprint: shown.Fingerprint, Why: shown.Why}
		}
		return public
	case *pve.TaskError:
		return &TaskError{UPID: string(e.UPID), Type: e.UPID.Type(), VMID: e.UPID.VMID(), Exit: e.Exit, Log: e.Log}
	case *pve.CertificateError:
		return &CertificateError{Host: e.Host, Fingerprint: e.Fingerprint, Why: e.Why}
	}
	return nodeError{err}
}
