package connect

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/workstation"
)

// Main runs an example. The context of run ends at Ctrl-C, at SIGTERM (which
// stops a service) and at SIGHUP (which comes when a terminal is closed, unless
// the program runs under nohup). The program can then end cleanly. A second
// signal kills the program. If nobody reads the program's output any more, the
// program continues its work. Unprintable characters in the output are quoted.
// After an error the program ends with the error's [Code].
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	out := term.Open(os.Stdout)
	err := run(ctx, os.Args[1:], out)
	out.End()
	if code := Code(err); code != 0 {
		if err.Error() != "" {
			term.Open(os.Stderr).Error(name, err)
		}
		os.Exit(code)
	}
}

// The exit codes of the examples. 0 means success, and 1 any other error.
const (
	Changes = 2 // the plan has changes, and was only shown
	Block   = 3 // the request is blocked, and nothing was changed
	Stale   = 4 // a saved plan no longer fits the node, and nothing was changed
	No      = 5 // a person did not confirm, and nothing was changed
)

// Blocked returns an [Exit] without a message if the findings contain a
// blocker. The caller must already have shown the findings.
func Blocked(findings []proxstation.Finding) error {
	if proxstation.Worst(findings) != proxstation.Blocker {
		return nil
	}
	return &Exit{Status: Block}
}

// An Exit is an error that ends a program with its own exit code. Its message
// is empty if the program has already printed everything.
type Exit struct {
	Status int
	Err    error // the error to print; nil if nothing is to be printed
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the error.
func (e *Exit) Unwrap() error { return e.Err }

// Code returns the exit code of a program after an error. It is 0 for nil and
// for -h, the Status of an [Exit], Block for [workstation.ErrBlocked], Stale
// for [workstation.ErrStale], and 1 for all other errors.
func Code(err error) int {
	exit, ok := errors.AsType[*Exit](err)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ok:
		return exit.Status
	case errors.Is(err, workstation.ErrBlocked):
		return Block
	case errors.Is(err, workstation.ErrStale):
		return Stale
	}
	return 1
}
